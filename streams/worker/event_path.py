"""The path of events, a batch at a time: bytes -> profiles -> candidates -> ranked lists -> bytes.

`_process_all` takes the waiting events and has them processed in the scorer's thread. Meanwhile `_produce_all` sends
the results of the former batch. The functions are in the order of the path.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from time import perf_counter

from faust.types import Message

from inference.ranking.lists import Lists, in_retrieval_order
from inference.retrieval.shortlists import Shortlists
from inference.types import Vector
from streams.batch import Folded, Pass
from streams.budget import ListBudgets
from streams.contracts import serde
from streams.contracts.messages import Interaction, Search
from streams.errors import InvalidEvent, OwnershipLost, ProfileCodecError
from streams.items.trending import Trending
from streams.kafka.producer import partition_of
from streams.metrics import Metrics
from streams.outcomes import DEADLINE_EXCEEDED, FORGOTTEN
from streams.profiles.events import Event
from streams.serving.servable import Servable, ServableSlots
from streams.settings import Settings
from streams.worker.asset_path import AssetPath
from streams.worker.checkpoint import Batch, Checkpoint
from streams.worker.delivery import Delivery, Forwarder, Shopper, by_partition, source_of, timestamp_ms
from streams.worker.processing import Deadlines, Forgotten, Processing, Removal
from streams.worker.profile_store import ProfileStore
from streams.worker.transition_path import TransitionPath

Readable = tuple[Message, Interaction, Vector | None, bool]
"""A message, its interaction, the vector of a search, and whether a list is ranked for it."""

POLL_S = 0.002
"""Seconds between two checks whether a late batch is folded."""


@dataclass(slots=True, kw_only=True)
class EventPath:
    """Path of the messages of the source topics.

    The messages of a partition are folded in their order. A message is acknowledged after the brokers have its list,
    its shopper's profile, its item transition and its session. So a crash can repeat events, but lose none.

    Attributes:
        forgotten: requests to forget shoppers. Events from before them are acknowledged and nothing else.
    """

    settings: Settings
    slots: ServableSlots
    profiles: ProfileStore
    trending: Trending
    budgets: ListBudgets
    transitions: TransitionPath
    checkpoint: Checkpoint[Message]
    deadlines: Deadlines
    delivery: Delivery
    forwarder: Forwarder
    metrics: Metrics
    assets: AssetPath
    forgotten: Forgotten = field(default_factory=Forgotten)
    _decoders: Mapping[str, Callable[[bytes | None, bytes | None], Interaction]] = field(init=False)
    _processed: asyncio.Queue[Processing | Removal] = field(default_factory=asyncio.Queue)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _producing: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        topics = self.settings.topics
        self._decoders = {topics.clicks: serde.decode_item_action, topics.searches: serde.decode_search}

    async def run(self) -> None:
        """Process batches one after the other, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._process_all())
            group.create_task(self._produce_all())

    async def drop(self) -> None:
        """Forget all messages and their results. Returns when nothing of them runs any more."""
        self.checkpoint.drop()
        await asyncio.get_running_loop().run_in_executor(self.slots.current.scoring.thread, bool)  # after its batch
        async with self._producing:
            pass  # later results are skipped

    async def remove(self, requests: Sequence[Message]) -> list[bool]:
        """Delete the profiles of requests' shoppers, in the store and on the changelog. Return whether each existed.

        The deletion comes after the batches that are in progress, and before later ones, also on the changelog: an
        older profile must not follow its tombstone.

        Raises:
            OwnershipLost: the partition has gone to another worker, which deletes the profiles.
        """
        loop = asyncio.get_running_loop()
        async with self._turn:
            existed = await loop.run_in_executor(self.slots.current.scoring.thread, self._remove, requests)
            removal = Removal(requests, loop.create_future())
            self._processed.put_nowait(removal)
        await asyncio.gather(*await removal.deliveries)
        return existed

    async def _process_all(self) -> None:
        while True:
            batch = await self.checkpoint.take(
                min(self.settings.latency.batch_max_size, self.settings.latency.max_in_flight)
            )
            async with self._turn:
                await self._process_one(batch)

    async def _process_one(self, batch: Batch[Message]) -> None:
        loop = asyncio.get_running_loop()
        # No await between the choice of the servable and the submission to the thread. So batches reach the thread in
        # the order in which they were taken, and no profile goes back to the former model's vector space.
        processing = Processing(batch, self.slots.current)
        in_thread = loop.run_in_executor(processing.servable.scoring.thread, self._process, processing)
        await asyncio.wait({in_thread}, timeout=self.deadlines.left_s(batch))
        # The thread may finish while the event loop answers. `Pass.give_up` decides under its lock, so a batch gets its
        # lists once.
        late = not in_thread.done() and await self._answer_late(processing, in_thread)
        if late:
            self._processed.put_nowait(processing)
        # The thread is busy until then. Waiting for it lets the events that arrive meanwhile form one batch.
        await in_thread
        if not late:
            self._processed.put_nowait(processing)

    # Scorer's thread

    def _process(self, processing: Processing) -> None:
        """Decode, encode, read, fold, store, retrieve, rank and serialise a batch."""
        servable, metrics = processing.servable, self.metrics
        with metrics.timed("decode"):
            decoded = self._decode(processing)
        readable = self._encode(servable, decoded)
        with metrics.timed("profile_read"):
            stored = self.profiles.read(message for message, _ in decoded)
        try:
            self._rank(processing, readable, stored, {})
        except ProfileCodecError as error:
            # Nothing is folded yet. Try again without the shoppers whose profiles are unreadable.
            shoppers = list(stored)
            unreadable = {
                shoppers[place]: InvalidEvent("unreadable_profile", "profile", reason)
                for place, reason in error.reasons.items()
            }
            self._rank(processing, readable, stored, unreadable)
        # Only messages that were folded are measured. They are the same objects as those of the batch, so identity
        # finds them.
        answered = {id(message) for message in processing.messages}
        waited = zip(processing.batch.messages, processing.batch.waited_s, strict=True)
        metrics.observe_batch([seconds for message, seconds in waited if id(message) in answered])

    def _remove(self, requests: Sequence[Message]) -> list[bool]:
        self.budgets.forget(message.key.decode() for message in requests)
        return self.profiles.remove(requests)

    def _decode(self, processing: Processing) -> list[tuple[Message, Interaction]]:
        decoded = []
        for message in processing.batch.messages:
            if self.forgotten and self.forgotten.includes(message.key, source_of(message).timestamp_ms):
                self.metrics.events.labels(message.topic, FORGOTTEN).inc()
                continue
            try:
                interaction = self._decoders[message.topic](message.key, message.value)
            except InvalidEvent as refusal:
                processing.refused.append((message, refusal))
                continue
            if self.forwarder.must_forward(message):
                processing.misplaced.append(message)
            else:
                decoded.append((message, interaction))
        return decoded

    def _encode(self, servable: Servable, decoded: Sequence[tuple[Message, Interaction]]) -> list[Readable]:
        """Encode the searches, and charge each shopper's budget for a list."""
        queries = {place: each.query for place, (_, each) in enumerate(decoded) if isinstance(each, Search)}
        vectors: dict[int, Vector | None] = {}
        if queries:
            with self.metrics.timed("encode"):
                vectors.update(zip(queries, servable.scoring.encode_queries(list(queries.values())), strict=True))
        return [
            (message, each, vectors.get(place), self.budgets.admit(each.user_id, timestamp_ms(message)))
            for place, (message, each) in enumerate(decoded)
        ]

    def _rank(
        self,
        processing: Processing,
        readable: Sequence[Readable],
        stored: Mapping[Shopper, bytes | None],
        unreadable: Mapping[Shopper, InvalidEvent],
    ) -> None:
        """Fold the events, rank them and serialise their lists. Refuse the events of unreadable shoppers.

        Raises:
            ProfileCodecError: further profiles in `stored` are unreadable. The keys of its `reasons` are their places.
        """
        processing.shoppers = [shopper for shopper in stored if shopper not in unreadable]
        places = {shopper: place for place, shopper in enumerate(processing.shoppers)}
        events, messages = list[Event](), list[Message]()
        for message, interaction, vector, ranked in readable:
            shopper = self.profiles.shopper(message)
            if shopper in unreadable:
                processing.refused.append((message, unreadable[shopper]))
            else:
                events.append(Event(interaction, source_of(message), places[shopper], vector, ranked))
                messages.append(message)
        if not events:
            return
        processing.messages = messages
        # The event loop reads `ranking` from here on: it may answer the batch as soon as the pass is folded.
        processing.ranking = ranking = Pass(events, [stored[shopper] for shopper in processing.shoppers])
        servable, store = processing.servable, partial(self._store, processing.shoppers)
        folded = ranking.run(servable.engine.fold, servable.scoring.recommender, store)
        if ranking.lists is not None:
            self._answer(processing, folded, ranking.lists)

    def _store(self, shoppers: Sequence[Shopper], profiles: Sequence[bytes]) -> None:
        with self.metrics.timed("profile_write"):
            self.profiles.write(shoppers, profiles)

    def _answer(self, processing: Processing, folded: Folded, lists: Sequence[Lists]) -> None:
        """Compose and serialise the lists."""
        produced_at = [datetime.now(UTC)] * len(folded.events)
        processing.answers = processing.servable.engine.compose(folded, lists, produced_at, self.budgets)
        for part in lists:
            processing.servable.scoring.exposure.add(part)
        processing.values = [serde.encode_json(answer) for answer in processing.answers]

    # Event loop

    async def _answer_late(self, processing: Processing, in_thread: asyncio.Future[None]) -> bool:
        """Answer a late batch without the model once it is folded. Return False if the thread has its lists first."""
        while (ranking := processing.ranking) is None or ranking.folded is None:
            await asyncio.wait({in_thread}, timeout=POLL_S)
            if in_thread.done():
                return False
        return ranking.give_up(partial(self._answer_without_model, processing))

    def _answer_without_model(self, processing: Processing, folded: Folded, shortlists: Sequence[Shortlists]) -> None:
        scoring = processing.servable.scoring
        lists = [in_retrieval_order(each, scoring.recommender.catalogue, DEADLINE_EXCEEDED) for each in shortlists]
        lists += [scoring.popular(part.queries) for part in folded.parts[len(lists) :]]
        self._answer(processing, folded, lists)

    async def _produce_all(self) -> None:
        """Send the results of batches in their order, until cancelled: older profiles must not follow newer ones."""
        while True:
            work = await self._processed.get()
            async with self._producing:
                try:
                    if isinstance(work, Removal):
                        work.deliveries.set_result(await self.profiles.log_removal(work.requests))
                    elif self.checkpoint.holds(work.batch):
                        await self._produce(work)
                except OwnershipLost as error:
                    if isinstance(work, Removal):
                        work.deliveries.set_exception(error)

    async def _produce(self, processing: Processing) -> None:
        """Send a batch's results. Its messages are acknowledged after the brokers have everything."""
        began, folded = perf_counter(), processing.folded
        topic, partitions = self.settings.topics.recommendations, self.settings.topics.partitions
        deliveries = [await self.delivery.refuse(message, refusal) for message, refusal in processing.refused]
        deliveries += [await self.forwarder.forward(message) for message in processing.misplaced]
        self.assets.observe_events(processing)
        if folded is not None:
            await self.transitions.room()
            # Before the deliveries can complete: the messages are then acknowledged with the next publication of
            # behaviour, which must contain their transitions.
            self.transitions.observe(folded.transitions, folded.sessions)
            self.trending.add(folded.trends, folded.purchases)
            self.metrics.folded(folded, [message.topic for message in processing.messages])
            deliveries += await self.profiles.log(processing.shoppers, folded.profiles)
            # One value for each placement of each message, in the order in which `Engine.compose` returns the lists.
            owners = [
                (partition_of(message.key, partitions), message.key)
                for message, names in zip(processing.messages, folded.placements, strict=True)
                for _ in names
            ]
            for partition, lists in by_partition(owners, processing.values).items():
                deliveries += await self.delivery.send_all(topic, partition, lists)
        self.checkpoint.finish_when(processing.batch, deliveries, partial(self._delivered, processing, began))

    def _delivered(self, processing: Processing, began: float) -> None:
        folded = processing.folded
        if folded is not None and processing.answers:
            self.metrics.observe_stage("produce", perf_counter() - began)
            events = zip(folded.events, folded.placements, strict=True)
            taken_ms = [each.source.timestamp_ms for each, names in events for _ in names]
            self.metrics.answered(processing.answers, taken_ms)
