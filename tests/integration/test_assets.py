"""The inventory of a running installation: topics, rates, producers, consumers with lag, and the trace of a list."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from streams.contracts.messages import PRODUCER_HEADER
from streams.contracts.serde import encode_json
from streams.kafka.clients import client_options
from streams.settings import Settings
from tests.integration.catalogue_items import random_events
from tests.integration.commands import run
from tests.integration.profiled_shop import profiled_shop
from tests.integration.workers import admin, until

BROKEN = 20
"""Refused messages, enough for a finding."""


@pytest.mark.kafka
async def test_the_inventory_sees_what_a_worker_processes(
    kafka: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    events = random_events("shopper-1", 12)
    async with profiled_shop(kafka, request.node.name, tmp_path) as (settings, shop, _):
        await publish_named(settings, "web-shop", [encode_json(each) for each in events], events[0].user_id)
        await publish_named(settings, "broken-app", [b"no json"] * BROKEN, "shopper-1")
        await shop.wait_for_lists(events)
        await until(lambda: is_profiled(settings, len(events)), "all events are profiled")
        await until(lambda: has_findings(settings), "there is a finding")
        inventory = json.loads((await run(settings, "assets", "show", "--json")).stdout)
        shown = await run(settings, "assets", "show", "topic/clicks")
        traced = shop.lists[events[-1].event_id][0]
        trace = await run(settings, "assets", "trace", traced.recommendation_id, "--json")
        missing = await run(settings, "assets", "trace", "nothing")
        page = tmp_path / "assets.html"
        written = await run(settings, "assets", "report", "--output", str(page))
        exported = await run(settings, "assets", "export", "asyncapi")
        recorded = await run(settings, "assets", "record", "--output", str(tmp_path / "history"))

    assets = {each["id"]: each for each in inventory["assets"]}
    topic = assets["topic/clicks"]
    assert (topic["name"], topic["partitions"], topic["key"]) == (settings.topics.clicks, 4, "user id")
    assert {each["name"]: each.get("refused", 0) for each in topic["producers"]} == {
        "web-shop": 0,
        "broken-app": BROKEN,
    }
    assert topic["rate"] > 0
    assert topic["size_bytes"] > 0
    assert topic["messages"] >= len([each for each in events if each.type != "search"])
    groups = {each["name"]: each["lag"] for each in topic["consumers"] if each.get("is_group")}
    assert settings.kafka.app_id in groups
    assert topic["last_seen"] >= topic["first_seen"]
    assert assets["topic/recommendations"]["messages"] >= len(events)
    assert assets["topic/sessions"]["is_compacted"]
    assert f"model/{traced.model.name}/{traced.model.version}" in assets
    assert {each.type for each in events} <= {each["name"] for each in inventory["assets"] if each["kind"] == "event"}
    edges = {(each["source"], each["target"]) for each in inventory["lineage"]["edges"]}
    assert ("producer/web-shop", f"event/{events[0].type}") in edges
    assert "web-shop" in shown.stdout
    (finding,) = inventory["findings"]
    assert (finding["producer"], finding["kind"], finding["topic"]) == ("broken-app", "refused", settings.topics.clicks)
    assert "break the contract" in shown.stdout
    assert "break the contract" in page.read_text()
    found = json.loads(trace.stdout)
    assert found["recommendations"]["recommendation_id"] == traced.recommendation_id
    (trigger,) = [each for each in found["events"] if each["is_trigger"]]
    assert (trigger["event_id"], trigger["offset"]) == (events[-1].event_id, traced.trigger.offset)
    assert {each["event_id"] for each in found["events"]} <= {each.event_id for each in events}
    assert found["model"]["vector space"]
    assert missing.exit_code == 1
    assert written.exit_code == 0, written.output
    assert "web-shop" in page.read_text()
    assert json.loads(exported.stdout)["channels"]["clicks"]["address"] == settings.topics.clicks
    assert (recorded.exit_code, recorded.output.endswith(": 0\n")) == (0, True)  # the present hour is not over


@pytest.mark.kafka
@pytest.mark.timeout(300)
async def test_a_worker_lives_on_without_the_topic_of_profiles(
    kafka: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    first, second = random_events("shopper-1", 6), random_events("shopper-2", 6)
    async with profiled_shop(kafka, request.node.name, tmp_path) as (settings, shop, running):
        async with admin(settings) as client:
            await client.delete_topics([settings.topics.asset_profiles])
        await shop.publish_events(first)
        await shop.wait_for_lists(first)

        async def has_failed() -> bool:
            return await running.metric("intentstream_data_quality_failures_total") > 0

        await until(has_failed, "the worker counts the failure", 150)
        await shop.publish_events(second)
        await shop.wait_for_lists(second)
        shown = await run(settings, "assets", "show", "--json")
        assert await running.stop() == 0
    assert "publishing profiles failed: " in running.log
    unknown = json.loads(shown.stdout)["assets"][0]["unknown"]
    assert "asset_profiles" in unknown["profiles"]


async def publish_named(settings: Settings, producer: str, values: list[bytes], user_id: str) -> None:
    """Publish events of a shopper with the name of a producer, in order."""
    headers = [(PRODUCER_HEADER, producer.encode())]
    async with AIOKafkaProducer(**client_options(settings.kafka)) as sender:
        for value in values:
            topic = settings.topics.searches if b'"search"' in value else settings.topics.clicks
            await sender.send_and_wait(topic, value, user_id.encode(), headers=headers)


async def has_findings(settings: Settings) -> bool:
    """Return whether the inventory has findings."""
    done = await run(settings, "assets", "show", "--json")
    return done.exit_code == 0 and bool(json.loads(done.stdout)["findings"])


async def is_profiled(settings: Settings, events: int) -> bool:
    """Return whether the profiles have this number of readable events and a refused message, and the group commits."""
    done = await run(settings, "assets", "show", "--json")
    if done.exit_code != 0:
        return False
    assets: list[dict[str, Any]] = json.loads(done.stdout)["assets"]
    seen = sum(each["messages"] for each in assets if each["kind"] == "event" and each["name"] != "item")
    refused = [each for each in assets if each["id"] == "topic/clicks" and "not_json" in each.get("outcomes", {})]
    consumers = [each for asset in assets if asset["id"] == "topic/clicks" for each in asset["consumers"]]
    return seen == events and bool(refused) and settings.kafka.app_id in [each["name"] for each in consumers]
