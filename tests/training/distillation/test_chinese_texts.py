"""Chinese shop texts and dictionaries as training texts."""

from __future__ import annotations

import doctest
import gzip
from pathlib import Path

import pytest

from inference.errors import DataError
from tests.training.distillation.test_readers import public_data
from training.distillation import chinese_texts, dictionaries
from training.distillation.chinese_texts import read_chinese_shops, tagged_titles
from training.distillation.dictionaries import CEDICT, TABLES, WORDNET, read_dictionaries
from training.distillation.public_texts import CHINESE, DICTIONARIES, read_datasets, sources_in

TAGGED = "小 B-HPPX\n米 I-HPPX\n藍 B-HCCX\n牙 I-HCCX\n耳 I-HCCX\n机 I-HCCX\n新 O\n"
LITEMALL = (
    "INSERT INTO `litemall_category` VALUES (7,'家居','',0);\n"
    "INSERT INTO `litemall_goods` VALUES (1,'x','纯棉四件套',7,0,'[\\\"u\\\"]','','柔软, 亲肤',1),"
    "(2,'y','台灯',8,0,'','','',1);\n"
)
NEWBEE = (
    "INSERT INTO `tb_newbee_mall_goods_category` VALUES (3, 1, 0, '手机', 100);\n"
    "INSERT INTO `tb_newbee_mall_goods_info` (`goods_id`, `goods_name`)\nVALUES\n\t(1,'华为手机','8GB',3,'a');\n"
)


def shops(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "mcpr_train.query.txt").write_text("1\t無線 Mouse\n2\t \n", encoding="utf-8")
    (folder / "ner_train.txt").write_text(TAGGED + "\n" + TAGGED.replace("新", "旧"), encoding="utf-8")
    (folder / "litemall.sql").write_text(LITEMALL, encoding="utf-8")
    (folder / "newbee.sql").write_text(NEWBEE, encoding="utf-8")
    return folder


def dictionary(folder: Path) -> Path:
    folder.mkdir(parents=True)
    entries = (
        "# CC-CEDICT",
        "耳機 耳机 [er3 ji1] /headphones/earphones/telephone receiver/",
        "四件套 四件套 [si4 jian4 tao4] /(a set of) four pieces/variant of 四/to sleep in/",
        "龍 龙 [long2] /dragon/",
        "小 小 [xiao3] /see also 大/CL:個|个[ge4]/see/see also tiny/small/",
    )
    (folder / CEDICT).write_bytes(gzip.compress("\n".join(entries).encode()))
    (folder / WORDNET).write_text("  1 licence\n00000001 06 n 02 lamp 0 light 0 000\n00000002 06 n 01 hot_dog 0 000\n")
    for name in TABLES:
        (folder / name).write_text("# head\n00000001-n\tdeu:lemma\tLampe\n00000002-n\tdeu:lemma\tHotdog\n")
    return folder


def test_searches_titles_and_goods_are_read_in_simplified_characters(tmp_path: Path) -> None:
    texts = read_chinese_shops(shops(tmp_path / "shops"))
    assert texts.words == ("无线 mouse",)
    assert texts.titles == ("小米蓝牙耳机新", "小米蓝牙耳机旧", "纯棉四件套", "台灯", "华为手机")
    assert ("蓝牙耳机", "小米蓝牙耳机新") in texts.searches
    assert ("小米蓝牙耳机", "小米蓝牙耳机旧") in texts.searches
    assert ("家居", "纯棉四件套") in texts.searches
    assert ("纯棉四件套", "纯棉四件套. 家居. 柔软, 亲肤") in texts.lines
    assert texts.descriptions == (("纯棉四件套", "柔软, 亲肤"), ("华为手机", "8GB"))


def test_titles_keep_their_tagged_parts(tmp_path: Path) -> None:
    path = shops(tmp_path / "shops") / "ner_train.txt"
    assert next(tagged_titles(path)) == ("小米藍牙耳机新", [("小米", "HPPX"), ("藍牙耳机", "HCCX")])


def test_a_damaged_dump_is_an_error(tmp_path: Path) -> None:
    folder = shops(tmp_path / "shops")
    (folder / "litemall.sql").write_text("INSERT INTO `litemall_goods` VALUES (1,'x", encoding="utf-8")
    with pytest.raises(DataError, match=r"litemall\.sql: required the file"):
        read_chinese_shops(folder)


def test_a_dictionary_gives_short_translations_of_words_in_use(tmp_path: Path) -> None:
    pairs = read_dictionaries(dictionary(tmp_path / "words"), ["小米耳机", "四件套", "desk lamp"])
    assert pairs == [("耳机", "headphones"), ("四件套", "four pieces"), ("小", "small"), ("lampe", "lamp")]


def test_a_missing_dictionary_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="required the dictionaries"):
        read_dictionaries(tmp_path, ["x"])


def test_chinese_texts_are_read_and_credited_only_on_request(tmp_path: Path) -> None:
    public_data(tmp_path)
    shops(tmp_path / CHINESE)
    dictionary(tmp_path / DICTIONARIES)
    assert "台灯" not in read_datasets(tmp_path).titles
    assert "台灯" in read_datasets(tmp_path, chinese=True).titles
    assert len(sources_in(tmp_path)) == 3
    assert {"litemall, sample goods", "CC-CEDICT"} <= {each.name for each in sources_in(tmp_path, chinese=True)}


def test_examples_in_docstrings() -> None:
    assert doctest.testmod(chinese_texts).failed == 0
    assert doctest.testmod(dictionaries).failed == 0
