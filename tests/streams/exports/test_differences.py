"""Differences of two inventories, and how much they matter."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from streams.assets.inventory import Asset, Inventory
from streams.exports.differences import differences
from tests.streams.assets.inventories import messages, small_inventory

BEFORE = small_inventory()


def changed(name: str, **values: Any) -> Inventory:
    """Return the inventory with another asset of this id."""
    return msgspec.structs.replace(
        BEFORE,
        assets=tuple(msgspec.structs.replace(each, **values) if each.id == name else each for each in BEFORE.assets),
    )


def without(field: str) -> dict[str, Any]:
    return {"fields": tuple(each for each in clicks().fields if each.name != field)}


def retyped(field: str, **values: Any) -> dict[str, Any]:
    return {
        "fields": tuple(
            msgspec.structs.replace(each, **values) if each.name == field else each for each in clicks().fields
        )
    }


def clicks() -> Asset:
    found = BEFORE.asset("topic/clicks")
    assert found is not None
    return found


def test_an_inventory_does_not_differ_from_itself_nor_by_counts_and_rates() -> None:
    assert differences(BEFORE, BEFORE) == ()
    assert differences(BEFORE, changed("topic/clicks", messages=9, rate=1.0, size_bytes=5, hourly=())) == ()


@pytest.mark.parametrize(
    ("values", "what", "weight"),
    [
        ({"partitions": 16}, "partitions", "breaks"),
        ({"retention_hours": 24.0}, "retention hours", "check"),
        ({"owner": "operator"}, "owner", "note"),
        ({"personal": "none"}, "personal data", "note"),
        (without("user_id"), "user_id", "breaks"),
        (without("price"), "price", "check"),
        (retyped("price", types=("text",)), "price: type", "breaks"),
        (retyped("context.page", types=("number", "text")), "context.page: type", "check"),
        (retyped("price", completeness=0.3), "price: completeness", "check"),
        (retyped("price", completeness=0.9), "price: completeness", "note"),
        (retyped("price", required=True), "price: required", "breaks"),
        (retyped("context.device", found={"phone": 2}), "context.device: personal data", "check"),
        ({"producers": ()}, "producer", "check"),
    ],
)
def test_a_change_of_a_topic_is_reported_with_its_weight(values: dict[str, Any], what: str, weight: str) -> None:
    found = differences(BEFORE, changed("topic/clicks", **values))
    assert {(each.asset, each.what, each.weight) for each in found} == {("topic/clicks", what, weight)}


def test_new_and_missing_assets_and_ways_of_the_data_are_reported() -> None:
    fewer = small_inventory([each for each in messages() if each.stream.type != "search"], sources=("trending",))
    found = {(each.asset, each.what, each.before or each.after): each.weight for each in differences(BEFORE, fewer)}
    assert found["event/search", "asset", "search"] == "check"
    assert found["topic/sessions", "feeds", "source/sessions"] == "check"
    back = {(each.asset, each.what): each.weight for each in differences(fewer, BEFORE)}
    assert back["event/search", "asset"] == "note"
    gone = msgspec.structs.replace(BEFORE, assets=tuple(each for each in BEFORE.assets if each.id != "table/pairs"))
    (lost,) = differences(BEFORE, gone)
    assert (lost.asset, lost.weight) == ("table/pairs", "breaks")
