"""The HTTP service of real workers on a real Kafka."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from streams.contracts.messages import View
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
    settings = worker_settings(kafka, request.node.name, sources=("short_term", "new"))
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
            assert of_one[user]["fallback"] is of_two[user]["fallback"] is None
            assert items(of_one[user]) == items(of_two[user])
            assert items(of_one[user])[0] == item, "the item that the shopper viewed is nearest to the intent"

        two.kill()
        left = {user: await recommended(first, user) for user in seen}
        gone = {user for user in seen if left[user]["fallback"] == "no_profile"}
        assert 0 < len(gone) < len(seen), "each worker owned some shoppers"
        assert all(items(left[user]) == items(of_one[user]) for user in set(seen) - gone)

        async def all_are_back() -> bool:
            return all([(await recommended(first, user))["fallback"] is None for user in seen])

        await until(all_are_back, "the remaining worker has all profiles")
        assert {user: items(await recommended(first, user)) for user in seen} == {u: items(of_one[u]) for u in seen}
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
