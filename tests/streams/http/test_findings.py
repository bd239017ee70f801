"""GET /v1/assets/findings: wrong data of producers."""

from __future__ import annotations

import time
from datetime import datetime

from streams.assets.history import AssetHistory
from tests.streams.console.streams_of_a_shop import snapshots
from tests.streams.http.service import http_service


async def test_a_finding_names_the_producer_the_time_and_the_meaning() -> None:
    now_ms = int(time.time() * 1000)
    async with http_service() as (harness, client):
        assert (await client.get("/v1/assets/findings")).json() == {"findings": []}
        history, quality = AssetHistory(), harness.backend.quality
        for snapshot in snapshots(now_ms):
            window = history.apply(snapshot)
            assert window is not None
            quality.observe(snapshot, window)
        quality.evaluate(now_ms)
        (found,) = (await client.get("/v1/assets/findings")).json()["findings"]
    assert (found["producer"], found["topic"], found["type"], found["kind"]) == (
        "shop-app", "clicks", "refused", "refused"
    )  # fmt: skip
    assert round(datetime.fromisoformat(found["since"]).timestamp() * 1000) == now_ms
    assert "break the contract" in found["sentence"]
    assert found["shoppers"]
    assert found["remedy"]
