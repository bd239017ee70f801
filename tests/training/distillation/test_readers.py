"""A shop's files and public data sets as training data."""

from __future__ import annotations

import gzip
import json
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from inference.errors import DataError
from training.distillation.public_texts import read_datasets, sources_in
from training.distillation.shop_texts import read_shop

START = datetime(2024, 5, 1, 12, tzinfo=UTC)
ITEMS = [
    {"item_id": "a", "title": "Oat  milk", "brand": "Acme"},
    {"item_id": "b", "title": "Bread"},
    {"item_id": "c", "title": "Tea"},
]


def event(kind: str, minute: float, **fields: Any) -> dict[str, Any]:
    at = (START + timedelta(minutes=minute)).isoformat()
    return {"type": kind, "event_id": "e", "user_id": "u", "occurred_at": at, "session_id": "s", **fields}


def written(folder: Path, name: str, messages: list[dict[str, Any]]) -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(each) + "\n" for each in messages))
    return path


def test_titles_and_lines_are_read_from_a_catalogue(tmp_path: Path) -> None:
    texts = read_shop(written(tmp_path, "items.jsonl", ITEMS))
    assert texts.titles == ("Oat milk", "Bread", "Tea")
    assert texts.lines[0] == ("Oat milk", "Oat milk. Acme")


def test_a_search_is_paired_with_the_next_items_of_its_session(tmp_path: Path) -> None:
    events = [
        event("search", 0, query=" OAT  drink "),
        event("view", 1, item_id="a"),
        event("purchase", 2, item_id="gone"),
        event("view", 40, item_id="b"),
        event("search", 41, query="tea", context={"synthetic": True}),
        event("click", 42, item_id="c"),
        event("search", 43, query="bread", session_id="t"),
        event("click", 44, item_id="b"),
    ]
    texts = read_shop(written(tmp_path, "i.jsonl", ITEMS), written(tmp_path, "e.jsonl", events))
    # Not paired: half an hour later, in another session, or after a synthetic search.
    assert texts.searches == (("oat drink", "Oat milk"),)


def test_purchases_of_a_session_are_a_basket_up_to_the_given_time(tmp_path: Path) -> None:
    bought = [event("purchase", at, item_id=item, session_id=str(at // 10)) for at, item in enumerate("abcab" * 4)]
    items, events = written(tmp_path, "i.jsonl", ITEMS), written(tmp_path, "e.jsonl", bought)
    assert read_shop(items, events).baskets == (("Oat milk", "Bread", "Tea"),) * 2
    early = read_shop(items, events, until=START + timedelta(minutes=2))
    assert early.baskets == (("Oat milk", "Bread"),)


def test_a_compressed_file_is_read_and_invalid_files_are_errors(tmp_path: Path) -> None:
    compressed = tmp_path / "items.jsonl.gz"
    compressed.write_bytes(gzip.compress(json.dumps(ITEMS[0]).encode() + b"\n"))
    assert read_shop(compressed).titles == ("Oat milk",)
    with pytest.raises(DataError, match=r"i\.jsonl, line 2: .*title"):
        read_shop(written(tmp_path, "i.jsonl", [ITEMS[0], {"item_id": "x"}]))
    with pytest.raises(DataError, match=r"gone\.jsonl: cannot be read"):
        read_shop(tmp_path / "gone.jsonl")


def public_data(folder: Path) -> Path:
    chorus, matching, retail = (folder / each for each in ("chorus_electronics", "product_matching", "online_retail"))
    for each in (chorus, matching, retail):
        each.mkdir(parents=True)
    products = [{"id": "1", "title": "Acme TV", "supplier": "Acme", "short_description": "A <br />TV &amp; radio"},
                {"id": "2", "title": "Lamp", "supplier": "Lux"}]  # fmt: skip
    with zipfile.ZipFile(chorus / "products_1.json.zip", "w") as file:
        file.writestr("1.json", json.dumps(products))
    (chorus / "Broad_Query_Set_rated.csv").write_text("query,docid,rating\nTV,1,3\nTV,2,0\n")
    (matching / "titles.txt.gz").write_bytes(gzip.compress(b"tv one\ntv two\n"))
    (matching / "pairs.tsv.gz").write_bytes(gzip.compress(b"title_a\ttitle_b\tmatch\ntv one\ttv two\t1\n"))
    rows = "".join(f"{5 + at // 2},X,MUG {at},1,2011-01-0{1 + at} 08:00:00,1.0,7.0,UK\n" for at in range(5))
    head = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
    refused = "C9,X,GONE,1,2011-01-01 08:00:00,1.0,7.0,UK\n9,X,NOBODY,1,2011-01-01 08:00:00,1.0,,UK\n"
    (retail / "online_retail.csv.gz").write_bytes(gzip.compress((head + rows + refused).encode()))
    return folder


def test_public_data_sets_are_read_without_their_last_fifth(tmp_path: Path) -> None:
    texts = read_datasets(public_data(tmp_path))
    assert texts.graded == (("tv", (("Acme TV", 3), ("Lamp", 0))),)
    assert texts.descriptions == (("Acme TV", "A TV & radio"),)
    assert texts.matches == (("tv one", "tv two", True),)
    assert texts.baskets == (("MUG 0", "MUG 1"), ("MUG 2", "MUG 3"))
    assert "MUG 4" not in texts.titles
    assert [each.licence for each in sources_in(tmp_path)][-1] == "CC BY 4.0"


def test_a_folder_without_data_sets_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="one of the folders chorus_electronics, product_matching, online_retail"):
        read_datasets(tmp_path)
