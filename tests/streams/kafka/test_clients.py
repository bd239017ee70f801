from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest
from aiokafka.cluster import ClusterMetadata
from aiokafka.errors import KafkaConnectionError, UnknownError
from aiokafka.protocol.metadata import MetadataResponse_v1

from streams.errors import ConfigurationError, StreamsError
from streams.kafka import clients
from streams.kafka.clients import METADATA_PAUSE_S, broker_errors, client_options, pace_fetches, pace_metadata
from streams.settings import load_settings
from streams.settings_groups import Kafka
from streams.worker.faust.app import broker_credentials, broker_url

SASL = {"sasl_mechanism": "SCRAM-SHA-512", "sasl_username": "shop", "sasl_password": "hunter2"}


def load(**overrides: object) -> Kafka:
    return load_settings(overrides, env_file=None).kafka


def test_a_plaintext_connection_has_no_credentials() -> None:
    options = client_options(load(bootstrap_servers="a:1,b:2"))
    assert options["bootstrap_servers"] == "a:1,b:2"
    assert options["security_protocol"] == "PLAINTEXT"
    assert options["ssl_context"] is None
    assert options["sasl_plain_password"] is None


def test_sasl_over_tls_verifies_the_broker_and_has_credentials() -> None:
    options = client_options(load(security_protocol="SASL_SSL", **SASL))
    assert options["sasl_mechanism"] == "SCRAM-SHA-512"
    assert (options["sasl_plain_username"], options["sasl_plain_password"]) == ("shop", "hunter2")
    context = options["ssl_context"]
    assert context is not None
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED


@pytest.mark.parametrize("name", ["ssl_ca_file", "ssl_cert_file"])
@pytest.mark.parametrize("content", [None, "no certificate"])
def test_an_error_about_a_missing_or_invalid_pem_file_has_its_path(
    tmp_path: Path, name: str, content: str | None
) -> None:
    file = tmp_path / "file.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigurationError, match=f"INTENTSTREAM_{name.upper()}={file}"):
        client_options(load(security_protocol="SSL", **{name: file}))


def test_errors_have_the_action_and_the_address() -> None:
    kafka = load(bootstrap_servers="a:1")
    unreachable = pytest.raises(
        ConfigurationError, match="reading: no connection to a:1 over PLAINTEXT: wrong protocol;"
    )
    with unreachable, broker_errors(kafka, "reading"):
        logging.getLogger("aiokafka").warning("wrong protocol")
        raise KafkaConnectionError("refused")
    with pytest.raises(StreamsError, match="reading at a:1: UnknownError"), broker_errors(kafka, "reading"):
        raise UnknownError


def test_faust_gets_the_bootstrap_servers() -> None:
    assert broker_url(load(bootstrap_servers="a:1,b:2")) == "kafka://a:1;kafka://b:2"


def test_faust_gets_no_credentials_for_plaintext() -> None:
    assert broker_credentials(load()) is None


@pytest.mark.parametrize("protocol", ["SASL_PLAINTEXT", "SASL_SSL"])
def test_faust_gets_the_sasl_credentials(protocol: str) -> None:
    credentials: Any = broker_credentials(load(security_protocol=protocol, **SASL))
    assert credentials.protocol.value == protocol
    assert (credentials.username, credentials.password) == ("shop", "hunter2")
    assert credentials.mechanism.value == "SCRAM-SHA-512"


def test_faust_gets_tls_without_a_login() -> None:
    credentials: Any = broker_credentials(load(security_protocol="SSL"))
    assert credentials.protocol.value == "SSL"


NO_TOPIC, NO_LEADER, NO_LEADER_OF_A_PARTITION, LEADER = (3, -1), (5, -1), (0, -1), (0, 1)
"""The error of a topic in an answer of the brokers, and the leader of its partition."""


class Answering:
    """A client that gets these answers about the topic `clicks`, None for an answer that does not come."""

    def __init__(self, *answers: tuple[int, int] | None) -> None:
        self._answers = iter(answers)
        self.cluster = ClusterMetadata()

    async def _metadata_update(self, cluster: ClusterMetadata, topics: Collection[str]) -> bool:
        answer = next(self._answers)
        if answer is not None:
            error, leader = answer
            partitions = [] if error == NO_TOPIC[0] else [(0, 0, leader, [1], [1])]
            described = [(error, topic, False, partitions) for topic in topics]
            cluster.update_metadata(MetadataResponse_v1([(1, "a", 1, None)], 1, described))
        return answer is not None


@pytest.mark.parametrize("answer", [NO_TOPIC, NO_LEADER, NO_LEADER_OF_A_PARTITION, None])
async def test_metadata_that_lack_a_leader_are_asked_for_after_a_pause(
    monkeypatch: pytest.MonkeyPatch, answer: tuple[int, int] | None
) -> None:
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", pause)
    client = Answering(LEADER, answer, answer, LEADER, LEADER)
    pace_metadata(client)
    found = []
    for _ in range(5):
        await client._metadata_update(client.cluster, {"clicks"})
        found.append(len(pauses))
    assert found == [0, 0, 1, 2, 2]
    assert set(pauses) == {METADATA_PAUSE_S}


@pytest.mark.parametrize(
    ("has_messages", "took_s", "pauses"), [(False, 0.01, [0.1]), (False, 0.2, []), (True, 0.01, [])]
)
async def test_a_fetch_that_came_back_at_once_without_messages_is_repeated_after_a_pause(
    monkeypatch: pytest.MonkeyPatch, has_messages: bool, took_s: float, pauses: list[float]
) -> None:
    now_s, paused = 0.0, list[float]()

    class Fetcher:
        async def _proc_fetch_request(self, *_: object) -> bool:
            nonlocal now_s
            now_s += took_s
            return has_messages

    async def pause(seconds: float) -> None:
        paused.append(seconds)
        raise asyncio.CancelledError  # a closing fetcher cancels its requests, and expects no error

    monkeypatch.setattr(clients, "monotonic", lambda: now_s)
    monkeypatch.setattr(asyncio, "sleep", pause)
    fetcher = Fetcher()
    pace_fetches(fetcher, 0.1)
    assert await fetcher._proc_fetch_request(None, 0, None) is has_messages
    assert paused == pauses
