"""Live counts of a run, answered events, counted transitions, and the databases of stopped workers."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from rocksdict import AccessType, Options, Rdict

from streams.settings import Settings
from tests.chaos.damage import OFFSET_KEY
from tests.chaos.evidence import State
from tests.integration.workers import Group, admin


@dataclass
class Progress:
    """Live counts, and the lines to show."""

    show: Callable[[str], None]
    step: str = "starting"
    began_s: float = math.inf
    sent: int = 0
    answered: int = 0
    letters: int = 0
    exits: Counter[str] = field(default_factory=Counter)

    def elapsed_s(self) -> float:
        """Return the seconds since the first event."""
        return max(time.monotonic() - self.began_s, 0.0)

    def counts(self) -> str:
        """Return the counts as text."""
        exits = ", ".join(f"{number} exits {kind}" for kind, number in self.exits.items()) or "no exit"
        return f"{self.sent:,} sent, {self.answered:,} answered, {self.letters:,} dead letters, {exits}"

    def enter(self, step: str) -> None:
        """Show the next step of the run."""
        self.step = step
        self.show(step)


async def use_broker_clock(settings: Settings) -> None:
    """Let the broker date lists, so that waits are measured by one clock."""
    async with admin(settings) as client:
        name, clock = settings.topics.recommendations, {"message.timestamp.type": "LogAppendTime"}
        await client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, clock)])


@asynccontextmanager
async def answers(settings: Settings, progress: Progress) -> AsyncIterator[set[str]]:
    """Collect the ids of answered events, and count dead letters."""
    answered: set[str] = set()

    async def collect() -> None:
        async for record in consumer:
            if record.topic == settings.topics.dead_letters:
                progress.letters += 1
            else:
                answered.add(json.loads(record.value)["trigger"]["event_id"])
                progress.answered = len(answered)

    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka.bootstrap_servers, auto_offset_reset="earliest")
    await consumer.start()
    names = settings.topics.recommendations, settings.topics.dead_letters
    consumer.assign([TopicPartition(name, n) for name in names for n in range(settings.topics.partitions)])
    collecting = asyncio.create_task(collect())
    try:
        yield answered
    finally:
        collecting.cancel()
        await asyncio.gather(collecting, return_exceptions=True)
        await consumer.stop()


async def is_counted(settings: Settings) -> bool:
    """Return whether the workers have committed all messages of `item-pairs`."""
    topic = settings.topics.item_pairs
    committed = await Group(settings).committed()
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka.bootstrap_servers)
    await consumer.start()
    try:
        ends = await consumer.end_offsets([TopicPartition(topic, n) for n in range(settings.topics.partitions)])
    finally:
        await consumer.stop()
    return all(committed.get((topic, each.partition), 0) == end for each, end in ends.items())


def on_disk(table: Path) -> State:
    """Read the databases of a stopped worker."""
    state: State = {}
    for path in sorted(path for path in table.iterdir() if path.name.isdecimal()):
        database = Rdict(str(path), Options(raw_mode=True), access_type=AccessType.read_only())
        for key, value in database.items():
            if isinstance(key, bytes) and isinstance(value, bytes) and key != OFFSET_KEY:
                state[int(path.name), key] = value
        database.close()
    return state
