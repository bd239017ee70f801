"""What a position of a list says: fields for a page, the reason in a language, and why the item is there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from math import exp
from typing import Any

import httpx
import msgspec
import pytest

from inference.ranking.sentences import sentences
from inference.retrieval.vectors import quantise
from inference.types import Because, Item, ItemNeighbours, stable_key
from streams.contracts.internal import ItemVector
from tests.streams.http.service import ITEMS, LIST_SIZE, HttpHarness, http_service
from tests.streams.http.test_recommendations import ids, problem
from tests.streams.shoppers import act, item_of, unit_vector

Served = tuple[HttpHarness, httpx.AsyncClient]
PAGE = {
    "url": "https://shop.example/i3",
    "image_url": "https://shop.example/i3.jpg",
    "price": 4.5,
    "list_price": 6.0,
    "currency": "EUR",
}
ROUTES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("GET", "/v1/users/u/recommendations", {}),
    ("GET", "/v1/items/i1/related", {}),
    ("GET", "/v1/search", {"q": "warm socks", "user": "u"}),
    ("POST", "/v1/carts/related", {"items": ["i1", "i2"]}),
    ("POST", "/v1/rank", {"items": ["i1", "i2", "i3"], "user": "u", "q": "socks"}),
)
RANKED = pytest.mark.parametrize(("method", "path", "given"), ROUTES, ids=[path for _, path, _ in ROUTES])


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with http_service() as served:
        yield served


async def asked(client: httpx.AsyncClient, method: str, path: str, given: dict[str, Any]) -> list[dict[str, Any]]:
    answer = await (client.get(path, params=given) if method == "GET" else client.post(path, json=given))
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


@RANKED
async def test_an_item_has_what_a_page_shows(served: Served, method: str, path: str, given: dict[str, Any]) -> None:
    harness, client = served
    await harness.add(msgspec.structs.replace(item_of("i3"), **PAGE))
    listed = await asked(client, method, path, {**given, "k": 30} if "rank" not in path else given)
    (full,) = [item for item in listed if item["item_id"] == "i3"]
    assert {name: full[name] for name in PAGE} == PAGE
    assert full["title"] == item_of("i3").title
    others = [item for item in listed if item["item_id"] != "i3"]
    assert others
    assert not any(PAGE.keys() & item.keys() for item in others), "unknown fields are left out"
    assert not any("explanation" in item for item in listed)


async def test_lists_for_everybody_have_these_fields_too(served: Served) -> None:
    harness, client = served
    await harness.add(msgspec.structs.replace(item_of("i0"), **PAGE))
    first = (await client.get("/v1/trending")).json()["items"][0]
    assert (first["title"], first["image_url"]) == (item_of("i0").title, PAGE["image_url"])


@RANKED
async def test_contributions_add_up_to_the_score(served: Served, method: str, path: str, given: dict[str, Any]) -> None:
    harness, client = served
    harness.remember(act("view", "i3"))
    plain = await asked(client, method, path, given)
    explained = await asked(client, method, path, {**given, "explain": True if method == "POST" else "true"})
    assert [item["item_id"] for item in explained] == [item["item_id"] for item in plain]
    for item in explained:
        why = item["explanation"]
        total = why["base"] + sum(each["contribution"] for each in why["features"])
        assert why["weight"] / (1 + exp(-total)) == pytest.approx(item["score"], abs=2e-6)
        assert [each["name"] for each in why["sources"]] == item["sources"]
        assert all(each["rank"] >= 1 for each in why["sources"])


async def test_without_the_model_only_the_sources_are_explained(served: Served) -> None:
    harness, client = served
    harness.model.fails = True
    listed = await asked(client, "GET", "/v1/users/u/recommendations", {"explain": "true"})
    assert len(listed) == LIST_SIZE
    for item in listed:
        assert [each["name"] for each in item["explanation"]["sources"]] == item["sources"]
        assert (item["explanation"]["base"], item["explanation"]["features"]) == (None, [])


@pytest.mark.parametrize(
    ("given", "accepted", "language"),
    [
        (None, None, "en"),
        ("de", None, "de"),
        ("zh-Hans", "de", "zh"),
        (None, "de-AT,de;q=0.9,en;q=0.8", "de"),
        (None, "fr,zh;q=0.4,de;q=0.2", "zh"),
        (None, "fr, *;q=0.1", "en"),
        (None, "de;q=0, zh;q=none", "en"),
        ("fr", "de", "en"),
    ],
)
async def test_reasons_are_in_the_language_of_the_request(
    served: Served, given: str | None, accepted: str | None, language: Any
) -> None:
    _, client = served
    params = {} if given is None else {"lang": given}
    headers = {} if accepted is None else {"Accept-Language": accepted}
    for path in ("/v1/trending", "/v1/users/u/recommendations"):
        answer = await client.get(path, params=params, headers=headers)
        for item in answer.json()["items"]:
            because = msgspec.convert(item["because"], Because)
            assert item["reason"] == sentences(language)(because)


async def test_a_wrong_language_tag_is_refused(served: Served) -> None:
    assert problem(await served[1].get("/v1/trending", params={"lang": "de_AT"})) == (400, "invalid")


async def test_a_related_item_claims_nothing_about_the_shopper(served: Served) -> None:
    harness, client = served
    twin = Item(item_id="twin", title="Twin", category=("Shop", "c9"))
    vector = quantise(unit_vector("i3")).tobytes()
    harness.live.apply("twin", ItemVector(item=twin, space="m/1", text_hash=1, vector=vector))
    await harness.scoring.update(harness.live.take_changes())
    listed = await asked(client, "GET", "/v1/items/twin/related", {"k": 3})
    assert listed[0]["because"] == {"kind": "similar", "item": "twin", "label": "Twin", "share": 1.0}
    assert listed[0]["reason"] == "similar to Twin"
    in_german = await asked(client, "GET", "/v1/items/twin/related", {"k": 3, "lang": "de"})
    assert in_german[0]["reason"] == "ähnlich wie „Twin“"
    in_cart = await asked(client, "POST", "/v1/carts/related", {"items": ["twin"], "k": 3})
    assert in_cart[0]["reason"] == "because you chose Twin", "the shopper put it into the cart"


async def test_what_is_chosen_together_says_so_without_the_shopper(served: Served) -> None:
    harness, client = served

    def score(features: Any) -> Any:
        from inference.ranking.features import FEATURES

        return (0.1 + 0.8 * features[:, FEATURES.index("together")]).astype("float32")

    harness.model.score = score  # type: ignore[method-assign]
    last = ITEMS[-1]
    harness.behaviour.learn([
        ItemNeighbours(key=stable_key(last), as_of_ms=1, weight=9.0, before={stable_key("i3"): 9.0}),
        ItemNeighbours(key=stable_key("i3"), as_of_ms=1, weight=9.0),
    ])  # fmt: skip
    listed = await asked(client, "GET", "/v1/items/i3/related", {"k": 1})
    assert (listed[0]["item_id"], listed[0]["reason"]) == (last, "often chosen with The i3")


@pytest.mark.parametrize(
    ("category", "expected"),
    [
        (["Tea"], {"a", "b"}),
        (["Drinks"], {"a", "b", "c"}),
        (["Drinks", "Tea"], {"a", "b"}),
        (["Drinks > Tea"], {"a", "b"}),
        (["Tea > Oolong"], {"b"}),
        (["Drinks > Oolong"], set()),
        (["A > B"], set()),
        (["tea"], set()),
        (["Coffee &amp; Cocoa"], {"c"}),
    ],
)
@pytest.mark.parametrize("order", ["trending", "new"])
async def test_a_category_is_a_path_or_a_part_of_one(
    served: Served, order: str, category: list[str], expected: set[str]
) -> None:
    from datetime import UTC, datetime

    harness, client = served
    released = datetime(2026, 1, 1, tzinfo=UTC)
    for name, path in (
        ("a", ("Drinks", "Tea")),
        ("b", ("Drinks", "Tea", "Oolong")),
        ("c", ("Drinks", "Coffee & Cocoa")),
    ):
        await harness.add(Item(item_id=name, title=name, category=path, released_at=released))
    harness.recommender.catalogue.set_popularity({stable_key(name): 0.5 for name in "abc"})
    answer = await client.get(f"/v1/{order}", params={"category": category, "k": 100})
    assert set(ids(answer)) == expected


async def test_a_new_visitor_of_a_shop_without_trends_gets_a_full_list() -> None:
    async with http_service() as (harness, client):
        catalogue = harness.recommender.catalogue
        catalogue.set_popularity({}, {})
        catalogue.mark_seen([stable_key(item) for item in ITEMS])  # so no source has anything for a stranger
        answer = await client.get("/v1/users/stranger/recommendations", params={"explain": "true"})
        assert len(ids(answer)) == LIST_SIZE
        for item in answer.json()["items"]:
            assert item["sources"] == ["new"]
            assert item["explanation"]["sources"] == [{"name": "new", "rank": None, "score": 0.0}]
        catalogue.set_popularity({}, {stable_key("i7"): 1.0})
        answer = await client.get("/v1/users/stranger/recommendations", params={"k": 30, "exclude": "i8"})
        assert set(ids(answer)) == set(ITEMS) - {"i8"}
        sources = {item["item_id"]: item["sources"] for item in answer.json()["items"]}
        assert (sources.pop("i7"), {tuple(each) for each in sources.values()}) == (["trending"], {("new",)})
