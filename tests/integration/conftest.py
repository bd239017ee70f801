"""Brokers for the integration tests, and settings that no two tests share."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from streams.kafka.embedded import EmbeddedBroker, free_port
from streams.settings import SETTINGS, Settings, load_settings
from tests.conftest import started


@pytest.fixture(scope="session")
def embedded() -> Iterator[str]:
    """Bootstrap servers of the embedded broker."""
    for broker in started(EmbeddedBroker()):
        yield broker.bootstrap_servers


@pytest.fixture(
    params=[pytest.param("kafka", marks=pytest.mark.kafka), pytest.param("embedded", marks=pytest.mark.embedded)]
)
def broker(request: pytest.FixtureRequest) -> str:
    """Bootstrap servers of each broker in turn."""
    return str(request.getfixturevalue(request.param))


@pytest.fixture
def settings(broker: str, request: pytest.FixtureRequest) -> Settings:
    """Settings with topics of this test's own on the broker."""
    return settings_on(broker, request.node.name)


def settings_on(bootstrap_servers: str, name: str) -> Settings:
    """Settings whose topics nobody else on the broker has."""
    own = "".join(letter if letter.isalnum() else "-" for letter in name)[-100:] + "-" + os.urandom(3).hex()
    topics = {f: f"{own}.{f}" for f in SETTINGS if f.endswith("_topic")}
    given: dict[str, object] = {"bootstrap_servers": bootstrap_servers, "app_id": own, "partitions": 2, **topics}
    return load_settings(given, env_file=None)


@pytest.fixture
def unused_port() -> int:
    """Pick a loopback port where nothing listens."""
    return free_port()
