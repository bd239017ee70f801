"""Brokers for the integration tests, and settings with unique topics."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from streams.kafka.embedded import EmbeddedBroker, free_port
from streams.settings import SETTINGS, Settings, load_settings
from tests.conftest import running_broker


@pytest.fixture(scope="session")
def embedded() -> Iterator[str]:
    """Bootstrap servers of the embedded broker."""
    for broker in running_broker(EmbeddedBroker()):
        yield broker.bootstrap_servers


@pytest.fixture(
    params=[pytest.param("kafka", marks=pytest.mark.kafka), pytest.param("embedded", marks=pytest.mark.embedded)]
)
def broker(request: pytest.FixtureRequest) -> str:
    """Bootstrap servers of each broker in turn."""
    return str(request.getfixturevalue(request.param))


@pytest.fixture
def settings(broker: str, request: pytest.FixtureRequest) -> Settings:
    """Settings with unique topics on the broker."""
    return isolated_settings(broker, request.node.name)


def isolated_settings(bootstrap_servers: str, name: str) -> Settings:
    """Return settings with unique topics and a unique consumer group."""
    own = "".join(letter if letter.isalnum() else "-" for letter in name)[-100:] + "-" + os.urandom(3).hex()
    topics = {f: f"{own}.{f}" for f in SETTINGS if f.endswith("_topic")}
    given: dict[str, object] = {"bootstrap_servers": bootstrap_servers, "app_id": own, "partitions": 2, **topics}
    return load_settings(given, env_file=None)


@pytest.fixture
def unused_port() -> int:
    """A free loopback port."""
    return free_port()
