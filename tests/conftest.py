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
from tests.requirements import fail_or_skip

compiler.check_types = True

# No deadline, because a busy machine is slow. CI always runs the same examples, so that a failure is reproducible.
settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
# For kernels as plain Python, which are a hundred times slower.
settings.register_profile("few", deadline=None, derandomize=True, max_examples=5)
settings.load_profile("ci" if os.environ.get("CI") else "local")

B = TypeVar("B", KafkaBroker, EmbeddedBroker)
BUNDLE = Path(__file__).parents[1] / "exported_models" / "shop-minilm-l3" / "1"


def a_quarter_of_the_examples() -> settings:
    """Return settings for a test whose examples take long: a quarter of those of the profile that pytest has loaded."""
    return settings(max_examples=settings().max_examples // 4 + 1)


@pytest.fixture(scope="session")
def bundle() -> Bundle:
    """The bundle that the repository ships."""
    return load_bundle(BUNDLE)


def running_broker(broker: B) -> Iterator[B]:
    """Run a broker. If it cannot start, fail in CI and skip elsewhere."""
    try:
        broker.__enter__()
    except StreamsError as error:
        fail_or_skip(f"no broker: {error}")
    try:
        yield broker
    finally:
        broker.__exit__(None, None, None)


@pytest.fixture(scope="session")
def kafka_node() -> Iterator[KafkaBroker]:
    """Run a real Apache Kafka."""
    yield from running_broker(KafkaBroker())


@pytest.fixture(scope="session")
def kafka(kafka_node: KafkaBroker) -> str:
    """Bootstrap servers of a real Apache Kafka."""
    return kafka_node.bootstrap_servers
