"""Placements and filters of requests for lists."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from inference.retrieval.sources import NAMES
from streams.placements import parse_placements
from tests.streams.http.service import ITEMS, HttpHarness, http_service
from tests.streams.http.test_recommendations import ids
from tests.streams.shoppers import item_of

Served = tuple[HttpHarness, httpx.AsyncClient]


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with http_service() as served:
        yield served


PLACEMENTS = b"""
[placements.home]
k = 2
filter = { exclude_items = ["i3"] }
"""


@pytest.mark.parametrize(
    ("method", "path", "given"),
    [
        ("GET", "/v1/users/u/recommendations", {}),
        ("GET", "/v1/items/i1/related", {}),
        ("GET", "/v1/search", {"q": "warm socks"}),
        ("POST", "/v1/carts/related", {"items": ["i1"]}),
    ],
)
async def test_a_filter_of_a_request_fills_the_list_with_items_that_pass(
    method: str, path: str, given: dict[str, Any]
) -> None:
    async with http_service() as (harness, client):
        await harness.add(*(msgspec.structs.replace(item_of(item), brand="Fjell") for item in ITEMS[-3:]))
        wanted = {"brands": ["Fjell"]}
        if method == "GET":
            answer = await client.get(path, params={**given, "k": 3, "filter": json.dumps(wanted)})
        else:
            answer = await client.post(path, json={**given, "k": 3, "filter": wanted})
        assert set(ids(answer)) == set(ITEMS[-3:])


async def test_a_placement_gives_the_length_and_the_filter() -> None:
    async with http_service() as (harness, client):
        harness.engine.placements = parse_placements(PLACEMENTS, Path("placements.toml"), NAMES)
        at_home = await client.get("/v1/users/u/recommendations", params={"placement": "home"})
        assert len(ids(at_home)) == 2
        assert "i3" not in ids(at_home)
        longer = await client.get("/v1/users/u/recommendations", params={"placement": "home", "k": len(ITEMS)})
        assert set(ids(longer)) == set(ITEMS) - {"i3"}


async def test_requests_of_several_placements_are_answered_together() -> None:
    async with http_service() as (harness, client):
        harness.engine.placements = parse_placements(PLACEMENTS, Path("placements.toml"), NAMES)
        answers = await asyncio.gather(
            *(
                client.get("/v1/users/u/recommendations", params={"placement": name, "k": k})
                for name in ("home", "default")
                for k in (1, 4)
            )
        )
        assert [len(ids(answer)) for answer in answers] == [1, 4, 1, 4]


@pytest.mark.parametrize(
    ("params", "kind", "detail"),
    [
        ({"placement": "attic"}, "unknown-placement", "placement: required one of default; got attic"),
        (
            {"filter": '{"brands":'},
            "invalid-filter",
            "filter: required JSON, got 10 bytes that are not (it ends",
        ),
        (
            {"filter": '{"x":' + "[" * 5_000},
            "invalid-filter",
            "filter: $.x: required a known field, got",
        ),
        (
            {"filter": '{"brand": ["x"]}'},
            "invalid-filter",
            "filter: $.brand: required one of the fields categories,",
        ),
        (
            {"filter": '{"max_price": "9", "brands": [""]}'},
            "invalid-filter",
            "filter: $.max_price: required number or null, got string; $.brands[0]: required string of length >= 1",
        ),
        (
            {"filter": json.dumps({"attributes": {"colour": ["x" * 1001]}})},
            "invalid-filter",
            'filter: $.attributes["colour"][0]: required string of length <= 1000, got 1001',
        ),
    ],
)
async def test_an_unknown_placement_and_a_wrong_filter_are_refused(
    served: Served, params: dict[str, str], kind: str, detail: str
) -> None:
    answer = await served[1].get("/v1/users/u/recommendations", params=params)
    assert answer.status_code == 400
    assert answer.json()["type"].endswith(kind)
    assert detail in answer.json()["detail"]
