"""The catalogue of a running installation: it keeps an inventory for a while, and names brokers that do not answer."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from inference.manifest_files import read_manifest
from streams.asset_catalogue import AssetCatalogue, inventory, serving_model
from streams.assets.collector import Collector
from streams.assets.history import AssetHistory
from streams.assets.inventory import BrokerFacts
from streams.assets.snapshots import HOUR_MS
from streams.commands.assets_view import overview
from streams.contracts.messages import ModelPin
from streams.errors import StreamsError
from streams.settings import load_settings
from tests.conftest import BUNDLE
from tests.streams.assets.streams import observed
from tests.streams.shoppers import act

SETTINGS = load_settings({"topic_prefix": "shop-", "app_id": "shop"}, env_file=None)


def history(now_ms: int, *counts: int) -> AssetHistory:
    """Return a history with these numbers of clicks in the last hours."""
    found, topic = AssetHistory(), SETTINGS.topics.clicks
    for ago, count in zip(range(len(counts) - 1, -1, -1), counts, strict=True):
        end_ms = now_ms - ago * HOUR_MS
        collector = Collector("w", end_ms - 20_000)
        clicks = [observed(act("click", "i", end_ms - 10_000)) for _ in range(count)]
        collector.observe(each._replace(stream=each.stream._replace(topic=topic)) for each in clicks)
        for snapshot in collector.take(end_ms):
            found.apply(snapshot)
    return found


async def test_the_names_and_counts_are_those_of_the_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    now_ms = 1_770_000_000_000
    monkeypatch.setattr("streams.asset_catalogue.time", lambda: now_ms / 1000)
    made = inventory(SETTINGS, history(now_ms, 5, 0, 30), BrokerFacts(), None)
    clicks = made.asset("topic/clicks")
    assert clicks is not None
    assert (made.app_id, clicks.name, clicks.hourly, clicks.rate) == ("shop", "shop-clicks", (5, 0, 30), 0.5)
    assert any(each.id == "changelog/pairs" and each.name == "shop-pairs-changelog" for each in made.assets)


async def test_an_old_rate_is_not_that_of_now(monkeypatch: pytest.MonkeyPatch) -> None:
    now_ms = 1_770_000_000_000
    monkeypatch.setattr("streams.asset_catalogue.time", lambda: now_ms / 1000 + 600)
    clicks = inventory(SETTINGS, history(now_ms, 30), BrokerFacts(), None).asset("topic/clicks")
    assert clicks is not None
    assert (clicks.rate, clicks.hourly) == (0, (30,))


async def test_an_inventory_is_kept_for_a_while_and_the_brokers_are_asked_once() -> None:
    asked = 0

    async def ask() -> BrokerFacts:
        nonlocal asked
        asked += 1
        return BrokerFacts()

    catalogue = AssetCatalogue(SETTINGS, AssetHistory(), lambda: read_manifest(BUNDLE), ask)
    first = await catalogue.inventory()
    assert await catalogue.inventory() is first
    assert asked == 1
    assert first.asset("model/shop-minilm-l3/1") is not None


async def test_brokers_that_do_not_answer_are_named() -> None:
    async def ask() -> BrokerFacts:
        raise StreamsError("no connection to kafka:9092")

    made = await AssetCatalogue(SETTINGS, AssetHistory(), lambda: None, ask).inventory()
    clicks = made.asset("topic/clicks")
    assert clicks is not None
    assert clicks.unknown == {"brokers": "no connection to kafka:9092"}


def test_a_pinned_bundle_that_is_not_here_is_named_beside_the_one_in_its_place() -> None:
    settings = load_settings({"model_path": BUNDLE}, env_file=None)
    manifest, absent = serving_model(settings, ModelPin(name="shop-minilm-l3", version="77"))
    made = inventory(settings, AssetHistory(), BrokerFacts(), manifest, absent=absent)
    models = {each.id: each for each in made.assets if each.kind == "model"}
    assert set(models) == {"model/shop-minilm-l3/77", "model/shop-minilm-l3/1"}
    assert "not readable on this machine" in models["model/shop-minilm-l3/77"].purpose
    assert "shop-minilm-l3/77/manifest.json" in models["model/shop-minilm-l3/77"].unknown["model"]
    assert models["model/shop-minilm-l3/1"].details["vector space"]
    # Data flows through the pinned model, as it does for the workers that have it.
    assert "list/lists" in made.lineage.downstream("model/shop-minilm-l3/77")
    assert {each.id for each in made.lineage.nodes if each.kind == "model"} == set(models)
    console = Console(width=200, record=True)
    for view in overview(made.assets, made):
        console.print(view)
    shown = console.export_text()
    assert "Models" in shown
    assert "pinned, but not readable here" in shown


def test_a_pinned_bundle_that_is_here_is_the_only_model() -> None:
    settings = load_settings({"model_path": BUNDLE}, env_file=None)
    manifest, absent = serving_model(settings, ModelPin(name="shop-minilm-l3", version="1"))
    assert manifest == read_manifest(BUNDLE)
    assert absent is None


def test_without_any_bundle_no_model_is_known(tmp_path: Path) -> None:
    settings = load_settings({"model_path": tmp_path, "model_dir": tmp_path}, env_file=None)
    assert serving_model(settings, None) == (None, None)
    _, absent = serving_model(settings, ModelPin(name="shop", version="2"))
    assert absent is not None
    assert (absent.name, absent.version, absent.instead) == ("shop", "2", None)


def test_a_copy_of_a_history_does_not_change_with_it() -> None:
    now_ms = 1_770_000_000_000
    first = history(now_ms, 5)
    copy = first.copy()
    collector = Collector("other", now_ms - 20_000)
    collector.observe([observed(act("click", "i", now_ms))])
    for snapshot in collector.take(now_ms):
        first.apply(snapshot)
    assert [sum(each.messages for each in one.last_hours().values()) for one in (copy, first)] == [5, 6]
