"""The console on the application of the HTTP service, with a feed that a test fills."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import cast

import httpx

from inference.types import Because
from streams.console.access import Access
from streams.console.backend import ConsoleBackend
from streams.console.feed import Feed
from streams.console.gauges import Gauges
from streams.console.histories import Histories, ShownEvent
from streams.console.routes import Console
from streams.contracts.messages import Intent, ModelRef, Recommendations, RecommendedItem, Trigger
from streams.contracts.serde import encode_json
from streams.http.app import application
from streams.kafka.producer import BatchProducer
from streams.value.file import ReportFile
from streams.worker.asset_path import AssetPath
from tests.streams.http.service import OWN_URL, HttpHarness, client_of

AT = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=5)
ORIGIN = {"Origin": OWN_URL}


class FilledFeed(Feed):
    """A feed without Kafka."""

    @asynccontextmanager
    async def watched(self, wait_s: float = 1.0) -> AsyncIterator[None]:
        yield

    def arrive(self, raw: bytes) -> None:
        """Take a list as if it came from Kafka."""
        self.add_list(raw, now_ms())
        self.changes()

    def changes(self) -> None:
        """Tell the viewers that something is new."""
        self._changed.set()
        self._changed = asyncio.Event()


class ConsoleHarness(HttpHarness):
    """The application with the console."""

    def __init__(self, **settings: object) -> None:
        super().__init__(**{"http_console": "write", **settings})
        self.feed = FilledFeed(self.settings, self.maker)
        self.assets = AssetPath(
            settings=self.settings, producer=cast("BatchProducer", self.producer), metrics=self.metrics
        )
        self.values = ReportFile(self.settings.assets.value_file)
        self.access = Access(self.settings.service, self.gate.clients)
        self.console = Console(
            backend=ConsoleBackend(
                self.backend, self.feed, Gauges(self.settings, self.metrics), self.assets, self.values
            ),
            access=self.access,
            health=self.health,
            language=self.settings.retrieval.language,
        )
        self.app = application(self.settings.service, self.gate, self.backend, self.console.routes())

    @property
    def histories(self) -> Histories:
        return self.feed.histories


@asynccontextmanager
async def console_service(**settings: object) -> AsyncIterator[tuple[ConsoleHarness, httpx.AsyncClient]]:
    """Run the application with a catalogue."""
    harness = ConsoleHarness(**settings)
    async with client_of(harness, ORIGIN) as client:
        yield harness, client


def token(name: str, roles: str, text: str) -> str:
    """Return a client for INTENTSTREAM_HTTP_TOKENS."""
    return f"{name}:{roles}:{sha256(text.encode()).hexdigest()}"


def seen(event_id: str, type_: str = "view", user: str = "ann", **fields: object) -> ShownEvent:
    """Return an event of a shopper."""
    what = {"query": "tea"} if type_ == "search" else {"item_id": "i1"}
    given = {"type": type_, "event_id": event_id, "user_id": user, "occurred_at": AT, **what, **fields}
    return ShownEvent(**given)  # type: ignore[arg-type]


def answer(
    event_id: str,
    items: list[str],
    user: str = "ann",
    type_: str = "view",
    reason: tuple[str, Because] = ("goes with i1", Because("together", "i1", "i1")),
) -> bytes:
    """Return the bytes of a list. All items have one reason."""
    listed = tuple(
        RecommendedItem(
            rank=rank,
            item_id=item,
            score=1 / (rank + 1),
            sources=("short_term", "together"),
            reason=reason[0],
            because=reason[1],
        )
        for rank, item in enumerate(items, start=1)
    )
    trigger = Trigger(event_id=event_id, type=type_, topic="clicks", partition=0, offset=0, occurred_at=AT)
    return encode_json(
        Recommendations(
            recommendation_id=f"r-{event_id}",
            user_id=user,
            trigger=trigger,
            produced_at=AT,
            items=listed,
            intent=(Intent(kind="category", label="Tea", weight=0.8),),
            model=ModelRef(name="m", version="1"),
            fallback=None,
        )
    )


def now_ms() -> float:
    """Return the time in milliseconds."""
    return time.time() * 1e3


async def streamed(client: httpx.AsyncClient, path: str, harness: ConsoleHarness) -> str:
    """Return the events of a stream until the worker stops, with one change meanwhile."""

    async def change() -> None:
        await asyncio.sleep(0)
        harness.histories.add_event(seen("e9", item_id="i9"), now_ms())
        harness.histories.add_list(answer("e9", ["i7"]), now_ms())
        harness.feed.changes()
        await asyncio.sleep(1.2)
        harness.health.stopping = True

    changing = asyncio.create_task(change())
    found = await client.get(path)
    await changing
    assert found.headers["content-type"].startswith("text/event-stream")
    assert "default-src 'none'" in found.headers["content-security-policy"]
    return found.text
