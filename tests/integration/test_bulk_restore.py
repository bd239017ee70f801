"""The bulk restore on a real broker: tables equal those of a worker that had them from the start."""

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
from streams.kafka.topics import TABLES, changelog_topic
from streams.settings import Settings
from streams.state.restore import Behind, BulkRestorer
from tests.integration import profiles
from tests.integration.brokers import PASSWORD, USER, KafkaNode
from tests.integration.template import ROOT
from tests.integration.topic_contents import end_offsets, read_all
from tests.integration.workers import Group, WorkerProcess, admin, until, worker_settings
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
"""A `sitecustomize` with which a worker's bulk restore fails after a number of fetches."""

BLOCKING = """\
import asyncio
from pathlib import Path
from streams.state import restore

class Blocking(restore.AIOKafkaConsumer):
    answers = 3

    async def getmany(self, **options):
        if Blocking.answers == 0:
            Blocking.answers = -1
            Path({mark!r}).touch()
            await asyncio.Event().wait()
        batches = await super().getmany(**options)
        Blocking.answers -= bool(batches)
        return batches

restore.AIOKafkaConsumer = Blocking
restore.RECORDS_AT_ONCE = 200
"""
"""A `sitecustomize` that blocks the first bulk restore of a worker half-way and creates a file."""

Record = tuple[bytes, bytes | None]


def changes(rounds: int, seed: int) -> list[Record]:
    """Return random changes of all shoppers' profiles. A tenth are tombstones."""
    random = np.random.default_rng(seed)
    return [
        (f"shopper-{number}".encode(), None if random.random() < 0.1 else random.bytes(VALUE_BYTES))
        for _ in range(rounds)
        for number in random.permutation(SHOPPERS).tolist()
    ]


async def write(settings: Settings, records: Sequence[Record]) -> None:
    """Write records to the changelog of profiles."""
    topic = changelog_topic(settings)
    producer = AIOKafkaProducer(**client_options(settings.kafka), enable_idempotence=True)
    await producer.start()
    try:
        await asyncio.gather(*[await producer.send(topic, value, key) for key, value in records])
    finally:
        await producer.stop()


async def recover_and_stop(process: WorkerProcess, **variables: str) -> profiles.State:
    """Let a worker recover and stop. Return its state on disk."""
    process.start(**variables)
    try:
        await process.wait_until_ready()
        assert await process.stop() == 0
    finally:
        process.close()
    return profiles.on_disk(process.data_dir)


async def assert_consistent(process: WorkerProcess, settings: Settings) -> dict[int, int]:
    """Assert that each database equals the changelog up to its offset. Return the offsets."""
    disk = profiles.on_disk(process.data_dir)
    offsets = {partition: profiles.persisted_offset(process.data_dir, partition) for partition in disk}
    expected: profiles.State = {partition: {} for partition in disk}
    for record in await read_all(settings, changelog_topic(settings)):
        if record.offset <= offsets.get(record.partition, -1):
            expected[record.partition].pop(record.key, None)
            if record.value is not None:
                expected[record.partition][record.key] = record.value
    assert disk == expected
    return offsets


async def assert_offsets(process: WorkerProcess, settings: Settings) -> None:
    for (_, partition), end in (await end_offsets(settings, changelog_topic(settings))).items():
        assert profiles.persisted_offset(process.data_dir, partition) == end - 1


@pytest.mark.kafka
async def test_a_new_worker_restores_the_same_bytes_from_a_compacted_changelog(
    kafka: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    settings = worker_settings(kafka, request.node.name)
    await topics.create(settings)
    topic = changelog_topic(settings)
    config = {"cleanup.policy": "compact", "segment.bytes": str(1 << 20), "min.cleanable.dirty.ratio": "0.01"}
    async with admin(settings) as client:
        await client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, config)])
    existing, new = WorkerProcess(settings, tmp_path / "existing"), WorkerProcess(settings, tmp_path / "new")

    first, second, few = changes(ROUNDS, seed=1), changes(ROUNDS, seed=2), changes(1, seed=3)
    await write(settings, first)
    await recover_and_stop(existing)
    # The records of the profiles, and one of the new owner in each partition of both tables.
    fences = len(TABLES) * settings.topics.partitions
    assert f"{len(first) + fences} changelog records {RESTORED}" in existing.log
    await write(settings, second)

    async def compacted() -> bool:
        return len(await read_all(settings, topic)) < len(first) + len(second)

    await until(compacted, "the broker compacts the changelog")
    await recover_and_stop(existing)
    assert f"{len(second) + fences} changelog records {RESTORED}" in existing.log
    await write(settings, few)
    disk = await recover_and_stop(existing)
    assert existing.log.count(RESTORED) == 2
    await assert_offsets(existing, settings)

    assert await recover_and_stop(new) == disk
    assert RESTORED in new.log
    assert disk == await profiles.changelog(settings)
    assert 0 < sum(map(len, disk.values())) < SHOPPERS
    await assert_offsets(new, settings)


