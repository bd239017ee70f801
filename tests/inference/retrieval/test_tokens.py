"""Words and tokens of texts."""

from __future__ import annotations

import doctest
import hashlib
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from inference.chinese import simplified
from inference.retrieval import tokens
from inference.retrieval.tokens import words
from streams.demo.catalogue import best_sellers
from streams.demo.purchases import read_purchases

CHINESE = "运动鞋女士轻便透气秋冬新款加厚保暖手机壳"


def forms(text: str) -> set[str]:
    return {token for word in words(text) for reading in word for token in reading}


def test_docstring_examples_run() -> None:
    assert doctest.testmod(tokens).failed == 0


def test_signs_and_underscores_are_not_words() -> None:
    assert words("™ — _ 'n' …") == words("n")
    assert words("") == []
    assert len(forms("x" * 500)) == 1


def test_the_words_of_the_demos_titles_do_not_change() -> None:
    titles = [item.title for item in best_sellers(read_purchases(), 1000).items]
    digest = hashlib.sha256("".join(repr(words(title)) for title in titles).encode()).hexdigest()
    assert digest == "f936a77400e6793c65d3c0dc161a407edbcdf2c527423d99f1dcf81f1be35c28"


def test_chinese_is_pairs_of_characters_and_single_characters() -> None:
    assert forms("连衣裙") == {"连衣", "衣裙", "连", "衣", "裙"}
    assert words("鞋") == [(("鞋",),)]
    assert forms("手机壳，手机") == forms("手机壳")


def test_chinese_beside_latin_letters_and_digits_is_separate() -> None:
    assert forms("小米Ｍｉ１３手机") == {"小米", "小", "米", *forms("mi13"), "手机", "手", "机"}
    assert {"128gb", "128", "gb", "内存"} <= forms("１２８ＧＢ内存")


def test_the_middle_dot_separates_words() -> None:
    assert forms("ルイ・ヴィトン") == forms("ルイ ヴィトン")
    assert forms("欧莱雅·男士") == forms("欧莱雅 男士")


visible = st.characters(categories=["L", "N", "P", "S"], exclude_characters="<>&")
"""Characters without those of markup and of terminal sequences, which are removed with the text inside them."""


@given(st.text(st.sampled_from(CHINESE + "𠮷々〇ー藍牙 aB3，-") | visible, max_size=200))
def test_every_ideograph_of_a_text_is_a_word_of_its_own(text: str) -> None:
    folded = simplified(unicodedata.normalize("NFKC", text))
    ideographs = {char for char in folded if unicodedata.name(char, "").startswith("CJK UNIFIED IDEOGRAPH")}
    assert {((char,),) for char in ideographs} <= {word for word in words(text) if len(word) == 1}


@given(st.text(st.sampled_from(CHINESE), min_size=1, max_size=200), st.data())
def test_a_part_of_a_text_has_no_word_that_the_text_lacks(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text) - 1))
    part = text[start : data.draw(st.integers(start + 1, len(text)))]
    assert set(words(part)) <= set(words(text))
