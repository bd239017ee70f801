"""Fixtures that several test packages share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import settings

from inference.bundle import Bundle, load_bundle
from inference.kernels import compiler
from streams.errors import StreamsError
from streams.kafka.embedded import EmbeddedBroker
from tests.integration.brokers import KafkaBroker
from tests.lacking import lacking

compiler.check_types = True

# Examples take as long as the machine is busy; in CI the same ones run every time, so that a red run stays red.
settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
# Kernels as plain Python are a hundred times slower.
settings.register_profile("few", deadline=None, derandomize=True, max_examples=5)
settings.load_profile("ci" if os.environ.get("CI") else "local")

B = TypeVar("B", KafkaBroker, EmbeddedBroker)
BUNDLE = Path(__file__).parents[1] / "exported_models" / "shop-minilm-l3" / "1"


@pytest.fixture(scope="session")
def bundle() -> Bundle:
    """The bundle that the repository ships."""
    return load_bundle(BUNDLE)


def started(broker: B) -> Iterator[B]:
    """Run a broker. Where it cannot start: a failure in CI, a skip with the reason elsewhere."""
    try:
        broker.__enter__()
    except StreamsError as error:
        lacking(f"no broker: {error}")
    try:
        yield broker
    finally:
        broker.__exit__(None, None, None)


@pytest.fixture(scope="session")
def kafka_node() -> Iterator[KafkaBroker]:
    """Run a real Apache Kafka."""
    yield from started(KafkaBroker())


@pytest.fixture(scope="session")
def kafka(kafka_node: KafkaBroker) -> str:
    """Bootstrap servers of a real Apache Kafka."""
    return kafka_node.bootstrap_servers
