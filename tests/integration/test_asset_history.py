"""The history of the streams from a real broker: an hour that is over is recorded once, and answers questions."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from time import time

import msgspec
import pytest
from aiokafka import AIOKafkaProducer

from streams.assets.collector import Collector
from streams.assets.snapshots import HOUR_MS, Snapshot, decode_snapshot, encode_snapshot
from streams.kafka import topics
from streams.kafka.asset_profiles import accept, read_history, read_profiles
from streams.kafka.clients import client_options
from streams.kafka.reading import Progress
from streams.settings import Settings
from tests.integration.catalogue_items import random_events
from tests.integration.commands import run
from tests.integration.profiled_shop import ITEMS, profiled_shop
from tests.integration.topic_contents import read_all
from tests.integration.workers import until, worker_settings
from tests.streams.assets.streams import observed
from tests.streams.shoppers import act


@pytest.mark.kafka
async def test_an_hour_that_is_over_is_recorded_once_and_answers_questions(
    kafka: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    events = random_events("shopper-1", 12)
    async with profiled_shop(kafka, request.node.name, tmp_path) as (settings, shop, _):
        await shop.publish_events(events)
        await shop.wait_for_lists(events)

        async def is_profiled() -> bool:
            seen = await snapshots(settings)
            return sum(each.window.messages for each in seen if each.type != "item") >= len(events)

        await until(is_profiled, "all events are profiled")
    seen = await snapshots(settings)
    assert sum(each.window.messages for each in seen if each.type == "item") == len(ITEMS)

    # The same profiles three hours ago and now: the hour of the earlier ones is over.
    later = settings.replace(asset_profiles_topic=f"{settings.topics.asset_profiles}-later")
    await topics.create(later)
    await publish(later, [moved(each, -3 * HOUR_MS) for each in seen] + seen)
    folder = tmp_path / "history"
    recorded = [await run(later, "assets", "record", "--output", str(folder)) for _ in range(2)]
    assert [each.exit_code for each in recorded] == [0, 0]
    assert [": 1, the last one" in each.output for each in recorded] == [True, False]

    volume = json.loads((await run(later, "assets", "history", "volume", "--folder", str(folder), "--json")).stdout)
    counts = Counter(each.type for each in events)
    assert {each["type"]: each["messages"] for each in volume} == {**counts, "item": len(ITEMS)}
    query = "SELECT distinct_values, completeness FROM fields WHERE field = 'item_id' AND type = 'item'"
    (row,) = json.loads((await run(later, "assets", "history", query, "--folder", str(folder), "--json")).stdout)
    assert row["distinct_values"] == pytest.approx(len(ITEMS), rel=0.1)
    assert row["completeness"] == 1
    personal = await run(later, "assets", "history", "personal", "--folder", str(folder), "--json")
    assert json.loads(personal.stdout) == []


@pytest.mark.kafka
async def test_the_last_hours_are_read_without_the_weeks_before(kafka: str, request: pytest.FixtureRequest) -> None:
    settings = worker_settings(kafka, request.node.name)
    await topics.create(settings)
    now_ms = round(time() * 1000)
    times = [now_ms - each * HOUR_MS for each in (200, 120, *range(60, 22, -1), 2, 0)]
    made = [each for at_ms in times for each in snapshots_at(at_ms)]
    await publish(settings, made, in_time=True)
    newest_ms = made[-1].until_ms
    read: dict[str, int] = {}

    def progress(name: str) -> Progress:
        return lambda _done, total: read.update({name: total})

    whole = (await read_profiles(settings, progress("whole"))).history
    last = await read_history(settings, newest_ms, progress("last"))
    assert read["whole"] == len(made)
    assert read["last"] < len(made) / 3
    assert last.hours() == whole.hours()
    assert last.hourly_messages() == whole.hourly_messages()
    assert {stream: each.record() for stream, each in last.last_hours().items()} == {
        stream: each.record() for stream, each in whole.last_hours().items()
    }
    # A message of a producer whose clock is ahead hides no profiles.
    ahead = await read_history(settings, now_ms + 90 * HOUR_MS, progress("ahead"))
    assert ahead.hours() == whole.hours()


@pytest.mark.kafka
async def test_profiles_before_a_pause_are_found(kafka: str, request: pytest.FixtureRequest) -> None:
    settings = worker_settings(kafka, request.node.name)
    await topics.create(settings)
    now_ms = round(time() * 1000)
    made = snapshots_at(now_ms - 100 * HOUR_MS)
    await publish(settings, made, in_time=True)
    await accept(settings, made[0].stream)
    found = await read_history(settings, now_ms)
    assert found.newest_ms == made[-1].until_ms
    assert (await read_history(settings, None)).hourly_messages() == found.hourly_messages()


def snapshots_at(until_ms: int) -> list[Snapshot]:
    """Return the snapshots of an interval that ends then, of a worker that saw ten clicks."""
    collector = Collector("worker", until_ms - 20_000)
    collector.observe(observed(act("click", f"i{place}", until_ms - 10_000)) for place in range(10))
    return list(collector.take(until_ms))


def moved(snapshot: Snapshot, by_ms: int) -> Snapshot:
    """Return a snapshot at another time."""
    times = {name: getattr(snapshot, name) + by_ms for name in ("from_ms", "until_ms", "hour_ms")}
    return msgspec.structs.replace(snapshot, **times)


async def snapshots(settings: Settings) -> list[Snapshot]:
    """Return all profiles that workers have published."""
    return [decode_snapshot(each.value) for each in await read_all(settings, settings.topics.asset_profiles, 1)]


async def publish(settings: Settings, made: list[Snapshot], *, in_time: bool = False) -> None:
    """Publish profiles, in order: now, or each at the end of its interval."""
    async with AIOKafkaProducer(**client_options(settings.kafka)) as producer:
        for each in made:
            at_ms = each.until_ms if in_time else None
            topic = settings.topics.asset_profiles
            await producer.send_and_wait(topic, encode_snapshot(each), each.key, timestamp_ms=at_ms)
