"""Tables restored in bulk from a real broker have the same bytes as the tables of a worker that never stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from faust.types import TP

from streams.kafka import topics
from streams.kafka.clients import client_options, consumer_options
from streams.kafka.topics import changelog_topic
from streams.settings import Settings
from streams.state.restore import Behind, BulkRestorer
from tests.integration import profiles
from tests.integration.brokers import PASSWORD, USER, KafkaBroker
from tests.integration.contents import ends, stored
from tests.integration.workers import ROOT, Group, WorkerProcess, admin, serving, until
from tests.streams.state.stores import store_in

SHOPPERS, ROUNDS, VALUE_BYTES = 300, 8, 2000
RESTORED = "restored in bulk"
FAILING = """\
from streams.state import restore

class Failing(restore.AIOKafkaConsumer):
    answers = {answers}

    async def getmany(self, *arguments, **options):
        if not self.answers:
            raise RuntimeError("no more answers")
        batches = await super().getmany(*arguments, **options)
        self.answers -= bool(batches)
        return batches

restore.AIOKafkaConsumer = Failing
"""
"""A `sitecustomize` that lets the bulk restore of a worker fail after so many answers of the broker."""

HOLDING = """\
import asyncio
from pathlib import Path
from streams.state import restore

class Holding(restore.AIOKafkaConsumer):
    answers = 3

    async def getmany(self, **options):
        if Holding.answers == 0:
            Holding.answers = -1
            Path({mark!r}).touch()
            await asyncio.Event().wait()
        batches = await super().getmany(**options)
        Holding.answers -= bool(batches)
        return batches

restore.AIOKafkaConsumer = Holding
restore.RECORDS_AT_ONCE = 200
"""
"""A `sitecustomize` that holds the first bulk restore of a worker half-way, and marks that."""

Record = tuple[bytes, bytes | None]


def history(rounds: int, seed: int) -> list[Record]:
    """Make changes of all shoppers' profiles, in rounds; a tenth of the changes are tombstones."""
    random = np.random.default_rng(seed)
    return [
        (f"shopper-{number}".encode(), None if random.random() < 0.1 else random.bytes(VALUE_BYTES))
        for _ in range(rounds)
        for number in random.permutation(SHOPPERS).tolist()
    ]


async def write(settings: Settings, records: Sequence[Record]) -> None:
    """Put records on the changelog of profiles, as workers would."""
    topic = changelog_topic(settings)
    producer = AIOKafkaProducer(**client_options(settings.kafka), enable_idempotence=True)
    await producer.start()
    try:
        await asyncio.gather(*[await producer.send(topic, value, key) for key, value in records])
    finally:
        await producer.stop()


async def started_and_stopped(process: WorkerProcess, **variables: str) -> profiles.State:
    """Let a worker recover and stop, and return what it has on disk then."""
    process.start(**variables)
    try:
        await process.ready()
        assert await process.stop() == 0
    finally:
        process.close()
    return profiles.on_disk(process.data_dir)


async def assert_consistent(process: WorkerProcess, settings: Settings) -> dict[int, int]:
    """Fail unless each database holds the changelog up to its offset; return the offsets."""
    disk = profiles.on_disk(process.data_dir)
    offsets = {partition: profiles.persisted_offset(process.data_dir, partition) for partition in disk}
    expected: profiles.State = {partition: {} for partition in disk}
    for record in await stored(settings, changelog_topic(settings)):
        if record.offset <= offsets.get(record.partition, -1):
            expected[record.partition].pop(record.key, None)
            if record.value is not None:
                expected[record.partition][record.key] = record.value
    assert disk == expected
    return offsets


async def assert_offsets(process: WorkerProcess, settings: Settings) -> None:
    for (_, partition), end in (await ends(settings, changelog_topic(settings))).items():
        assert profiles.persisted_offset(process.data_dir, partition) == end - 1


@pytest.mark.kafka
async def test_a_cold_worker_has_the_bytes_of_one_that_was_there_before_compaction(
    kafka: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    settings = serving(kafka, request.node.name)
    await topics.create(settings)
    topic = changelog_topic(settings)
    config = {"cleanup.policy": "compact", "segment.bytes": str(1 << 20), "min.cleanable.dirty.ratio": "0.01"}
    async with admin(settings) as client:
        await client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, config)])
    lived, cold = WorkerProcess(settings, tmp_path / "lived"), WorkerProcess(settings, tmp_path / "cold")

    first, second, few = history(ROUNDS, seed=1), history(ROUNDS, seed=2), history(1, seed=3)
    await write(settings, first)
    await started_and_stopped(lived)
    assert f"{len(first)} changelog records {RESTORED}" in lived.log
    await write(settings, second)

    async def compacted() -> bool:
        return len(await stored(settings, topic)) < len(first) + len(second)

    await until(compacted, "the broker compacts the changelog")
    await started_and_stopped(lived)
    assert f"{len(second)} changelog records {RESTORED}" in lived.log
    await write(settings, few)
    disk = await started_and_stopped(lived)
    assert lived.log.count(RESTORED) == 2

    assert await started_and_stopped(cold) == disk
    assert RESTORED in cold.log
    assert disk == await profiles.changelog(settings)
    assert 0 < sum(map(len, disk.values())) < SHOPPERS
    await assert_offsets(lived, settings)
    await assert_offsets(cold, settings)


