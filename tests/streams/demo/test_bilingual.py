"""The Chinese demo's goods in two languages, with graded searches, as files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from click.testing import CliRunner

from inference.chinese import is_chinese
from streams.demo.chinese.bilingual import graded_searches, main
from streams.demo.chinese.goods import read_kinds


def test_the_files_have_all_goods_in_both_languages_and_the_searches_of_their_kinds(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, [str(tmp_path / "shop")])
    assert result.exit_code == 0, result.output
    kinds = read_kinds()
    decode = msgspec.json.Decoder(dict[str, Any]).decode
    goods = [decode(line) for line in (tmp_path / "shop" / "items.jsonl").read_bytes().splitlines()]
    searches = [decode(line) for line in (tmp_path / "shop" / "queries.jsonl").read_bytes().splitlines()]
    assert [each["item_id"] for each in goods] == [item.item_id for kind in kinds.values() for item in kind.items]
    assert all(not is_chinese(each["title_en"]) for each in goods)
    assert {each["language"] for each in searches} == {"zh", "en"}
    assert str(len(searches)) in result.output


def test_a_search_has_its_kind_and_the_others_of_its_group() -> None:
    kinds = read_kinds()
    searches = list(graded_searches(list(kinds.values())))
    rice = next(each for each in searches if each["query"] == "rice")
    assert rice["item_ids"] == [item.item_id for item in kinds["大米"].items]
    groups = {item.item_id: item.category[:-1] for kind in kinds.values() for item in kind.items}
    (group,) = {groups[each] for each in rice["item_ids"]}
    assert set(rice["related_ids"]) == {each for each, of in groups.items() if of == group} - set(rice["item_ids"])
