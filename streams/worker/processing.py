"""Work on the event path: batches of events, and deletions between them, with the state of each."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from faust.types import Message

from streams.batch import Pass
from streams.contracts.messages import Recommendations
from streams.errors import InvalidEvent
from streams.folded import Folded
from streams.serving.servable import Servable
from streams.worker.checkpoint import Batch
from streams.worker.delivery import Delivered, Shopper


class Processing:
    """State of a batch on its path. The scorer's thread writes it, and the event loop reads it meanwhile.

    Attributes:
        batch: the messages.
        servable: the servable that processes the batch, from its query vectors to its lists.
        refused: messages that become dead letters, with the reason.
        misplaced: messages that are forwarded to the partitions of their keys.
        messages: the other messages, in the order of the pass's events.
        shoppers: partition and key of each profile, in the order of the pass's `stored`.
        ranking: the pass, None until the messages are decoded.
        answers, values: the lists and their bytes, one for each of `messages` and its placements, empty until they are
            made.
    """

    __slots__ = ("answers", "batch", "messages", "misplaced", "ranking", "refused", "servable", "shoppers", "values")

    def __init__(self, batch: Batch[Message], servable: Servable) -> None:
        self.batch = batch
        self.servable = servable
        self.refused: list[tuple[Message, InvalidEvent]] = []
        self.misplaced: list[Message] = []
        self.messages: list[Message] = []
        self.shoppers: list[Shopper] = []
        self.ranking: Pass | None = None
        self.answers: list[Recommendations] = []
        self.values: list[bytes] = []

    @property
    def folded(self) -> Folded | None:
        """Result of the fold, once the profiles are stored. None before that, and if all messages are refused."""
        return self.ranking.folded if self.ranking is not None else None


class Removal(NamedTuple):
    """Deletion of profiles, between two batches. `deliveries` completes when the tombstones are sent."""

    requests: Sequence[Message]
    deliveries: asyncio.Future[list[Delivered]]
