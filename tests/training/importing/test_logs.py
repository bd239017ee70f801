"""The presets of logs, on small exports in the form of each platform's documentation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from streams.contracts.messages import Purchase, Search, View
from streams.errors import NothingImported
from tests.training.importing.shops import acts, imported
from training.importing.snowplow import COLUMNS


def json_lines(*rows: Any) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def ga4(name: str, at: str = "1769864561000000", **fields: Any) -> dict[str, Any]:
    """An event of "BigQuery Export schema". BigQuery writes INT64 as strings and FLOAT64 as numbers."""
    session = {"key": "ga_session_id", "value": {"string_value": None, "int_value": "1769860000"}}
    parameters = [session, *fields.pop("event_params", [])]
    return {
        "event_date": "20260131", "event_timestamp": at, "event_name": name, "event_params": parameters,
        "user_id": None, "user_pseudo_id": "1234.5678", "event_bundle_sequence_id": "7", **fields,
    }  # fmt: skip


TEE = {
    "item_id": "TEE", "item_name": "Classic Tee", "item_brand": "Fjell", "item_variant": "red",
    "item_category": "Apparel", "item_category2": "Shirts", "item_category3": "(not set)",
    "price": 19.9, "quantity": "2", "coupon": "(not set)",
}  # fmt: skip
CURRENCY = {"key": "currency", "value": {"string_value": "EUR"}}


def test_ga4_actions_searches_and_items(tmp_path: Path) -> None:
    term = {"key": "search_term", "value": {"string_value": "warm tee"}}
    mug = {"item_id": "(not set)", "item_name": "Mug", "quantity": "1"}
    log = json_lines(
        ga4("purchase", "1769864600000000", user_id="anna", items=[TEE, mug], ecommerce={"transaction_id": "T-1"},
            event_params=[CURRENCY]),
        ga4("view_search_results", event_params=[term]),
        ga4("view_item", "1769864562000000", items=[TEE], event_params=[CURRENCY]),
        ga4("select_item", "1769864561500000", items=[TEE]),
        ga4("add_to_cart", "1769864563000000", items=[TEE]),
        ga4("page_view", items=[]),
        ga4("purchase", items=[], ecommerce={}),
        ga4("view_item", items=[{"price": 3}]),
    )  # fmt: skip
    shop = imported(tmp_path, events=("ga4", log))
    assert acts(shop.events) == [
        ("1234.5678", "search", "warm tee"), ("1234.5678", "click", "TEE"), ("1234.5678", "view", "TEE"),
        ("1234.5678", "cart", "TEE"), ("anna", "purchase", "Mug"), ("anna", "purchase", "TEE"),
    ]  # fmt: skip
    bought = shop.events[-1]
    assert isinstance(bought, Purchase)
    assert (bought.event_id, bought.session_id, bought.quantity, bought.price) == (
        "T-1", "1234.5678.1769860000", 2, 19.9,
    )  # fmt: skip
    assert bought.occurred_at.isoformat() == "2026-01-31T13:03:20+00:00"
    tee = shop.items["TEE"]
    assert (tee.title, tee.brand, tee.category, tee.price, tee.currency) == (
        "Classic Tee", "Fjell", ("Apparel", "Shirts"), 19.9, "EUR",
    )  # fmt: skip
    assert set(shop.items) == {"TEE", "Mug"}
    assert shop.report.events is not None
    assert {reason: tally.count for reason, tally in shop.report.events.dropped.items()} == {
        "event page_view is no action on an item": 1, "event purchase has no items": 1, "item_id is missing": 1,
    }  # fmt: skip


def track(event: str, number: int, **properties: Any) -> dict[str, Any]:
    """A track call of "Spec: V2 Ecommerce Events"."""
    return {
        "type": "track", "event": event, "messageId": f"m{number}", "anonymousId": "anon", "userId": None,
        "timestamp": f"2026-01-31T13:00:{number:02}.000Z", "context": {"sessionId": 17}, "properties": properties,
    }  # fmt: skip


def test_segment_actions(tmp_path: Path) -> None:
    product = {
        "product_id": "507f1f77bcf86cd799439011", "sku": "G-32", "category": "Games/Board", "name": "Monopoly",
        "brand": "Hasbro", "variant": "200 pieces", "price": 18.99, "quantity": 1, "currency": "usd",
    }  # fmt: skip
    order = {"order_id": "o", "currency": "EUR", "products": [product, {"sku": "U-1", "name": "Uno", "price": "7.5"}]}
    log = json_lines(
        track("Products Searched", 1, query="board games"),
        track("Product Clicked", 2, **product),
        track("Product Viewed", 3, **product),
        track("Product Added", 4, **product),
        {**track("Order Completed", 5, **order), "userId": "anna"},
        track("Checkout Started", 6, **order),
        {"type": "page", "anonymousId": "anon"},
        {**track("Product Viewed", 7, **product), "timestamp": None},
        {**track("Order Completed", 8), "properties": {"products": "none"}},
    )
    shop = imported(tmp_path, events=("segment", log))
    game = "507f1f77bcf86cd799439011"
    assert acts(shop.events) == [
        ("anon", "search", "board games"), ("anon", "click", game), ("anon", "view", game), ("anon", "cart", game),
        ("anna", "purchase", game), ("anna", "purchase", "U-1"),
    ]  # fmt: skip
    assert (shop.events[0].event_id, shop.events[0].session_id) == ("m1", "17")
    assert (shop.items[game].category, shop.items["U-1"].price) == (("Games", "Board"), 7.5)
    assert shop.report.events is not None
    assert list(shop.report.events.dropped) == [
        "event Checkout Started is no action on an item", "call page is no action on an item", "time is missing",
        "record has another form than its format",
    ]  # fmt: skip


def test_segment_events_find_the_item_by_sku(tmp_path: Path) -> None:
    catalog = "Handle,Title,Variant SKU,Variant Price\nmonopoly,Monopoly,G-32,18.99\n"
    log = json_lines(track("Product Viewed", 1, product_id="7001", sku="G-32"))
    shop = imported(tmp_path, catalog=("shopify", catalog), events=("segment", log))
    assert acts(shop.events) == [("anon", "view", "monopoly")]


ECOMMERCE = "iglu:com.snowplowanalytics.snowplow.ecommerce"
PRODUCT = {"id": "P-1", "name": "Lamp", "category": "Home/Lighting", "price": 49, "currency": "EUR", "quantity": 2}


def enriched(at: str, name: str, unstruct: Any = None, contexts: Any = None, **fields: str) -> str:
    """A line of "Enriched stream TSV file format": 131 columns without a header."""
    columns = [""] * 131
    values = {
        "event": "unstruct", "event_name": name, "event_id": f"e-{at}", "domain_userid": "d1", "domain_sessionid": "s1",
        "collector_tstamp": "2026-01-31 13:09:09.000", "derived_tstamp": f"2026-01-31 13:00:{at}.123", **fields,
    }  # fmt: skip
    if unstruct is not None:
        schema, data = unstruct
        inner = {"schema": schema, "data": data}
        outer = {"schema": "iglu:com.snowplowanalytics.snowplow/unstruct_event/jsonschema/1-0-0", "data": inner}
        values["unstruct_event"] = json.dumps(outer)
    if contexts is not None:
        values["contexts"] = json.dumps({"schema": "contexts", "data": contexts})
    for column, value in values.items():
        columns[COLUMNS[column]] = value
    return "\t".join(columns) + "\n"


def test_snowplow_lines(tmp_path: Path) -> None:
    entity = {"schema": f"{ECOMMERCE}/product/jsonschema/1-0-0", "data": PRODUCT}
    page = {"schema": "iglu:com.snowplowanalytics.snowplow/web_page/jsonschema/1-0-0", "data": {"id": "x"}}

    def action(at: str, kind: str, **fields: str) -> str:
        schema = f"{ECOMMERCE}/snowplow_ecommerce_action/jsonschema/1-0-2"
        return enriched(at, "snowplow_ecommerce_action", (schema, {"type": kind}), [page, entity], **fields)

    search = ("iglu:com.snowplowanalytics.snowplow/site_search/jsonschema/1-0-0", {"terms": ["desk", "lamp"]})
    cart = ("iglu:com.snowplowanalytics.snowplow/add_to_cart/jsonschema/1-0-0",
            {"sku": "P-2", "name": "Desk", "unitPrice": 99.5, "quantity": 1, "currency": "EUR"})  # fmt: skip
    log = "".join((
        enriched("01", "site_search", search),
        action("02", "list_click"),
        action("03", "product_view"),
        action("04", "add_to_cart", user_id="anna"),
        action("05", "transaction"),
        enriched("06", "add_to_cart", cart),
        enriched("07", "transaction_item", event="transaction_item", ti_sku="P-2", ti_price="99.5", ti_quantity="3"),
        action("08", "remove_from_cart"),
        enriched("09", "page_view", event="page_view"),
        "too\tshort\n",
    ))  # fmt: skip
    shop = imported(tmp_path, events=("snowplow", log))
    assert acts(shop.events) == [
        ("d1", "search", "desk lamp"), ("d1", "click", "P-1"), ("d1", "view", "P-1"), ("anna", "cart", "P-1"),
        ("d1", "purchase", "P-1"), ("d1", "cart", "P-2"), ("d1", "purchase", "P-2"),
    ]  # fmt: skip
    last = shop.events[-1]
    assert isinstance(last, Purchase)
    assert (last.quantity, last.price, last.session_id, last.event_id) == (3, 99.5, "s1", "e-07")
    assert last.occurred_at.isoformat() == "2026-01-31T13:00:07.123000+00:00"
    assert (shop.items["P-1"].category, shop.items["P-1"].price) == (("Home", "Lighting"), 49.0)
    assert shop.report.events is not None
    assert len(shop.report.events.dropped) == 3
    assert shop.report.events.remarks == {}


def test_snowplow_json_of_an_analytics_sdk(tmp_path: Path) -> None:
    prefix = "com_snowplowanalytics_snowplow_ecommerce"
    log = json_lines({
        "event_id": "e1", "event": "unstruct", "event_name": "snowplow_ecommerce_action", "user_id": "anna",
        "derived_tstamp": "2026-01-31T13:00:00.123Z", "domain_sessionid": "s1",
        f"unstruct_event_{prefix}_snowplow_ecommerce_action_1": {"type": "product_view"},
        f"contexts_{prefix}_product_1": [PRODUCT],
    })  # fmt: skip
    shop = imported(tmp_path, events=("snowplow", log))
    (event,) = shop.events
    assert isinstance(event, View)
    assert (event.item_id, event.price, shop.items["P-1"].title) == ("P-1", 49.0, "Lamp")


def test_retailrocket_events(tmp_path: Path) -> None:
    log = (
        "timestamp,visitorid,event,itemid,transactionid\n"
        "1433221332117,257597,view,355908,\n"
        "1433222276276,599528,transaction,356475,4000\n"
        "1433222276276,599528,transaction,15335,4000\n"
        "1433224214164,992329,addtocart,248676,\n"
        "1433224214164,992329,wish,248676,\n"
    )
    shop = imported(tmp_path, events=("retailrocket", log))
    assert acts(shop.events) == [
        ("257597", "view", "355908"), ("599528", "purchase", "15335"), ("599528", "purchase", "356475"),
        ("992329", "cart", "248676"),
    ]  # fmt: skip
    assert {each.event_id for each in shop.events[1:3]} == {"transaction-4000"}
    assert shop.items == {}
    assert not (tmp_path / "out" / "items.jsonl").exists()


def test_events_are_sorted_and_exact_repeats_are_dropped(tmp_path: Path) -> None:
    early, late = ga4("view_item", "1769864561000000", items=[TEE]), ga4("view_item", "1769864562000000", items=[TEE])
    shop = imported(tmp_path, events=("ga4", json_lines(late, early, late)))
    assert [each.occurred_at.second for each in shop.events] == [41, 42]
    assert shop.report.events is not None
    assert shop.report.events.dropped["event is repeated"].count == 1


def test_the_catalogue_has_the_latest_description_of_an_item(tmp_path: Path) -> None:
    new = {**TEE, "item_name": "New name", "price": 25.0}
    log = json_lines(
        ga4("view_item", "1769864562000000", items=[new]), ga4("view_item", "1769864561000000", items=[TEE])
    )
    assert imported(tmp_path, events=("ga4", log)).items["TEE"].title == "New name"


@pytest.mark.parametrize("line", ["not json", '{"event_name": "view_item"', "[1]", '{"a": 1}\udcff'])
def test_an_unreadable_line_is_dropped_alone(tmp_path: Path, line: str) -> None:
    content = line.encode(errors="surrogateescape") + b"\n" + json_lines(ga4("view_item", items=[TEE])).encode()
    shop = imported(tmp_path, events=("ga4", content))
    assert len(shop.events) == 1
    assert shop.report.events is not None
    (tally,) = shop.report.events.dropped.values()
    assert tally.examples[0].startswith("log:1")


@pytest.mark.parametrize(
    "fields",
    [
        {"items": 3}, {"items": [3]}, {"items": {"item_id": 1}}, {"event_params": 1},
        {"items": [TEE], "event_timestamp": {}}, {"items": [{"item_id": {"a": 1}, "price": []}]},
        {"items": [{**TEE, "price": "x", "quantity": "many"}]},
    ],
)  # fmt: skip
def test_fields_of_another_shape_stop_no_import(tmp_path: Path, fields: dict[str, Any]) -> None:
    broken = {**ga4("view_item"), **fields}
    shop = imported(tmp_path, events=("ga4", json_lines(broken, ga4("view_item", items=[TEE]))))
    assert shop.events[-1].type == "view"


def test_a_long_search_is_cut_and_an_empty_one_dropped(tmp_path: Path) -> None:
    log = json_lines(track("Products Searched", 1, query="x" * 2000), track("Products Searched", 2))
    (event,) = imported(tmp_path, events=("segment", log)).events
    assert isinstance(event, Search)
    assert len(event.query) == 1000


def test_no_usable_event_is_an_error_that_shows_an_id(tmp_path: Path) -> None:
    catalog = "Handle,Title\nmonopoly,Monopoly\n"
    log = json_lines(track("Product Viewed", 1, product_id="7001"))
    with pytest.raises(NothingImported, match=r"item is not in the catalogue\n +log:1: 7001"):
        imported(tmp_path, catalog=("shopify", catalog), events=("segment", log))
    assert not (tmp_path / "out" / "items.jsonl").exists()