@pytest.mark.kafka
@pytest.mark.parametrize("answers", [0, 2], ids=["at once", "half-way"])
async def test_fausts_reader_restores_what_a_bulk_restore_that_fails_does_not(
    kafka: str, request: pytest.FixtureRequest, tmp_path: Path, answers: int
) -> None:
    settings = serving(kafka, request.node.name)
    await topics.create(settings)
    await write(settings, history(ROUNDS, seed=1))
    (tmp_path / "sitecustomize.py").write_text(FAILING.format(answers=answers))
    process = WorkerProcess(settings, tmp_path / "worker")
    disk = await started_and_stopped(process, PYTHONPATH=f"{tmp_path}:{ROOT}")
    assert "RuntimeError: no more answers" in process.log
    assert f"{SHOPPERS * ROUNDS} changelog records {RESTORED}" not in process.log
    assert (f" 0 changelog records {RESTORED}" in process.log) is (answers == 0)
    assert disk == await profiles.changelog(settings)
    await assert_offsets(process, settings)


@pytest.mark.kafka
@pytest.mark.parametrize("event", ["kill", "stop", "rebalance"])
async def test_a_bulk_restore_that_is_interrupted_leaves_what_its_offsets_say(
    kafka: str, request: pytest.FixtureRequest, tmp_path: Path, event: str
) -> None:
    settings = serving(kafka, request.node.name)
    await topics.create(settings)
    records = history(ROUNDS, seed=1)
    await write(settings, records)
    mark = tmp_path / "half-way"
    (tmp_path / "sitecustomize.py").write_text(HOLDING.format(mark=str(mark)))
    first, second = WorkerProcess(settings, tmp_path / "first"), WorkerProcess(settings, tmp_path / "second")
    try:
        first.start(PYTHONPATH=f"{tmp_path}:{ROOT}")
        await until(mark.exists, "the bulk restore is half-way")
        if event == "kill":
            first.kill()
        elif event == "stop":
            assert await first.stop() == 0
        else:
            second.start()
            await Group(settings).of(2)
            await first.ready()
            await second.ready()
            assert await second.stop() == 0
            await Group(settings).of(1)
            await assert_consistent(second, settings)
            await first.ready()
            assert await first.stop() == 0
        offsets = await assert_consistent(first, settings)
        assert (0 < sum(offset + 1 for offset in offsets.values()) < len(records)) is (event != "rebalance")
        assert await started_and_stopped(first) == await profiles.changelog(settings)
        await assert_offsets(first, settings)
    finally:
        first.close()
        second.close()


async def restored(settings: Settings, directory: Path) -> None:
    """Restore a changelog in bulk, and compare the tables with the records of the topic."""
    await topics.create(settings)
    records = list(islice(history(2, seed=1), 500))
    await write(settings, records)
    store, topic = store_in(directory), changelog_topic(settings)
    behind = {}
    for (name, partition), end in (await ends(settings, topic)).items():
        store.persisted_offset(TP(name, partition))  # opens it
        behind[TopicPartition(name, partition)] = Behind(store, -1, end)
    await BulkRestorer(consumer_options(settings.kafka)).restore(behind, lambda: None)
    for partition, each in behind.items():
        assert each.remaining == 0
        assert store.persisted_offset(TP(*partition)) == each.end - 1
    await store.stop()
    assert sum(each.end for each in behind.values()) == len(records)
    state = await profiles.changelog(settings)
    for number in state:
        path = directory / str(number)
        assert path.is_dir()
    assert profiles.on_disk(directory.parent, directory.name) == state


async def test_each_broker_gives_all_records(settings: Settings, tmp_path: Path) -> None:
    await restored(settings, tmp_path / "profiles")


@pytest.mark.kafka
async def test_it_connects_with_tls_and_a_login(kafka_node: KafkaBroker, tmp_path: Path) -> None:
    secure = {
        "bootstrap_servers": kafka_node.secure_servers,
        "security_protocol": "SASL_SSL",
        "ssl_ca_file": kafka_node.ca_file,
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_username": USER,
        "sasl_password": PASSWORD,
    }
    settings = serving(kafka_node.bootstrap_servers, "secure")
    await restored(settings.replace(**secure), tmp_path / "profiles")
