"""The HTTP service of real workers on a real Kafka."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from streams.contracts.messages import Search, View
from streams.contracts.serde import encode_json
from streams.kafka.embedded import LOOPBACK, free_port
from tests.integration.catalogue_items import catalogue
from tests.integration.shop_client import ShopClient
from tests.integration.workers import Group, WorkerProcess, until, worker, worker_settings

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

USERS = [f"shopper {number}" for number in range(8)]


def client_of(port: int) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=f"http://{LOOPBACK}:{port}", timeout=30)


async def recommended(client: httpx.AsyncClient, user: str) -> dict[str, Any]:
    answer = await client.get(f"/v1/users/{user}/recommendations")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def items(found: dict[str, Any]) -> list[str]:
    return [item["item_id"] for item in found["items"]]


async def test_any_worker_answers_for_each_shopper_also_while_an_owner_is_gone(
    kafka: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    ports = free_port(), free_port()
    settings = worker_settings(kafka, request.node.name, sources=("short_term",), places_for_new=0)
    own = [settings.replace(http_port=port, http_timeout_seconds=20) for port in ports]
    seen = {user: item.item_id for user, item in zip(USERS, catalogue()[::7], strict=False)}
    async with (
        ShopClient.connected(settings) as shop,
        worker(own[0], tmp_path / "one") as one,
        worker(own[1], tmp_path / "two") as two,
        client_of(ports[0]) as first,
        client_of(ports[1]) as second,
    ):
        await shop.publish_items(catalogue())
        for each in (one, two):
            await each.wait_for_items(len(catalogue()))
        await Group(settings).wait_for_members(2)
        for each in (one, two):
            await each.wait_until_ready()
        at = datetime.now(UTC)
        viewed = [View(event_id=user, user_id=user, occurred_at=at, item_id=item) for user, item in seen.items()]
        await shop.publish_events(viewed)
        await shop.wait_for_lists(viewed)

        of_one = {user: await recommended(first, user) for user in seen}
        of_two = {user: await recommended(second, user) for user in seen}
        for user, item in seen.items():
            for found in (of_one[user], of_two[user]):
                # The item that the shopper viewed is nearest to the intent.
                assert (found["fallback"], items(found)[:1]) == (None, [item])

        two.kill()
        left = {user: await recommended(first, user) for user in seen}
        gone = {user for user in seen if left[user]["fallback"] == "no_profile"}
        assert 0 < len(gone) < len(seen), "each worker owned some shoppers"
        for user, item in seen.items():
            assert items(left[user])[:1] == ([] if user in gone else [item])

        async def all_are_back() -> bool:
            return all([(await recommended(first, user))["fallback"] is None for user in seen])

        await until(all_are_back, "the remaining worker has all profiles")
        assert {user: items(await recommended(first, user))[0] for user in seen} == seen
        assert await one.stop() == 0
        assert "Traceback" not in one.log
        assert "never retrieved" not in one.log


async def test_a_worker_refuses_an_address_that_is_taken_or_open_to_all(
    kafka: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    port = free_port()
    settings = worker_settings(kafka, request.node.name, http_port=port)
    async with ShopClient.connected(settings), worker(settings, tmp_path / "one") as one:
        another = WorkerProcess(settings, tmp_path / "two")
        another.start()
        assert await another.wait_for_exit() != 0
        assert f"HTTP service at {LOOPBACK}:{port}: required a free address" in another.log
        another.start(INTENTSTREAM_HTTP_HOST="0.0.0.0")
        assert await another.wait_for_exit() == 2
        last = another.log.strip().splitlines()[-1]
        assert "INTENTSTREAM_HTTP_HOST=0.0.0.0 needs INTENTSTREAM_HTTP_TOKENS" in last
        await one.wait_until_ready()


async def test_what_is_written_over_http_is_served_over_http(
    kafka: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    port = free_port()
    settings = worker_settings(
        kafka,
        request.node.name,
        http_port=port,
        http_timeout_seconds=20,
        sources=("short_term", "query", "words", "trending"),
        trending_interval_seconds=0.3,
        behaviour_interval_seconds=0.3,
        suggestions_seconds=1,
        min_shoppers=1,
    )
    async with (
        ShopClient.connected(settings) as shop,
        worker(settings, tmp_path / "one") as one,
        client_of(port) as client,
    ):
        body = b"[" + b",".join(map(encode_json, catalogue())) + b"]"
        packed = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
        answer = await client.post("/v1/items", content=gzip.compress(body), headers=packed)
        assert answer.status_code == 202, answer.text
        await one.wait_for_items(len(catalogue()))
        viewed = View(event_id="e1", user_id="ann", occurred_at=datetime.now(UTC), item_id="Dairy-1")
        answer = await client.post(
            "/v1/events", content=encode_json(viewed), headers={"Content-Type": "application/json"}
        )
        assert answer.status_code == 202, answer.text
        await shop.wait_for_lists([viewed])
        trigger = shop.lists["e1"][0].trigger
        (position,) = answer.json()["accepted"]
        assert (position["topic"], position["partition"]) == (trigger.topic, trigger.partition)
        assert position["offset"] == trigger.offset
        assert (
            await one.metric(f'intentstream_misplaced_messages_total{{outcome="forwarded",topic="{trigger.topic}"}}')
            == 0
        )

        assert items(await recommended(client, "ann"))[0] == "Dairy-1"
        profile = (await client.get("/v1/users/ann/profile")).json()
        assert [each["item_id"] for each in profile["recent_items"]] == ["Dairy-1"]

        async def trends() -> bool:
            return items((await client.get("/v1/trending")).json()) == ["Dairy-1"]

        await until(trends, "the item is trending")
        related = items((await client.get("/v1/items/Dairy-1/related")).json())
        assert related
        assert "Dairy-1" not in related
        found = items((await client.get("/v1/search", params={"q": "espresso", "k": 3})).json())
        titles = {item.item_id: item.title for item in catalogue()}
        assert "Espresso" in titles[found[0]]

        for user in ("bob", "cat"):  # what only one shopper searched for is suggested to nobody
            searched = Search(event_id=f"s-{user}", user_id=user, occurred_at=datetime.now(UTC), query="esoteric milk")
            await shop.publish_events([searched])
            await shop.wait_for_lists([searched])
            led_to = View(event_id=f"v-{user}", user_id=user, occurred_at=datetime.now(UTC), item_id="Dairy-2")
            await shop.publish_events([led_to])
            await shop.wait_for_lists([led_to])

        async def suggested(q: str, **params: str) -> dict[str, str]:
            body = (await client.get("/v1/suggest", params={"q": q, **params})).json()
            return {each["text"]: each["kind"] for each in body["suggestions"]}

        async def is_suggested() -> bool:
            return (await suggested("eso")).get("esoteric milk") == "query"

        await until(is_suggested, "a search of a shopper is suggested")
        assert (await suggested("dai"))["dairy"] == "category"
        assert await suggested("esotreic", user="bob") == {"esoteric milk": "query"}
        assert await one.metric('intentstream_suggestion_builds_total{outcome="built"}') >= 1
        assert await one.stop() == 0
        assert "Traceback" not in one.log
