"""`intentstream learn` as a process: SIGTERM, and the guardrail beside a worker."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

pytest.importorskip("scipy", reason="needs the extra `train`")

from inference.bundle import load_bundle
from streams.contracts.messages import Click, Interaction, ModelPin, View
from streams.serving.store import BundleStore
from tests.conftest import BUNDLE
from tests.integration.kinds import ITEMS, bad_ranker, kind_of
from tests.integration.shop_client import ShopClient
from tests.integration.workers import WorkerProcess, until, worker, worker_settings
from tests.training.learning.some_lists import gathered
from training.learning.rules import HOUR_MS
from training.learning.store import ListStore, as_lists, feature_model
from training.learning.versions import STAGING, Cause, Versions

NAME = BUNDLE.parent.name
START = datetime(2026, 1, 1, tzinfo=UTC)
SHOPPERS = 60
LISTS = 12_000
"""A refit to so many lists takes several seconds."""


@pytest.mark.embedded
async def test_sigterm_ends_a_refit(embedded: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    models = tmp_path / "models"
    shutil.copytree(BUNDLE, models / NAME / "1")
    settings = worker_settings(embedded, request.node.name, model_path=models / NAME / "1", model_dir=models)
    learner = WorkerProcess(settings, tmp_path / "learner", is_forked=False, name="learn")
    first_ms = round(START.timestamp() * 1000)
    lists = as_lists(gathered("lasting", LISTS, start_ms=first_ms, noise=0.3))
    store = partial(ListStore, learner.data_dir / "lists", LISTS, feature_model(load_bundle(BUNDLE)))
    store().write(lists, {}, {})
    newest = View(event_id="e", user_id="u", occurred_at=START + timedelta(minutes=LISTS), item_id="i")
    async with ShopClient.connected(settings) as shop:
        await shop.publish_event(newest)
        learner.start()
        try:
            await until(lambda: f"refitting to {LISTS} lists" in learner.log, "a refit runs")
            assert await learner.stop() == 0
        finally:
            learner.close()
    # It did not wait for the decision: neither a version nor a reason is in the log.
    assert learner.log.rstrip().endswith("stopped")
    assert "stays" not in learner.log
    assert "published" not in learner.log
    assert "Traceback" not in learner.log
    assert [path.name for path in (models / NAME).iterdir()] == ["1"]
    assert not (models / STAGING).exists()
    assert Versions.opened(BundleStore.of(settings), learner.data_dir / "versions.json", 1).ledger.tried_ms == 0
    assert len(store()) == LISTS


def served(version: str) -> str:
    """Return the metric of a worker that serves a version."""
    return f'intentstream_model_info{{name="{NAME}",provider="CPUExecutionProvider",version="{version}"}}'


def views(hours: float) -> list[Interaction]:
    """Return a view of each shopper, at a time after the start."""
    at = START + timedelta(hours=hours)
    return [
        View(
            event_id=f"{hours}-{n}",
            user_id=f"u{n}",
            occurred_at=at + timedelta(seconds=n),
            item_id=f"i{n % len(ITEMS)}",
        )
        for n in range(SHOPPERS)
    ]


async def browse(shop: ShopClient, hours: float) -> int:
    """View an item as each shopper, and click an item of its kind if one is among the first three of the list.

    Return the number of clicks.
    """
    viewed = views(hours)
    await shop.publish_events(viewed)
    await shop.wait_for_lists(viewed)
    clicks: list[Interaction] = []
    for view in viewed:
        assert isinstance(view, View)
        (answer,) = shop.lists[view.event_id]
        fitting = [item.item_id for item in answer.items[:3] if kind_of(item.item_id) == kind_of(view.item_id)]
        if fitting:
            clicks.append(
                Click(
                    event_id=f"{view.event_id}-click", user_id=view.user_id,
                    occurred_at=view.occurred_at + timedelta(minutes=5), item_id=fitting[0],
                    recommendation_id=answer.recommendation_id,
                )
            )  # fmt: skip
    await shop.publish_events(clicks)
    await shop.wait_for_lists(clicks)
    return len(clicks)


@pytest.mark.kafka
async def test_a_version_with_fewer_clicks_is_replaced_while_workers_serve(
    kafka: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    models = tmp_path / "models"
    shutil.copytree(BUNDLE, models / NAME / "1")
    settings = worker_settings(
        kafka,
        request.node.name,
        model_path=models / NAME / "1",
        model_dir=models,
        model_watch_seconds=0.2,
        learn_least_lists=10_000,  # no refit
    )
    learner = WorkerProcess(settings, tmp_path / "learner", is_forked=False, name="learn")
    learner.data_dir.mkdir(parents=True)
    async with ShopClient.connected(settings) as shop, worker(settings, tmp_path / "worker") as running:
        await shop.publish_items(ITEMS)
        await running.wait_for_items(len(ITEMS))
        assert await browse(shop, 0) > 0.9 * SHOPPERS
        # The loop published a worse ranker, and was restarted.
        versions = Versions.opened(BundleStore.of(settings), learner.data_dir / "versions.json", 5)
        since_ms = round((START + timedelta(hours=1)).timestamp() * 1000)
        versions.publish(bad_ranker(), ModelPin(name=NAME, version="1"), Cause(since_ms, "better", HOUR_MS))
        await running.wait_for_metric(served("2"), 1)
        learner.start()
        try:
            await until(lambda: "all topics are read" in learner.log, "the learner has read the topics")
            assert await browse(shop, 2) < 0.1 * SHOPPERS
            assert await learner.metric("intentstream_learn_rollbacks_total") == 0
            # Outcomes are known when the time for them is over. The last event comes in the same turn or a later one.
            await shop.publish_events(
                [*views(4), View(event_id="last", user_id="v", occurred_at=START + timedelta(hours=6), item_id="i1")]
            )
            await learner.wait_for_metric("intentstream_learn_rollbacks_total", 1)
            await running.wait_for_metric(served("3"), 1)
            assert await browse(shop, 7) > 0.9 * SHOPPERS
            (answer,) = shop.lists[views(7)[0].event_id]
            assert answer.model.version == "3"
            assert await learner.stop() == 0
        finally:
            learner.close()
    assert "version 3 has the ranker of 1 again: the share of lists acted on fell from" in learner.log
    first, last = (models / NAME / version / "ranker.onnx" for version in ("1", "3"))
    assert first.read_bytes() == last.read_bytes()
