"""Suggestions while a shopper types, and queries related to a search."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from inference.suggestions.build import ItemPart, Snapshot, SuggestionBuilder
from inference.types import ItemNeighbours, stable_key
from streams.http.suggesting import intent_of
from streams.suggestions.keeper import Built
from tests.streams.http.service import CHANGELOG, OWN_URL, HttpHarness, http_service
from tests.streams.http.test_recommendations import problem
from tests.streams.shoppers import act

Served = tuple[HttpHarness, httpx.AsyncClient]
LED_TO = {"green tea": "i3", "green tea bags": "i3", "green tent": "i9", "greek yoghurt": "i5"}


def build(harness: HttpHarness) -> None:
    """Give the service suggestions in which all searches are equally popular."""
    queries: dict[str, dict[str, float]] = {}
    for text, item in LED_TO.items():
        queries.setdefault(item, {})[text] = 2.0
    harness.behaviour.clicked.learn(
        [ItemNeighbours(key=stable_key(item), as_of_ms=0, weight=9.0, queries=each) for item, each in queries.items()]
    )
    catalogue = harness.recommender.catalogue
    parts, records = [ItemPart.of(catalogue, range(catalogue.used))], harness.behaviour.clicked.copy_records()
    suggestions = SuggestionBuilder().build(Snapshot.of(parts, records))
    harness.keeper.built = Built(suggestions, harness.live.space, catalogue.used)


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with http_service() as served:
        build(served[0])
        yield served


async def suggested(client: httpx.AsyncClient, q: str | None, **params: Any) -> list[str]:
    answer = await client.get("/v1/suggest", params={**({} if q is None else {"q": q}), **params})
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["q"] == (q or "")
    return [each["text"] for each in body["suggestions"]]


async def test_what_is_typed_is_completed_also_with_an_error(served: Served) -> None:
    _, client = served
    assert await suggested(client, "green t") == ["green tea", "green tea bags", "green tent"]
    assert await suggested(client, "grene te", k=1) == ["green tea"]
    assert await suggested(client, "nothing like it") == []
    body = (await client.get("/v1/suggest", params={"q": "yog"})).json()
    assert body["suggestions"] == [{"text": "greek yoghurt", "kind": "query"}]
    assert len(await suggested(client, None, k=3)) == 3, "a shopper who has typed nothing sees popular queries"


async def test_queries_that_suit_the_intent_come_first_for_the_shopper_only(served: Served) -> None:
    harness, client = served
    harness.remember(act("view", "i9"))
    assert (await suggested(client, "green t", user="u"))[0] == "green tent"
    assert (await suggested(client, "green t", user="nobody"))[0] == "green tea"
    assert (await suggested(client, "green t"))[0] == "green tea"


async def test_an_intent_in_another_vector_space_does_not_count(served: Served) -> None:
    harness, client = served
    harness.remember(act("view", "i9"))
    built = harness.keeper.built
    assert built is not None
    harness.keeper.built = Built(built.suggestions, "former/1", built.items)
    assert (await suggested(client, "green t", user="u"))[0] == "green tea"


async def test_without_a_readable_profile_suggestions_are_those_for_everybody(served: Served) -> None:
    harness, client = served
    harness.remember(act("view", "i9"))
    for partition in (0, 1):
        harness.table.stored[partition, b"damaged"] = harness.table.stored[0, b"u"][:-1]
    assert (await suggested(client, "green t", user="damaged"))[0] == "green tea"
    harness.owned = {OWN_URL: {CHANGELOG: []}}
    assert (await suggested(client, "green t", user="u"))[0] == "green tea"
    harness.owned = {OWN_URL: {CHANGELOG: [0, 1]}}


async def test_before_the_first_build_there_is_nothing_to_suggest() -> None:
    async with http_service() as (_, client):
        assert await suggested(client, "green") == []
        assert (await client.get("/v1/search", params={"q": "green"})).json()["related"] == []


@pytest.mark.parametrize("params", [{"k": 0}, {"k": 51}, {"q": "x" * 1001}, {"user": ""}, {"size": 1}])
async def test_wrong_parameters_are_refused(served: Served, params: dict[str, Any]) -> None:
    assert problem(await served[1].get("/v1/suggest", params=params)) == (400, "invalid")


async def test_a_search_names_queries_that_refine_it_or_led_to_the_same_items(served: Served) -> None:
    answer = await served[1].get("/v1/search", params={"q": "green tea"})
    assert answer.json()["related"] == ["green tea bags"]
    answer = await served[1].get("/v1/search", params={"q": "green"})
    assert set(answer.json()["related"]) == {"green tea", "green tea bags", "green tent"}


async def test_a_shopper_without_a_history_has_no_intent(served: Served) -> None:
    harness, _ = served
    harness.remember(act("view", "i9"))
    servable = harness.maker.slots.current
    assert intent_of(harness.maker.known("u"), servable) is not None
    assert intent_of(harness.maker.known("nobody"), servable) is None
