"""The total and the facets of a search."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest

from inference.retrieval.vectors import quantise
from inference.types import Item, ItemNeighbours, stable_key
from streams.contracts.internal import ItemVector
from tests.streams.http.service import HttpHarness, http_service
from tests.streams.http.test_recommendations import ids
from tests.streams.shoppers import unit_vector

Served = tuple[HttpHarness, httpx.AsyncClient]


def tea(number: int, **fields: Any) -> Item:
    return Item(item_id=f"tea{number}", title=f"Oolong leaves {number}", **fields)


TEAS = (
    tea(1, category=("Drinks", "Tea"), brand="Fjell", price=4.0, currency="EUR"),
    tea(2, category=("Drinks", "Tea", "Oolong"), brand="Fjell", price=12.0, currency="EUR"),
    tea(3, category=("Drinks", "Tea", "Oolong"), brand="Acme &amp; Sons", price=20.0, currency="EUR"),
    tea(4, category=("Gifts",), price=31.0, currency="EUR"),
    tea(5, price=9.0, currency="USD"),
    tea(6, category=("Drinks",), brand="Fjell", price=8.0, currency="EUR", in_stock=False),
)


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with http_service() as served:
        await served[0].add(*TEAS)
        yield served


async def found(client: httpx.AsyncClient, q: str = "oolong leaves", **params: Any) -> dict[str, Any]:
    if "filter" in params:
        params["filter"] = json.dumps(params["filter"])
    answer = await client.get("/v1/search", params={"q": q, **params})
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def test_the_total_counts_matching_items_and_not_the_list(served: Served) -> None:
    body = await found(served[1], k=2)
    assert (len(body["items"]), body["total"]) == (2, 5), "an item out of stock does not match"
    longer = await found(served[1], k=30, exclude=["tea1"])
    assert (len(longer["items"]), longer["total"]) == (30, 5), "the list goes on behind the matches"
    matching = [each["item_id"] for each in longer["items"] if each["matches"]]
    assert sorted(matching) == ["tea2", "tea3", "tea4", "tea5"]
    cut = (await found(served[1], k=30, exclude=["tea1"], matching=True))["items"]
    assert [(each["rank"], each["item_id"]) for each in cut] == [*enumerate(matching, start=1)]
    assert (await found(served[1], "nothing alike", matching=True))["items"] == []
    assert (await found(served[1], "nothing alike"))["total"] == 0
    assert (await found(served[1], "!!"))["total"] == 0


async def test_a_list_of_matches_is_as_long_as_asked_for_also_behind_items_that_do_not_match(served: Served) -> None:
    (first,) = (await found(served[1], "oolong leaves 4", k=1))["items"]
    assert not first["matches"], "the case of this test: the first item does not match"
    listed = await found(served[1], "oolong leaves 4", k=2, matching=True)
    assert (len(listed["items"]), listed["total"]) == (2, 3)
    assert [(each["rank"], each["matches"]) for each in listed["items"]] == [(1, True), (2, True)]


async def test_items_match_by_words_by_meaning_and_by_what_shoppers_clicked(served: Served) -> None:
    harness, client = served
    # A search matches itself by meaning: the fake encoder gives equal texts equal vectors.
    item = Item(item_id="lamp", title="Lamp")
    vector = quantise(unit_vector("warm light")).tobytes()
    harness.live.apply("lamp", ItemVector(item=item, space="m/1", text_hash=1, vector=vector))
    await harness.scoring.update(harness.live.take_changes())
    assert (await found(client, "warm light"))["total"] == 1
    harness.behaviour.learn([
        ItemNeighbours(key=stable_key("tea1"), as_of_ms=1, weight=9.0, queries={"warm light": 5.0})
    ])  # fmt: skip
    assert (await found(client, "warm light"))["total"] == 2
    assert (await found(client, "tea4"))["total"] == 1, "the id of an item"


async def test_facets_count_the_matches(served: Served) -> None:
    facets = (await found(served[1]))["facets"]
    assert facets["categories"] == [
        {"path": ["Drinks"], "count": 3},
        {"path": ["Drinks", "Tea"], "count": 3},
        {"path": ["Drinks", "Tea", "Oolong"], "count": 2},
        {"path": ["Gifts"], "count": 1},
    ]
    assert facets["brands"] == [{"brand": "Fjell", "count": 2}, {"brand": "Acme & Sons", "count": 1}]
    prices = facets["prices"]
    assert {each["currency"] for each in prices} == {"EUR"}
    assert [each["count"] for each in prices] == [1, 2, 1, 1], "a price on a border is in both ranges"
    assert [(each["min_price"], each["max_price"]) for each in prices] == [(0, 10), (10, 20), (20, 30), (30, 40)]


async def test_each_facet_is_a_filter_that_finds_as_many_items(served: Served) -> None:
    facets = (await found(served[1]))["facets"]
    wanted = (
        [({"categories": [each["path"]]}, each["count"]) for each in facets["categories"]]
        + [({"brands": [each["brand"]]}, each["count"]) for each in facets["brands"]]
        + [
            ({name: each[name] for name in ("min_price", "max_price", "currency")}, each["count"])
            for each in facets["prices"]
        ]
    )
    assert len(wanted) > 6
    for chosen, count in wanted:
        body = await found(served[1], filter=chosen, k=30)
        assert body["total"] == count, chosen
        assert sum(each["count"] for each in body["facets"]["prices"]) >= len(body["facets"]["prices"])


async def test_facets_of_attributes_mark_what_is_derived() -> None:
    async with http_service() as (harness, client):
        await harness.add(
            tea(1, attributes={"colour": "Black"}),
            Item(item_id="b2", title="Oolong leaves black 500 g"),
            Item(item_id="b3", title="Oolong leaves, 6-pack"),
        )
        facets = (await found(client))["facets"]["attributes"]
        assert facets == [
            {"name": "colour", "values": [{"value": "Black", "count": 2, "derived": 1}]},
            {"name": "capacity", "values": [{"value": "500 g", "count": 1, "derived": 1}]},
            {"name": "quantity", "values": [{"value": "6", "count": 1, "derived": 1}]},
        ]
        for facet in facets:
            chosen = {"attributes": {facet["name"]: [facet["values"][0]["value"]]}}
            assert (await found(client, filter=chosen))["total"] == facet["values"][0]["count"]
        ranked = [(each["item_id"], each["score"]) for each in (await found(client))["items"]]
    async with http_service(derive_attributes="none") as (harness, client):
        await harness.add(
            tea(1, attributes={"colour": "Black"}),
            Item(item_id="b2", title="Oolong leaves black 500 g"),
            Item(item_id="b3", title="Oolong leaves, 6-pack"),
        )
        body = await found(client)
        assert body["facets"]["attributes"] == []
        assert [(each["item_id"], each["score"]) for each in body["items"]] == ranked, "no list changes"
        assert (await found(client, filter={"attributes": {"colour": ["Black"]}}))["total"] == 1


async def test_a_filter_limits_the_total(served: Served) -> None:
    assert (await found(served[1], filter={"in_stock": None}))["total"] == 6
    assert (await found(served[1], filter={"in_stock": False}))["total"] == 1
    body = await found(served[1], filter={"brands": ["Fjell"]}, k=1)
    assert (body["total"], body["facets"]["brands"]) == (2, [{"brand": "Fjell", "count": 2}])


async def test_facets_follow_the_catalogue(served: Served) -> None:
    harness, client = served
    await harness.add(msgspec.structs.replace(TEAS[0], brand="Other", category=("New",), price=200.0))
    facets = (await found(client))["facets"]
    assert {"brand": "Other", "count": 1} in facets["brands"]
    assert {"path": ["New"], "count": 1} in facets["categories"]
    assert facets["prices"][-1]["max_price"] >= 200
    harness.live.apply("tea1", None)
    await harness.scoring.update(harness.live.take_changes())
    assert (await found(client))["total"] == 4


async def test_a_personal_search_has_the_same_total(served: Served) -> None:
    body = await found(served[1], user="u")
    assert (body["total"], body["user_id"]) == (5, "u")
    assert len(ids(await served[1].get("/v1/search", params={"q": "oolong leaves", "k": 3}))) == 3
