"""The converters of public data sets, on synthetic rows."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from click.testing import CliRunner

from streams.contracts.jsonlines import read_events, read_items
from streams.contracts.messages import Purchase
from streams.demo.purchases import Lines, Product, Purchases
from training.datasets import complete_journey
from training.datasets.__main__ import main

HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
ROWS = """\
2,A,BLUE  MUG ,3,2011-01-02 10:00:00,2.5,17.0,UK
2,B,RED MUG,1,2011-01-02 10:00:00,1.0,17.0,UK
1,A,BLUE MUG,1,2011-01-01 10:00:00,3.5,18.0,UK
1,A,damaged,1,2011-01-01 10:01:00,2.5,18.0,UK
C3,A,BLUE MUG,1,2011-01-03 10:00:00,2.5,17.0,UK
4,A,BLUE MUG,-1,2011-01-03 10:00:00,2.5,17.0,UK
5,A,BLUE MUG,1,2011-01-03 10:00:00,0,17.0,UK
6,A,BLUE MUG,1,2011-01-03 10:00:00,2.5,,UK
"""


def retail(folder: Path, text: str) -> Path:
    path = folder / "retail.csv.gz"
    path.write_bytes(gzip.compress(text.encode()))
    return path


def test_online_retail_keeps_valid_purchases_in_order_of_time(tmp_path: Path) -> None:
    result = CliRunner().invoke(
        main, ["online-retail", str(retail(tmp_path, HEADER + ROWS)), "--output", str(tmp_path)]
    )
    assert result.exit_code == 0, result.output
    assert "4 interactions of 2 shoppers in 2 sessions" in result.output
    items = [line.message for line in read_items(tmp_path / "items.jsonl")]
    assert [(item.item_id, item.title, item.price) for item in items] == [("A", "BLUE MUG", 2.5), ("B", "RED MUG", 1.0)]
    events = [line.message for line in read_events(tmp_path / "events.jsonl")]
    assert [event.event_id for event in events] == ["1-0", "1-1", "2-0", "2-1"]
    first, second = events[2:]
    assert isinstance(first, Purchase)
    assert (first.user_id, first.session_id, first.quantity, first.price) == ("17", "2", 3, 2.5)
    assert (second.occurred_at - first.occurred_at).total_seconds() == 1
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "InvoiceNo is missing"),
        (HEADER, "required usable rows in the data"),
        (HEADER + "1,A,MUG,many,2011-01-02 10:00:00,2.5,17.0,UK\n", "line 2: required a line of an invoice"),
    ],
)
def test_invalid_online_retail_data_is_an_error(tmp_path: Path, text: str, message: str) -> None:
    result = CliRunner().invoke(main, ["online-retail", str(retail(tmp_path, text)), "--output", str(tmp_path / "out")])
    assert result.exit_code == 1
    assert message in result.output
    assert not (tmp_path / "out").exists()


def test_a_truncated_archive_is_an_error(tmp_path: Path) -> None:
    path = retail(tmp_path, HEADER + ROWS)
    path.write_bytes(path.read_bytes()[:60])
    result = CliRunner().invoke(main, ["online-retail", str(path), "--output", str(tmp_path / "out")])
    assert result.exit_code == 1
    assert "readable CSV" in result.output


def chorus(folder: Path) -> None:
    products = [
        {"id": "9", "title": "A fine lamp", "short_description": "It shines.", "supplier": "Lux",
         "attr_t_product_type": "Lamp"},
        {"id": "10", "name": "B-7", "title": "", "price": 3},
    ]  # fmt: skip
    with ZipFile(folder / "products_1.json.zip", "w") as archive:
        archive.writestr("1.json", json.dumps(products))
    (folder / "Broad_Query_Set_rated.csv").write_text("query,docid,rating\nlamp,9,3\nlamp,10,0\n")


def test_chorus_items_have_all_fields_or_titles_only(tmp_path: Path) -> None:
    chorus(tmp_path)
    for options, expected in (([], ("It shines.", "Lux", ("Lamp",))), (["--titles-only"], (None, None, ()))):
        output = tmp_path / f"out{len(options)}"
        result = CliRunner().invoke(main, ["chorus", str(tmp_path), "--output", str(output), *options])
        assert result.exit_code == 0, result.output
        ten, nine = (line.message for line in read_items(output / "items.jsonl"))
        assert (ten.item_id, ten.title) == ("10", "B-7")
        assert (nine.description, nine.brand, nine.category) == expected
        assert (output / "judgements.csv").read_text() == "query,item_id,grade\nlamp,9,3\nlamp,10,0\n"


def test_missing_chorus_files_are_an_error(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["chorus", str(tmp_path), "--output", str(tmp_path)])
    assert result.exit_code == 1
    assert "Broad_Query_Set_rated.csv" in result.output
    (tmp_path / "Broad_Query_Set_rated.csv").write_text("query,docid,rating\nlamp,9,3\n")
    result = CliRunner().invoke(main, ["chorus", str(tmp_path), "--output", str(tmp_path)])
    assert "got none" in result.output


def test_complete_journey_has_purchases_only() -> None:
    products = (
        Product(1, "GROCERY", "National", "SOUP", "TOMATO SOUP", "10 OZ", 7),
        Product(2, "PRODUCE", "National", "FRUIT", "APPLES", None, 7),
        Product(3, "FUEL", "National", "FUEL", "FUEL", None, 7),
    )
    columns = [[7, 7, 8, 8], [70, 70, 80, 80], [1, 3, 2, 1], [1, 1, 2, 0], [1.234, 9, 2, 3], [1, 9, 2, 3], [5, 5, 9, 9]]
    shop = Purchases(products, Lines(*map(np.array, columns)))
    items, events = complete_journey.shop(shop, 10, None, 0)
    assert {item.item_id for item in items} == {"1", "2"}
    assert [(each.user_id, each.session_id, getattr(each, "item_id", None)) for each in events] == [
        ("7", "70", "1"), ("8", "80", "2"),
    ]  # fmt: skip
    assert all(isinstance(each, Purchase) for each in events)
    assert len({each.user_id for each in complete_journey.shop(shop, 10, 1, 0)[1]}) == 1
