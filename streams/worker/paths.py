"""The paths of a worker's messages, as one object for the life cycle."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from faust.types import Message

from streams.worker.asset_path import AssetPath
from streams.worker.checkpoint import Checkpoint
from streams.worker.cooccurrence_path import CooccurrencePath
from streams.worker.event_path import EventPath
from streams.worker.item_path import ItemPath
from streams.worker.privacy_path import PrivacyPath
from streams.worker.transition_path import TransitionPath
from streams.worker.trend_path import TrendPath

log = logging.getLogger(__name__)

PUBLISH_S = 1.5
"""Seconds that the last publications of a drain may take, after the messages in flight."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paths:
    """Paths of events, items, item transitions, behaviour, requests to forget shoppers, trends, and asset profiles."""

    events: EventPath
    items: ItemPath
    cooccurrence: CooccurrencePath
    transitions: TransitionPath
    privacy: PrivacyPath
    trends: TrendPath
    assets: AssetPath

    @property
    def checkpoints(self) -> tuple[Checkpoint[Message], ...]:
        """Messages that are read and not acknowledged."""
        return self.events.checkpoint, self.items.checkpoint, self.cooccurrence.checkpoint, self.privacy.checkpoint

    @property
    def in_flight(self) -> int:
        """The number of these messages."""
        return sum(map(len, self.checkpoints))

    def run(self) -> list[Coroutine[Any, Any, None]]:
        """Return the work of the whole life, to be run until cancelled."""
        return [self.events.run(), self.items.run(), self.cooccurrence.run(), self.privacy.run()]

    async def publish_behaviour(self) -> None:
        """Publish changed co-occurrence, item transitions and sessions."""
        await asyncio.gather(self.cooccurrence.publish(), self.transitions.publish())

    async def drop(self) -> None:
        """Forget everything that was read, processed or collected. The next owners read the messages again."""
        self.privacy.drop()
        await asyncio.gather(self.events.drop(), self.items.drop(), self.cooccurrence.drop())
        await self.transitions.drop()

    async def drain(self, timeout_s: float) -> bool:
        """Wait until everything that was read is published and acknowledged. Return False if that takes too long."""
        ends = (
            self.events.checkpoint.drain(timeout_s),
            self.items.checkpoint.drain(timeout_s),
            self.cooccurrence.drain(timeout_s),
            self.privacy.checkpoint.drain(timeout_s),
        )
        drained = await asyncio.gather(*ends)
        # An event leaves its checkpoint when its list and profile are delivered. `transitions.publish` sends its
        # transition and acknowledges it. The drain succeeds without the trends, which are counted about once anyway.
        published = False
        with suppress(TimeoutError):
            async with asyncio.timeout(PUBLISH_S):
                await self.transitions.publish()
                published = True
                await self.trends.publish()
        if left := self.in_flight:
            log.warning("%s messages are still in flight; they will be read again", left)
        return all(drained) and published
