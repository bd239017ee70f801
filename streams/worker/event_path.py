"""An event's path: bytes -> interaction -> profile -> candidates -> ranked list -> bytes. Read it top to bottom."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import time

from aiokafka.structs import RecordMetadata
from faust.types import Message

from streams.contracts import serde
from streams.contracts.messages import Interaction, Search
from streams.engine import Engine, Observation
from streams.errors import InvalidEvent, ProfileCodecError
from streams.kafka.outbox import Outbox
from streams.metrics import Metrics
from streams.profiles.profile import Source
from streams.profiles.table import ProfileTable
from streams.scoring import Scoring
from streams.worker.dead_letters import DeadLetters
from streams.worker.inflight import InFlight, Ticket

Decode = Callable[[bytes | None, bytes | None], Interaction]


@dataclass(frozen=True, slots=True, kw_only=True)
class EventPath:
    """What happens to each message of the source topics.

    A partition's messages are decoded and folded in their order; ranking and delivery of many overlap. A message is
    acknowledged when its profile and its list are with the brokers, so that a crash repeats and never loses.
    """

    decoders: Mapping[str, Decode]
    engine: Engine
    profiles: ProfileTable
    scoring: Scoring
    outbox: Outbox
    dead_letters: DeadLetters
    in_flight: InFlight[Message]
    metrics: Metrics
    recommendations_topic: str
    crash: Callable[[BaseException], None]
    _answers: set[asyncio.Task[None]] = field(default_factory=set)

    async def follow(self, message: Message) -> None:
        """Take one message as far as its order matters; the rest goes on by itself."""
        ticket = await self.in_flight.admit((message.topic, message.partition), message)
        try:
            observation = await self._observe(message)
        except InvalidEvent as refusal:
            self.in_flight.finish_when(await self.dead_letters.send(message, refusal), ticket)
            return
        changelog = await self.profiles.write(message.partition, message.key, observation.profile)
        self.metrics.events.labels(message.topic, "replayed" if observation.replayed else "ok").inc()
        answer = asyncio.create_task(self._answer(ticket, observation, changelog))
        self._answers.add(answer)
        answer.add_done_callback(self._answered)

    async def _observe(self, message: Message) -> Observation:
        """Decode a message and fold it into its shopper's profile. Raises InvalidEvent."""
        interaction = self.decoders[message.topic](message.key, message.value)
        text_vector = None
        if isinstance(interaction, Search):
            text_vector = await self.scoring.encode_query(interaction.query)
        stored = self.profiles.read(message.partition, message.key)
        try:
            return self.engine.observe(stored, interaction, source_of(message), text_vector)
        except ProfileCodecError as error:
            raise InvalidEvent("unreadable_profile", "profile", str(error)) from error

    async def _answer(
        self, ticket: Ticket[Message], observation: Observation, changelog: asyncio.Future[RecordMetadata]
    ) -> None:
        """Rank, produce, and acknowledge once everything is delivered."""
        ranked = await self.scoring.rank(observation.query)
        answer = serde.encode_json(self.engine.compose(observation, ranked, datetime.now(UTC)))
        delivered = await self.outbox.send(self.recommendations_topic, ticket.message.key, answer)
        await changelog
        await delivered
        self.in_flight.finish(ticket)
        self.metrics.recommendations.inc()
        self.metrics.end_to_end.observe(max(0.0, time() - observation.source.timestamp_ms / 1000))

    def _answered(self, answer: asyncio.Task[None]) -> None:
        self._answers.discard(answer)
        if not answer.cancelled() and (error := answer.exception()) is not None:
            self.crash(error)


def source_of(message: Message) -> Source:
    """Return where a message lay, with the timestamp in milliseconds."""
    return Source(message.topic, message.partition, message.offset, round(message.timestamp * 1000))
