from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec
import pytest

from streams.contracts.messages import Purchase
from streams.errors import ConfigurationError
from tests.pages import block
from tests.training.importing.shops import Shop, acts, imported, written
from training.importing.formats import find_format
from training.importing.mapping import EventMapping, ItemMapping

CSV = """\
format = "csv"

[items]
item_id = "Artikel"
variant_id = "EAN"
title = "Bezeichnung"
category = {field = "Warengruppe", separator = "|"}
price = "Preis"
currency = {value = "EUR"}
in_stock = "Bestand"
released_at = "Seit"

[items.attributes]
colour = "Farbe"

[events]
type = "Aktion"
user_id = "Kunde"
occurred_at = "Zeit"
item_id = {field = "URL", pattern = "/p/([a-z0-9]+)"}
query = "Suche"
quantity = "Menge"
price = "Preis"

[events.types]
Ansicht = "view"
Kauf = "purchase"
Suche = "search"
"""
ITEMS = """\
Artikel;EAN;Bezeichnung;Warengruppe;Preis;Bestand;Farbe;Seit
a1;401;Tasse;Küche|Geschirr;1.299,00;3;rot;31.01.2026
a1;402;;;1.199,00;0;blau;
"""
EVENTS = """\
Aktion;Kunde;Zeit;URL;Suche;Menge;Preis
Ansicht;7;31.07.2026 14:00:00;https://shop.example/p/401?x=1;;;
Suche;7;31.07.2026 13:00:00;;rote tasse;;
Kauf;7;31.07.2026 15:00:00;/p/a1;;2;"1.299,00"
Rückgabe;7;31.07.2026 16:00:00;/p/a1;;;
Ansicht;7;31.07.2026 17:00:00;/impressum;;;
"""


def shop(folder: Path, mapping: str, name: str = "mapping.toml") -> Shop:
    file = str(written(folder / name, mapping))
    return imported(folder, catalog=(file, ITEMS), events=(file, EVENTS), zone="Europe/Berlin", locale="de_DE")


def test_a_mapping_names_the_columns_of_csv(tmp_path: Path) -> None:
    found = shop(tmp_path, CSV)
    (cup,) = found.items.values()
    assert (cup.item_id, cup.title, cup.category) == ("a1", "Tasse", ("Küche", "Geschirr"))
    assert (cup.price, cup.currency, cup.in_stock, cup.attributes) == (1299.0, "EUR", True, {"colour": "rot, blau"})
    assert cup.released_at is not None
    assert cup.released_at.isoformat() == "2026-01-30T23:00:00+00:00"
    assert acts(found.events) == [("7", "search", "rote tasse"), ("7", "view", "a1"), ("7", "purchase", "a1")]
    bought = found.events[-1]
    assert isinstance(bought, Purchase)
    assert (bought.quantity, bought.price, bought.occurred_at.hour) == (2, 1299.0, 13)
    assert found.report.events is not None
    assert set(found.report.events.dropped) == {
        "event Rückgabe is not in the mapping's types", "item_id is missing",
    }  # fmt: skip


def test_the_ids_of_a_mapping_are_the_same_in_every_import(tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()
    assert shop(tmp_path, CSV).events == shop(tmp_path / "again", CSV).events


def test_a_mapping_as_json_for_orders_with_lines(tmp_path: Path) -> None:
    mapping = {
        "format": "jsonl",
        "events": {
            "type": {"value": "purchase"}, "user_id": "customer.id", "occurred_at": "created", "event_id": "number",
            "items": "order.lines", "item_id": "product.sku", "quantity": "count", "price": "unit_price",
        },
    }  # fmt: skip
    lines = [{"product": {"sku": "a"}, "count": 2, "unit_price": 5}, {"product": {"sku": "b"}, "count": 1}]
    order = {"number": 17, "created": 1769868000, "customer": {"id": 7}, "order": {"lines": lines}}
    broken = {**order, "order": {"lines": "none"}}
    file = str(written(tmp_path / "orders.json", json.dumps(mapping)))
    found = imported(tmp_path, events=(file, json.dumps(order) + "\n" + json.dumps(broken)))
    assert acts(found.events) == [("7", "purchase", "a"), ("7", "purchase", "b")]
    assert {each.event_id for each in found.events} == {"17"}
    assert found.report.events is not None
    assert list(found.report.events.dropped) == ["order.lines is not a list of objects"]


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ("format = ", "required a mapping file"),
        ('format = "xls"', "Invalid enum value"),
        ('format = "csv"\n[items]\nitem_id = "a"', "missing required field `title`"),
        ('format = "csv"\n[items]\nitem_id = "a"\ntitle = "b"\ncolour = "c"', "unknown field `colour`"),
        ('format = "csv"\n[items]\nitem_id = {field = "a", pattern = "("}\ntitle = "b"', "required a mapping file"),
        ('format = "csv"\n[events]\ntype="a"\nuser_id="b"\noccurred_at="c"\ntypes = {a = "like"}', "Invalid enum"),
    ],
)
def test_an_invalid_mapping_is_an_error(tmp_path: Path, mapping: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        find_format(str(written(tmp_path / "m.toml", mapping)))


def test_a_missing_mapping_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="required a mapping file"):
        find_format(str(tmp_path / "absent.toml"))


def test_a_column_that_does_not_exist_is_reported(tmp_path: Path) -> None:
    mapping = 'format = "csv"\n[items]\nitem_id = "Artikel"\ntitle = "Name"\n'
    file = str(written(tmp_path / "m.toml", mapping))
    with pytest.raises(ConfigurationError, match=r":1: required the column Name, got: artikel"):
        imported(tmp_path, catalog=(file, ITEMS))


def test_the_mapping_file_of_the_documentation_is_valid(tmp_path: Path) -> None:
    file = written(tmp_path / "shop.toml", block("docs/own-shop.md", "toml", "product_no"))
    found = find_format(str(file))
    assert found.to_item is not None
    assert found.to_events is not None


@pytest.mark.parametrize(("table", "fields"), [("items", ItemMapping), ("events", EventMapping)])
def test_the_page_lists_all_fields_of_a_mapping(table: str, fields: type[msgspec.Struct]) -> None:
    page = (Path(__file__).parents[3] / "docs" / "own-shop.md").read_text()
    (row,) = re.findall(rf"^\| `{table}` \|.*$", page, re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", row)) == {table, *fields.__struct_fields__}
