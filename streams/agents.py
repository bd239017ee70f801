"""An event's path: bytes -> interaction -> profile -> candidates -> ranked list -> bytes. Read it top to bottom."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import time

from faust.types import Message

from streams import serde
from streams.engine import Engine, Observation
from streams.errors import InvalidEvent, ProfileCodecError
from streams.inflight import InFlight, Ticket
from streams.messages import DeadLetter, Interaction, Search
from streams.metrics import Metrics
from streams.outbox import Outbox
from streams.profiles.profile import Source
from streams.profiles.table import ProfileTable
from streams.scoring import Scoring

Decode = Callable[[bytes | None, bytes | None], Interaction]


@dataclass(slots=True, kw_only=True)
class EventPath:
    """What happens to each message of the source topics.

    A partition's messages are decoded and folded in their order; ranking and delivery of many overlap. A message is
    acknowledged when its profile and its list are with the brokers, so that a crash repeats and never loses.
    """

    decoders: dict[str, Decode]
    engine: Engine
    profiles: ProfileTable
    scoring: Scoring
    outbox: Outbox
    in_flight: InFlight[Message]
    metrics: Metrics
    recommendations_topic: str
    dead_letters_topic: str
    crash: Callable[[BaseException], None]
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def follow(self, message: Message) -> None:
        """Take one message as far as its order matters; the rest goes on by itself."""
        ticket = await self.in_flight.admit((message.topic, message.partition), message)
        source = source_of(message)
        try:
            interaction = self.decoders[message.topic](message.key, message.value)
            is_search = isinstance(interaction, Search)
            text_vector = await self.scoring.encode_query(interaction.query) if is_search else None
            stored = self.profiles.read(message.partition, message.key)
            observation = self.engine.observe(stored, interaction, source, text_vector)
        except (InvalidEvent, ProfileCodecError) as error:
            await self._refuse(ticket, source, error)
            return
        changelog = await self.profiles.write(message.partition, message.key, observation.profile)
        self.metrics.events.labels(message.topic, "replayed" if observation.replayed else "ok").inc()
        task = asyncio.create_task(self._answer(ticket, observation, changelog))
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    async def _answer(
        self, ticket: Ticket[Message], observation: Observation, changelog: asyncio.Future[object]
    ) -> None:
        """Rank, produce, and acknowledge once everything is delivered."""
        ranked = await self.scoring.rank(observation.query)
        answer = self.engine.compose(observation, ranked, datetime.now(UTC))
        sent = await self.outbox.send(self.recommendations_topic, ticket.message.key, serde.encode_json(answer))
        await changelog
        await sent
        self.in_flight.finish(ticket)
        self.metrics.recommendations.inc()
        self.metrics.end_to_end.observe(max(0.0, time() - observation.source.timestamp_ms / 1000))

    async def _refuse(self, ticket: Ticket[Message], source: Source, error: InvalidEvent | ProfileCodecError) -> None:
        """Put a message that cannot be served where its producer finds it, with the reason."""
        letter = dead_letter(ticket.message, source, error)
        sent = await self.outbox.send(self.dead_letters_topic, ticket.message.key or b"", serde.encode_json(letter))
        await sent
        self.in_flight.finish(ticket)
        self.metrics.events.labels(source.topic, "invalid").inc()
        self.metrics.dead_letters.labels(letter.reason).inc()

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.crash(error)


def source_of(message: Message) -> Source:
    """Return where a message lay, with the timestamp in milliseconds."""
    return Source(message.topic, message.partition, message.offset, round(message.timestamp * 1000))


def dead_letter(message: Message, source: Source, error: InvalidEvent | ProfileCodecError) -> DeadLetter:
    """Describe a refused message for its producer, bytes included."""
    refusal = error if isinstance(error, InvalidEvent) else InvalidEvent("unreadable_profile", "profile", str(error))
    return DeadLetter(
        topic=source.topic,
        partition=source.partition,
        offset=source.offset,
        reason=refusal.reason,
        where=refusal.where,
        detail=refusal.detail,
        key=message.key,
        value=message.value,
        failed_at=datetime.now(UTC),
    )
