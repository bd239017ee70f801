"""`intentstream learn` as a process: SIGTERM, and the guardrail beside a worker."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

pytest.importorskip("scipy", reason="needs the extra `train`")

from streams.contracts.messages import View
from streams.serving.store import BundleStore
from tests.conftest import BUNDLE
from tests.integration.shop_client import ShopClient
from tests.integration.workers import WorkerProcess, until, worker_settings
from tests.training.learning.some_lists import gathered
from training.learning.outcomes import no_exposures
from training.learning.store import ListStore, as_lists
from training.learning.versions import STAGING, Versions

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
    ListStore(learner.data_dir / "lists", LISTS).write(lists, no_exposures(), {})
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
    assert len(ListStore(learner.data_dir / "lists", LISTS)) == LISTS
