"""The comparison of encoders over languages: scores of known vectors, and the data of the tasks."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra `distill`")

from inference.errors import DataError
from inference.types import Vector
from tests.training.distillation.test_chinese_texts import TAGGED, dictionary, shops
from tests.training.distillation.test_readers import public_data
from training.distillation.language_models import remembering
from training.distillation.language_tasks import (
    SAMPLE,
    WEB,
    categories,
    held_out_translations,
    shop_searches,
    tasks_in,
    translations,
    web_searches,
    within,
)
from training.distillation.language_tasks import TAGGED as TAGGED_TITLES
from training.distillation.languages import Graded, Model, Purity, Retrieval, half_width, table
from training.distillation.public_texts import CHINESE, DICTIONARIES


def by_angle(angles: dict[str, float]) -> Callable[[Sequence[str]], Vector]:
    return lambda texts: np.array([[np.cos(angles[t]), np.sin(angles[t])] for t in texts], dtype=np.float32)


ANGLES = by_angle({"q": 0.0, "a": 0.1, "b": 0.2, "c": 0.3, "d": 3.0})
MODEL = Model("angles", ANGLES, ANGLES)


def test_graded_titles_are_scored_by_ndcg() -> None:
    graded = Graded("g", [("q", [("a", 2), ("b", 0), ("c", 1)]), ("q", [("b", 0), ("a", 2)])])
    expected = (3 + 1 / 2) / (3 + 1 / np.log2(3))
    np.testing.assert_allclose(graded.scores(MODEL), [expected, 1.0])


def test_retrieval_is_the_reciprocal_rank_of_the_first_right_title() -> None:
    searches = [("q", frozenset({0})), ("q", frozenset({2, 3})), ("q", frozenset({3}))]
    np.testing.assert_allclose(Retrieval("r", searches, ["a", "b", "c", "d"]).scores(MODEL), [1, 1 / 3, 1 / 4])


def test_equal_cosines_count_against_the_right_title() -> None:
    def ones(texts: Sequence[str]) -> Vector:
        return np.ones((len(texts), 1), dtype=np.float32)

    same = Model("same", ones, ones)
    assert Retrieval("r", [("q", frozenset({0}))], ["a", "b", "c", "d"]).scores(same).tolist() == [1 / 4]
    assert Retrieval("r", [("q", frozenset({0}))], [f"{at}" for at in range(11)]).scores(same).tolist() == [0]


def test_purity_is_the_share_of_near_titles_with_a_product_word() -> None:
    words = [{"lamp"}, {"lamp", "desk"}, {"desk"}, {"chair"}, {"lamp"}]
    titles = Purity("p", ["q", "a", "b", "c", "d"], [frozenset(each) for each in words])
    # The chair is alone, so it has no score. There are four other titles, of which one does not count.
    np.testing.assert_allclose(titles.scores(MODEL), [2 / 5, 3 / 5, 1 / 5, 2 / 5])


def test_the_table_has_the_mean_of_each_task_with_its_interval() -> None:
    task = Retrieval("r", [("q", frozenset({0})), ("q", frozenset({1}))], ["a", "b"])
    lines = table([task], [MODEL]).split("\n")
    assert lines[0] == "| | searches | angles |"
    assert lines[2] == "| r | 2 | 0.7500 ± 0.346 |"
    assert half_width(np.array([0.5, 1.0])) == pytest.approx(0.3465, abs=1e-4)


def test_texts_are_encoded_once() -> None:
    asked: list[str] = []

    def encode(texts: Sequence[str]) -> Vector:
        asked.extend(texts)
        return np.array([[len(text)] for text in texts], dtype=np.float32)

    encoded = remembering(encode)
    assert encoded(["a", "bb", "a"]).tolist() == [[1], [2], [1]]
    assert encoded(["bb"]).tolist() == [[2]]
    assert asked == ["a", "bb"]


def catalogue(folder: Path) -> Path:
    items = [
        {"item_id": "1", "title": "藍牙耳機", "title_en": "Headphones"},
        {"item_id": "2", "title": "台灯", "title_en": "Lamp"},
    ]
    searches = [{"query": "耳机", "language": "zh", "item_ids": ["1"], "related_ids": ["2"]},
                {"query": "Lamp", "language": "en", "item_ids": ["2"], "related_ids": []}]  # fmt: skip
    for name, rows in (("items.jsonl", items), ("queries.jsonl", searches)):
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder / "items.jsonl"


def test_searches_of_a_bilingual_catalogue_find_titles_of_both_languages(tmp_path: Path) -> None:
    tasks = shop_searches(catalogue(tmp_path))
    assert len(tasks) == 6
    graded = tasks[1]
    assert isinstance(graded, Graded)
    assert graded.searches == [("耳机", [("Headphones", 2), ("Lamp", 1)])]
    last = tasks[-1]
    assert isinstance(last, Retrieval)
    assert dict(last.searches) == {"headphones": {0}, "lamp": {1}}
    assert last.titles == ["蓝牙耳机", "台灯"]


def test_retrieval_tasks_leave_out_empty_searches_and_draw_a_sample() -> None:
    task = translations([("", "nothing"), *((f"词{at}", f"word {at}") for at in range(SAMPLE + 5))], back=False)
    assert len(task.titles) == SAMPLE + 6
    assert len(task.searches) == len(dict(task.searches)) == SAMPLE
    assert "" not in dict(task.searches)
    assert all(task.titles[place] == f"word {query[1:]}" for query, right in task.searches for place in right)


def taxonomy(folder: Path) -> Path:
    folder.mkdir()
    names = {
        "en-US": "1 - Home\n2 - Home > Lamps\n3 - Home > Desks\n9 - New\n",
        "zh-CN": "1 - 家居\n2 - 家居 > 灯\n3 - 家居 > 書桌\n",
    }
    for code in ("de-DE", "fr-FR", "es-ES"):
        names[code] = names["en-US"]
    for code, text in names.items():
        (folder / f"{code}.txt").write_text(f"# head\n{text}", encoding="utf-8")
    return folder


def test_categories_of_two_languages_belong_together_by_number(tmp_path: Path) -> None:
    task = categories(taxonomy(tmp_path / "categories"), "Chinese")
    assert task.titles == ["Home", "Lamps", "Desks"]
    assert dict(task.searches) == {"家居": {0}, "灯": {1}, "书桌": {2}}
    assert dict(within(tmp_path / "categories", "German").searches) == {"lamps": {0}, "desks": {0}}


def test_web_searches_without_different_grades_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "dev.json"
    rows = [("電腦", "电脑价格", "2"), ("電腦", "手机", "0"), ("猫", "猫", "1")]
    path.write_text("".join(json.dumps({"query": q, "title": t, "label": g}) + "\n" for q, t, g in rows))
    assert web_searches(path).searches == [("电脑", [("电脑价格", 2), ("手机", 0)])]
    path.write_text("{}\n")
    with pytest.raises(DataError, match="required a line of JSON"):
        web_searches(path)


def test_a_folder_has_the_tasks_of_its_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    public_data(tmp_path)
    shops(tmp_path / CHINESE)
    dictionary(tmp_path / DICTIONARIES)
    taxonomy(tmp_path / "categories")
    (tmp_path / WEB).parent.mkdir()
    (tmp_path / WEB).write_text(json.dumps({"query": "a", "title": "b", "label": "1"}) + "\n")
    (tmp_path / TAGGED_TITLES).mkdir()
    (tmp_path / TAGGED_TITLES / "ner_test.txt").write_text(TAGGED, encoding="utf-8")
    assert len(tasks_in(tmp_path, None)) == 1 + 1 + 2 + 8 + 1
    monkeypatch.setattr("training.distillation.corpus.HELD_OUT_ONE_IN", 1)
    assert set(held_out_translations(tmp_path)) == {("耳机", "headphones"), ("四件套", "four pieces"), ("小", "small")}
    with pytest.raises(DataError, match="required the data"):
        tasks_in(tmp_path / "nothing", None)