@pytest.mark.kafka
@pytest.mark.parametrize("answers", [0, 2], ids=["at once", "half-way"])
async def test_fausts_reader_continues_after_a_failed_bulk_restore(
    kafka: str, request: pytest.FixtureRequest, tmp_path: Path, answers: int
) -> None:
    settings = worker_settings(kafka, request.node.name)
    await topics.create(settings)
    await write(settings, changes(ROUNDS, seed=1))
    (tmp_path / "sitecustomize.py").write_text(FAILING.format(answers=answers))
    process = WorkerProcess(settings, tmp_path / "worker", is_forked=False)
    disk = await recover_and_stop(process, PYTHONPATH=f"{tmp_path}:{ROOT}")
    assert "RuntimeError: no more answers" in process.log
    assert f"{SHOPPERS * ROUNDS} changelog records {RESTORED}" not in process.log
    assert (f" 0 changelog records {RESTORED}" in process.log) is (answers == 0)
    assert disk == await profiles.changelog(settings)
    await assert_offsets(process, settings)


@pytest.mark.kafka
@pytest.mark.parametrize("event", ["kill", "stop", "rebalance"])
async def test_an_interrupted_bulk_restore_leaves_data_consistent_with_its_offsets(
    kafka: str, request: pytest.FixtureRequest, tmp_path: Path, event: str
) -> None:
    settings = worker_settings(kafka, request.node.name)
    await topics.create(settings)
    records = changes(ROUNDS, seed=1)
    await write(settings, records)
    mark = tmp_path / "half-way"
    (tmp_path / "sitecustomize.py").write_text(BLOCKING.format(mark=str(mark)))
    first = WorkerProcess(settings, tmp_path / "first", is_forked=False)
    second = WorkerProcess(settings, tmp_path / "second")
    try:
        first.start(PYTHONPATH=f"{tmp_path}:{ROOT}")
        await until(mark.exists, "the bulk restore is half-way")
        if event == "kill":
            first.kill()
        elif event == "stop":
            assert await first.stop() == 0
        else:
            second.start()
            await Group(settings).wait_for_members(2)
            await first.wait_until_ready()
            await second.wait_until_ready()
            assert await second.stop() == 0
            await Group(settings).wait_for_members(1)
            await assert_consistent(second, settings)
            await first.wait_until_ready()
            assert await first.stop() == 0
        offsets = await assert_consistent(first, settings)
        assert (0 < sum(offset + 1 for offset in offsets.values()) < len(records)) is (event != "rebalance")
        assert await recover_and_stop(first) == await profiles.changelog(settings)
        await assert_offsets(first, settings)
    finally:
        first.close()
        second.close()


async def assert_restored(settings: Settings, directory: Path) -> None:
    """Restore a changelog in bulk, and compare the tables with its records."""
    await topics.create(settings)
    records = list(islice(changes(2, seed=1), 500))
    await write(settings, records)
    store, topic = store_in(directory), changelog_topic(settings)
    behind = {}
    for (name, partition), end in (await end_offsets(settings, topic)).items():
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


async def test_all_records_are_restored_from_each_broker(settings: Settings, tmp_path: Path) -> None:
    await assert_restored(settings, tmp_path / "profiles")


@pytest.mark.kafka
async def test_records_are_restored_over_tls_with_a_login(kafka_node: KafkaNode, tmp_path: Path) -> None:
    secure = {
        "bootstrap_servers": kafka_node.secure_servers,
        "security_protocol": "SASL_SSL",
        "ssl_ca_file": kafka_node.ca_file,
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_username": USER,
        "sasl_password": PASSWORD,
    }
    settings = worker_settings(kafka_node.bootstrap_servers, "secure")
    await assert_restored(settings.replace(**secure), tmp_path / "profiles")
