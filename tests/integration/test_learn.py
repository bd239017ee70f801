"""The learning loop beside a worker: it reads Kafka, publishes a better ranker, and the worker takes it over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("scipy", reason="needs the extra `train`")

from inference.bundle import load_bundle
from streams.contracts.messages import Interaction, View
from streams.serving.store import BundleStore
from streams.settings import Settings
from tests.conftest import BUNDLE
from tests.integration.kinds import ITEMS, bad_ranker, kind_of
from tests.integration.shop_client import ShopClient
from tests.integration.workers import until, worker, worker_settings
from training.learning.loop import LearningLoop
from training.learning.process import Progress, learn, learning_loop
from training.ranker.bundle import with_ranker

pytestmark = pytest.mark.embedded

NAME = BUNDLE.parent.name
START = datetime(2026, 1, 1, tzinfo=UTC)
SESSIONS, LENGTH = 100, 5


def sessions() -> list[Interaction]:
    """Return sessions of three days. Each is about items of one kind."""
    draw = np.random.default_rng(1)
    events: list[Interaction] = []
    for session in range(SESSIONS):
        kind = session % 6
        for number, item in enumerate(draw.permutation(8)[:LENGTH].tolist()):
            at = START + timedelta(hours=session * 72 / SESSIONS, minutes=number)
            events.append(
                View(
                    event_id=f"{session}-{number}", user_id=f"u{session % 40}", session_id=f"s{session}",
                    occurred_at=at, item_id=f"i{kind + 6 * item}",
                )
            )  # fmt: skip
    return events


def bad_model(folder: Path) -> Path:
    """Write a model whose ranker puts the least similar items first."""
    with_ranker(BUNDLE, folder / NAME / "1", bad_ranker())
    return folder / NAME / "1"


@asynccontextmanager
async def learning(settings: Settings, folder: Path) -> AsyncIterator[LearningLoop]:
    """Run the loop until all topics are read, and then on."""
    bundle = load_bundle(settings.model.path)
    loop, progress = learning_loop(settings, bundle, BundleStore.of(settings), folder), Progress()
    task = asyncio.create_task(learn(settings, loop, progress))
    try:
        await until(lambda: task.done() or all(progress.ready().values()), "all is read")
        yield loop
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error


def metric(loop: LearningLoop, name: str, **labels: str) -> float:
    return loop.metrics.registry.get_sample_value(f"intentstream_learn_{name}", labels) or 0.0


async def test_a_better_ranker_is_published_and_taken_over(
    embedded: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    models = tmp_path / "models"
    settings = worker_settings(
        embedded,
        request.node.name,
        model_path=bad_model(models),
        model_dir=models,
        model_watch_seconds=0.2,
        sources=("short_term", "long_term", "trending"),
        learn_least_lists=40,
    )
    events = sessions()
    async with ShopClient.connected(settings) as shop, worker(settings, tmp_path / "worker") as running:
        await shop.publish_items(ITEMS)
        await running.wait_for_items(len(ITEMS))
        await shop.publish_events(events)
        await shop.wait_for_lists(events)
        before = shop.lists[events[7].event_id][0]
        assert before.model.version == "1"
        await shop.publish(settings.topics.clicks, b"u1", b"{")
        async with learning(settings, tmp_path / "learner") as loop:
            await until(lambda: metric(loop, "refits_total", outcome="published") == 1, "a version is published")
            await until(
                lambda: metric(loop, "unreadable_records_total", topic=settings.topics.clicks) == 1, "it is skipped"
            )
            await running.wait_for_metric(
                f'intentstream_model_info{{name="{NAME}",provider="CPUExecutionProvider",version="2"}}', 1
            )
            probe = View(
                event_id="probe", user_id="new", occurred_at=START + timedelta(hours=72), item_id=ITEMS[0].item_id
            )
            after = await shop.publish_and_wait(probe)
            assert after.model.version == "2"
            kinds = [kind_of(item.item_id) for item in after.items[:5]]
            assert kinds.count(0) >= 4
            await until(lambda: len(loop.gatherer) > 0, "the loop goes on")
            gathered = metric(loop, "lists_total")
            assert gathered > 300
        async with learning(settings, tmp_path / "learner") as again:
            # Everything is read again, but the lists on disk are not gathered again.
            assert metric(again, "lists_total") < 20
            assert len(again.store) >= gathered - 20
            assert [each.version for each in again.versions.ledger.published] == ["2"]
