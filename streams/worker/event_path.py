"""An event's path: bytes -> interaction -> profile -> candidates -> ranked list -> bytes. Read it top to bottom."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from aiokafka.structs import RecordMetadata
from faust.types import Message

from inference.types import Vector
from streams.contracts import serde
from streams.contracts.messages import Interaction, Search
from streams.engine import Observation
from streams.errors import InvalidEvent, ProfileCodecError
from streams.kafka.outbox import Outbox
from streams.metrics import LATE, OK, REPLAYED, Metrics
from streams.profiles.profile import Source
from streams.serving.servable import Servable, Serving
from streams.state.table import StateTable
from streams.worker.behaviour_path import BehaviourPath
from streams.worker.dead_letters import DeadLetters
from streams.worker.inflight import InFlight, Ticket

Decode = Callable[[bytes | None, bytes | None], Interaction]


@dataclass(frozen=True, slots=True, kw_only=True)
class EventPath:
    """What happens to each message of the source topics.

    A message is followed to its list with one servable, the one that serves when its profile is folded.

    A partition's messages are decoded and folded in their order; ranking and delivery of many overlap. A message is
    acknowledged when its profile, its list and what it says of its item are with the brokers, so that a crash repeats
    and never loses.
    """

    decoders: Mapping[str, Decode]
    serving: Serving
    profiles: StateTable
    outbox: Outbox
    dead_letters: DeadLetters
    in_flight: InFlight[Message]
    behaviour: BehaviourPath
    metrics: Metrics
    recommendations_topic: str
    crash: Callable[[BaseException], None]
    _answers: set[asyncio.Task[None]] = field(default_factory=set)

    async def follow(self, message: Message) -> None:
        """Take one message as far as its order matters; the rest goes on by itself."""
        ticket = await self.in_flight.admit((message.topic, message.partition), message)
        try:
            servable, observation = await self._observe(message)
        except InvalidEvent as refusal:
            self.in_flight.finish_when(await self.dead_letters.send(message, refusal), ticket)
            return
        with self.metrics.timed("profile_write"):
            logged = await self.profiles.write(message.partition, message.key, observation.profile)
        self.behaviour.observe(observation)
        self.metrics.events.labels(message.topic, outcome(observation)).inc()
        answer = asyncio.create_task(self._answer(ticket, servable, observation, logged))
        self._answers.add(answer)
        answer.add_done_callback(self._answered)

    async def _observe(self, message: Message) -> tuple[Servable, Observation]:
        """Decode a message and fold it into its shopper's profile. Raises InvalidEvent."""
        with self.metrics.timed("decode"):
            interaction = self.decoders[message.topic](message.key, message.value)
        servable, text_vector = await self._encode(interaction)
        with self.metrics.timed("profile_read"):
            stored = self.profiles.read(message.partition, message.key)
        try:
            return servable, servable.engine.observe(stored, interaction, source_of(message), text_vector)
        except ProfileCodecError as error:
            raise InvalidEvent("unreadable_profile", "profile", str(error)) from error

    async def _encode(self, interaction: Interaction) -> tuple[Servable, Vector | None]:
        """Return what serves, with the vector of a search in its space."""
        while True:
            servable, vector = self.serving.now, None
            if isinstance(interaction, Search):
                with self.metrics.timed("encode"):
                    vector = await servable.scoring.encode_query(interaction.query)
            # Where another model took over meanwhile, the profile may be in its space already.
            if servable is self.serving.now:
                return servable, vector

    async def _answer(
        self,
        ticket: Ticket[Message],
        servable: Servable,
        observation: Observation,
        logged: asyncio.Future[RecordMetadata],
    ) -> None:
        """Rank, produce, and acknowledge once everything is delivered."""
        ranked = await servable.scoring.rank(observation.query)
        answer = servable.engine.compose(observation, ranked, datetime.now(UTC))
        with self.metrics.timed("produce"):
            data = serde.encode_json(answer)
            delivered = await self.outbox.send(self.recommendations_topic, ticket.message.key, data)
            await logged
            await delivered
        self.in_flight.finish(ticket)
        self.metrics.answered(answer, observation.source.timestamp_ms)

    def _answered(self, answer: asyncio.Task[None]) -> None:
        self._answers.discard(answer)
        if not answer.cancelled() and (error := answer.exception()) is not None:
            self.crash(error)


def outcome(observation: Observation) -> str:
    """Return what became of the interaction, as it is counted."""
    if observation.replayed:
        return REPLAYED
    return LATE if observation.late else OK


def source_of(message: Message) -> Source:
    """Return where a message lay, with the timestamp in milliseconds."""
    return Source(message.topic, message.partition, message.offset, round(message.timestamp * 1000))
