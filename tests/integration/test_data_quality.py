"""A producer that starts to send wrong data is named by a real worker within a minute, and another one is not."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from click.testing import CliRunner

from streams.cli import cli
from streams.contracts.messages import PRODUCER_HEADER
from streams.kafka.clients import client_options
from streams.settings import Settings
from tests.integration.catalogue_items import catalogue
from tests.integration.shop_client import ShopClient
from tests.integration.workers import WorkerProcess, until, worker, worker_settings

INTERVAL_S = 1.0
REFERENCE_S = 6.0
WITHIN_S = 60.0
PER_SECOND = 50
"""Purchases of each producer in a second."""
AT_ONCE = 10
"""Purchases that it sends at once: a worker needs less CPU time for them than for one at a time."""
ITEMS = [each.item_id for each in catalogue()]

Change = Callable[[dict[str, Any]], dict[str, Any] | bytes]


def _good(event: dict[str, Any]) -> dict[str, Any]:
    return event


FAULTS: dict[str, Change] = {
    "price": lambda event: {**event, "price": 100 * event["price"]},
    "session_id": lambda event: {name: value for name, value in event.items() if name != "session_id"},
    "unknown_items": lambda event: {**event, "item_id": f"sku/{event['item_id']}"},
    "refused": lambda event: json.dumps(event).encode()[:-2],
}
"""By what the finding names."""


class Producer:
    """A producer of purchases that can be made to send wrong data."""

    def __init__(self, settings: Settings, kafka: AIOKafkaProducer, name: str) -> None:
        self._topic, self._kafka, self._name = settings.topics.clicks, kafka, name
        self._random = random.Random(name)
        self.change: Change = _good
        self.sent = 0

    async def run(self) -> None:
        """Send until cancelled."""
        began = time.monotonic()
        while True:
            await asyncio.sleep(max(0.0, began + self.sent / PER_SECOND - time.monotonic()))
            for _ in range(AT_ONCE):
                self.sent += 1
                await self._send(self.event(f"{self._name}-{self.sent}"))

    async def _send(self, given: dict[str, Any]) -> None:
        event, user = self.change(given), str(given["user_id"])
        value = event if isinstance(event, bytes) else json.dumps(event).encode()
        await self._kafka.send(self._topic, value, user.encode(), headers=[(PRODUCER_HEADER, self._name.encode())])

    def event(self, event_id: str) -> dict[str, Any]:
        """Return a purchase."""
        user = f"{self._name} {self._random.randrange(400)}"
        return {
            "type": "purchase", "event_id": event_id, "user_id": user, "session_id": f"s-{user}",
            "occurred_at": datetime.now(UTC).isoformat(), "item_id": self._random.choice(ITEMS), "quantity": 1,
            "price": round(self._random.lognormvariate(3, 0.5), 2),
        }  # fmt: skip


def _finding(running: WorkerProcess, settings: Settings, name: str) -> Callable[[], Any]:
    kind = {"price": "range", "session_id": "completeness"}.get(name, name)
    of = "refused" if name == "refused" else "purchase"
    metric = f'intentstream_data_findings{{expectation="{kind}",topic="{settings.topics.clicks}",type="{of}"}}'

    async def number() -> float:
        return await running.metric(metric)

    return number


@pytest.mark.kafka
@pytest.mark.timeout(420)
async def test_wrong_data_are_named_within_a_minute_and_cleared_after_the_repair(
    kafka: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    settings = worker_settings(
        kafka, request.node.name, assets_interval_seconds=INTERVAL_S, assets_reference_minutes=REFERENCE_S / 60
    )
    async with ShopClient.connected(settings) as shop, worker(settings, tmp_path) as running:
        await shop.publish_items(catalogue())
        await running.wait_for_items(len(ITEMS))
        async with AIOKafkaProducer(**client_options(settings.kafka)) as client, asyncio.TaskGroup() as group:
            wrong, right = (Producer(settings, client, name) for name in ("app", "web"))
            sending = [group.create_task(each.run()) for each in (wrong, right)]
            await asyncio.sleep(1000 / PER_SECOND + REFERENCE_S)
            for name, fault in FAULTS.items():
                found = _finding(running, settings, name)
                assert await found() == 0
                wrong.change, began = fault, time.monotonic()

                async def is_found(found: Callable[[], Any] = found) -> bool:
                    return bool(await found() == 1)

                await until(is_found, f"a finding of {name}", WITHIN_S)
                assert time.monotonic() - began < WITHIN_S
                wrong.change = _good

                async def is_cleared(found: Callable[[], Any] = found) -> bool:
                    return bool(await found() == 0)

                await until(is_cleared, f"the end of the finding of {name}")
            listed = await asyncio.to_thread(_run, settings, "quality", "--json")
            written = tmp_path / "expectations.toml"
            await asyncio.to_thread(_run, settings, "quality", "--write", str(written))
            good, bad = tmp_path / "good.jsonl", tmp_path / "bad.jsonl"
            for file, change in ((good, _good), (bad, FAULTS["price"])):
                events = (change(wrong.event(f"sample {number}")) for number in range(300))
                file.write_text("\n".join(map(json.dumps, events)))
            gate = ("check", "--from-kafka", "--producer", "app")
            await asyncio.to_thread(_run, settings, *gate, str(good))
            report = await asyncio.to_thread(_run, settings, *gate, "--json", str(bad), exit_code=1)
            assert [each["field"] for each in json.loads(report)["findings"]] == ["price"]
            accepted = await asyncio.to_thread(_run, settings, "accept", settings.topics.clicks, "--producer", "app")
            assert accepted == f"accepted: app on {settings.topics.clicks} (all types)\n"
            for task in sending:
                task.cancel()
        assert await running.stop() == 0
    lines = [line for line in running.log.splitlines() if "wrong data: " in line]
    assert all("wrong data: app on" in line for line in lines), lines
    assert any("price" in line for line in lines)
    assert "data is as expected again: app on" in running.log
    places = {(each["producer"], each.get("field", "")) for of in json.loads(listed)["expectations"] for each in of}
    assert {("app", "price"), ("web", "price")} <= places
    assert "[[expectation]]" in written.read_text()


def _run(settings: Settings, *arguments: str, exit_code: int = 0) -> str:
    result = CliRunner().invoke(cli, ["assets", *arguments], env=settings.environment())
    assert result.exit_code == exit_code, result.output
    return result.stdout
