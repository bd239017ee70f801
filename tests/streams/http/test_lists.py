"""Lists for items, carts, searches and own candidates, and the lists that are the same for everybody."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import msgspec
import numpy as np
import pytest

from inference.types import Item, ItemNeighbours, stable_key
from tests.streams.http.service import CHANGELOG, ITEMS, LIST_SIZE, OWN_URL, HttpHarness, http_service
from tests.streams.http.test_recommendations import ids, problem
from tests.streams.shoppers import act, item_of, unit_vector

Served = tuple[HttpHarness, httpx.AsyncClient]
JSON = {"Content-Type": "application/json"}


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with http_service() as served:
        yield served


def nearest(text: str) -> list[str]:
    return sorted(ITEMS, key=lambda item: -float(unit_vector(text) @ unit_vector(item)))


async def test_related_items_are_alike_and_leave_the_item_out(served: Served) -> None:
    answer = await served[1].get("/v1/items/i3/related")
    assert ids(answer) == nearest("i3")[1 : LIST_SIZE + 1]
    first = answer.json()["items"][0]
    assert (first["because"], first["reason"]) == ({"kind": None}, "may suit you")  # too little alike for a claim
    assert answer.json()["fallback"] is None
    others = await served[1].get("/v1/items/i3/related", params={"k": 2, "exclude": ids(answer)})
    assert ids(others) == nearest("i3")[LIST_SIZE + 1 : LIST_SIZE + 3]


async def test_related_items_are_also_those_that_shoppers_act_on_together(served: Served) -> None:
    harness, client = served
    last = nearest("i3")[-1]
    key, other = stable_key("i3"), stable_key(last)
    harness.behaviour.learn([
        ItemNeighbours(key=other, as_of_ms=1, weight=9.0, before={key: 9.0}),
        ItemNeighbours(key=key, as_of_ms=1, weight=9.0),
    ])  # fmt: skip
    answer = await client.get("/v1/items/i3/related", params={"k": len(ITEMS)})
    sources = {item["item_id"]: item["sources"] for item in answer.json()["items"]}
    assert {"together", "next"} & set(sources[last])


async def test_an_unknown_item_has_no_related_ones(served: Served) -> None:
    assert problem(await served[1].get("/v1/items/nothing/related")) == (404, "unknown-item")
    answer = await served[1].post("/v1/carts/related", json={"items": ["nothing"]})
    assert problem(answer) == (404, "unknown-item")


async def test_a_cart_gets_items_between_its_own_ones(served: Served) -> None:
    harness, client = served
    answer = await client.post("/v1/carts/related", json={"items": ["i3", "nothing", "i9", "i3"]})
    middle = unit_vector("i3") + unit_vector("i9")
    order = sorted(set(ITEMS) - {"i3", "i9"}, key=lambda item: -float(middle @ unit_vector(item)))
    assert ids(answer) == order[:LIST_SIZE]
    more = {"items": ["i3", "i9"], "k": 1, "exclude": order[:2]}
    assert ids(await client.post("/v1/carts/related", json=more)) == order[2:3]
    assert len(harness.table.reads) == 0


async def test_a_large_cart_counts_as_far_as_a_query_remembers(served: Served) -> None:
    answer = await served[1].post("/v1/carts/related", json={"items": ITEMS})
    assert ids(answer) == [], "everything is in the cart"


async def test_trending_items_are_the_most_popular_available_ones(served: Served) -> None:
    harness, client = served
    assert ids(await client.get("/v1/trending")) == ITEMS[:LIST_SIZE]
    body = (await client.get("/v1/trending", params={"k": 3})).json()
    assert [item["score"] for item in body["items"]] == [1.0, 0.5, 0.333333]
    assert body["items"][0]["sources"] == ["trending"]
    assert body["items"][0]["reason"] == f"trending in {item_of('i0').label}"
    await harness.add(msgspec.structs.replace(item_of("i0"), in_stock=False))
    assert ids(await client.get("/v1/trending", params={"exclude": ["i2", "i3"], "k": 2})) == ["i1", "i4"]


async def test_a_category_limits_what_is_listed(served: Served) -> None:
    label = item_of("i0").label
    found = ids(await served[1].get("/v1/trending", params={"category": label, "k": 100}))
    assert found == [item for item in ITEMS if item_of(item).label == label]
    assert ids(await served[1].get("/v1/trending", params={"category": "nothing"})) == []


async def test_new_items_are_the_last_released_ones(served: Served) -> None:
    harness, client = served
    now = datetime.now(UTC)
    for name, days in (("a", -3), ("b", -1), ("c", -2), ("d", 1), ("e", -1)):
        await harness.add(Item(item_id=name, title="New", released_at=now + timedelta(days=days), category=("Tea",)))
    newest = sorted(("b", "e"), key=stable_key)
    assert ids(await client.get("/v1/new")) == [*newest, "c", "a"]
    assert ids(await client.get("/v1/new", params={"k": 3})) == [*newest, "c"]
    assert ids(await client.get("/v1/new", params={"k": 1})) == newest[:1]
    body = (await client.get("/v1/new", params={"category": "Tea", "exclude": newest})).json()
    assert [(item["item_id"], item["score"], item["reason"]) for item in body["items"]] == [
        ("c", 1.0, "new in Tea"),
        ("a", 0.5, "new in Tea"),
    ]


async def test_a_search_finds_items_by_meaning_and_words(served: Served) -> None:
    _, client = served
    answer = await client.get("/v1/search", params={"q": "warm socks", "k": 30})
    assert answer.json()["query"] == "warm socks"
    assert answer.json()["user_id"] is None
    assert set(nearest("warm socks")[:5]) <= set(ids(answer))
    assert any("query" in item["sources"] for item in answer.json()["items"])
    named = await client.get("/v1/search", params={"q": "The i7", "k": 30})
    (sources,) = [item["sources"] for item in named.json()["items"] if item["item_id"] == "i7"]
    assert "words" in sources


async def test_a_personal_search_knows_the_shopper(served: Served) -> None:
    harness, client = served
    harness.remember(act("view", "i3"))
    found = await client.get("/v1/search", params={"q": "warm socks", "user": "u"})
    assert found.json()["user_id"] == "u"
    assert ids(found)[0] == "i3", "the fake model ranks by the short-term intent"


async def test_a_search_that_cannot_be_encoded_goes_by_its_words_and_says_so(served: Served) -> None:
    async def search(text: str) -> Any:
        return (await served[1].get("/v1/search", params={"q": text})).json()

    bad, good, blank = await asyncio.gather(search("unencodable i7"), search("warm"), search("!!"))
    assert (bad["fallback"], good["fallback"], blank["fallback"]) == ("encoding_failed", None, None)


async def test_own_candidates_are_ranked_whatever_the_sources_find(served: Served) -> None:
    harness, client = served
    harness.remember(act("view", "i3"))
    await harness.add(msgspec.structs.replace(item_of("i9"), in_stock=False))
    own = [*nearest("i3")[20:26], "i9", "nothing", "i9"]
    answer = await client.post("/v1/rank", json={"items": own, "user": "u"})
    expected = sorted(set(own) - {"nothing"}, key=lambda item: -float(unit_vector("i3") @ unit_vector(item)))
    assert ids(answer) == expected
    assert answer.json()["unknown"] == ["nothing"]
    nobody = await client.post("/v1/rank", json={"items": ["i1", "i2"], "q": "warm socks"})
    assert sorted(ids(nobody)) == ["i1", "i2"]
    nothing = await client.post("/v1/rank", json={"items": ["nothing"]})
    assert (ids(nothing), nothing.json()["unknown"]) == ([], ["nothing"])


async def test_all_kinds_of_requests_share_a_batch(served: Served) -> None:
    harness, client = served
    harness.remember(act("view", "i3"))
    alone = {
        "related": ids(await client.get("/v1/items/i5/related")),
        "search": ids(await client.get("/v1/search", params={"q": "warm"})),
        "user": ids(await client.get("/v1/users/u/recommendations")),
        "trending": ids(await client.get("/v1/trending")),
        "rank": ids(await client.post("/v1/rank", json={"items": ["i8", "i9", "i1"], "user": "u"})),
    }
    harness.model.gate.clear()
    harness.model.reached.clear()
    first = asyncio.create_task(client.get("/v1/users/v/recommendations"))
    assert await asyncio.to_thread(harness.model.reached.wait, 10)
    together = [
        asyncio.create_task(request)
        for request in (
            client.get("/v1/items/i5/related"),
            client.get("/v1/search", params={"q": "warm"}),
            client.get("/v1/users/u/recommendations"),
            client.get("/v1/trending"),
            client.post("/v1/rank", json={"items": ["i8", "i9", "i1"], "user": "u"}),
        )
    ]
    await asyncio.sleep(0)
    harness.model.gate.set()
    answers = await asyncio.gather(*together)
    await first
    assert dict(zip(alone, map(ids, answers), strict=True)) == alone


@pytest.mark.parametrize(
    ("method", "path", "extra", "detail"),
    [
        ("GET", "/v1/search", {}, "q: required, and not there"),
        ("GET", "/v1/search", {"params": {"q": ""}}, "q: required string of length >= 1, got 0"),
        ("GET", "/v1/search", {"params": {"q": "x" * 1001}}, "q: required string of length <= 1000, got 1001"),
        ("GET", "/v1/trending", {"params": {"category": ""}}, "category[0]: required string of length >= 1, got 0"),
        (
            "POST",
            "/v1/carts/related",
            {"json": {"items": []}},
            "the body: $.items: required array of length >= 1, got 0",
        ),
        (
            "POST",
            "/v1/carts/related",
            {"json": {"items": ["x"] * 101}},
            "the body: $.items: required array of length <= 100, got 101",
        ),
        (
            "POST",
            "/v1/carts/related",
            {"json": {"items": ["i1"], "size": 1, "k": 0}},
            "the body: $.size: required one of the fields items, k, exclude, lang, placement, filter, explain; "
            "got another one; $.k: required integer >= 1, got 0",
        ),
        (
            "POST",
            "/v1/carts/related",
            {"json": {"items": ["i1"], "filter": {"brand": "x"}}},
            "the body: $.filter.brand: required a known field, got another one",
        ),
        (
            "POST",
            "/v1/carts/related",
            {"json": {"items": ["i1"], "filter": {"attributes": {"colour": ["x" * 1001]}}}},
            'the body: $.filter.attributes["colour"][0]: required string of length <= 1000, got 1001',
        ),
        ("POST", "/v1/carts/related", {"json": []}, "the body: required object, got array"),
        ("POST", "/v1/rank", {"json": {"items": ["x"] * 501}}, "the body: $.items: required array of length <= 500"),
        ("POST", "/v1/rank", {"content": b"{", "headers": JSON}, "the body: required JSON, got 1 bytes that are not ("),
        ("POST", "/v1/rank", {"content": b"[" * 100_000, "headers": JSON}, "the body: required object, got array"),
        ("POST", "/v1/rank", {"content": b"", "headers": JSON}, "the body: required JSON, got 0 bytes that are not ("),
        (
            "POST",
            "/v1/rank",
            {"content": b'{"items": ["\xff"]}', "headers": JSON},
            "the body: required text in UTF-8, got other bytes (byte 12)",
        ),
    ],
)
async def test_wrong_requests_are_refused_with_where_what_was_required_and_what_came(
    served: Served, method: str, path: str, extra: dict[str, Any], detail: str
) -> None:
    answer = await served[1].request(method, path, **extra)
    assert problem(answer) == (400, "invalid")
    assert answer.json()["detail"].startswith(detail)


async def test_a_profile_is_described_in_words(served: Served) -> None:
    harness, client = served
    harness.remember(act("view", "i3"), act("purchase", "i9"))
    body = (await client.get("/v1/users/u/profile")).json()
    assert {(each["item_id"], each["action"], each["title"]) for each in body["recent_items"]} == {
        ("i3", "view", "The i3"),
        ("i9", "purchase", "The i9"),
    }
    assert body["habits"][0]["item_id"] == "i9"
    labels = {item_of("i3").label, item_of("i9").label}
    assert {each["label"] for each in body["categories"]} == labels
    assert sum(each["share"] for each in body["brands"]) == pytest.approx(1, abs=1e-3)
    assert problem(await client.get("/v1/users/nobody/profile")) == (404, "unknown-user")
    harness.owned = {OWN_URL: {CHANGELOG: []}}
    assert problem(await client.get("/v1/users/u/profile")) == (503, "no-profile")


async def test_an_items_features_do_not_change_what_is_stored(served: Served) -> None:
    harness, client = served
    harness.remember(act("view", "i3"))
    before = dict(harness.table.stored)
    for path in ("/v1/users/u/recommendations", "/v1/search?q=warm&user=u", "/v1/users/u/profile"):
        assert (await client.get(path)).status_code == 200
    assert harness.table.stored == before
    assert np.isfinite(harness.recommender.catalogue.columns.popularity).all()
