"""Fixtures that several test packages share."""

from __future__ import annotations

import atexit
import gc
import os
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import chain, groupby, islice
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import settings

from inference.bundle import Bundle, load_bundle
from inference.kernels import compiler
from streams.errors import StreamsError
from streams.kafka.embedded import EmbeddedBroker
from tests.integration.brokers import KafkaBroker, KafkaNode
from tests.integration.shared_kafka import shared_kafka
from tests.requirements import fail_or_skip

compiler.check_types = True
# As in `streams.cli`: a run whose tests have all passed must not crash when the process ends.
atexit.register(gc.freeze)

# No deadline, because a busy machine is slow. CI always runs the same examples, so that a failure is reproducible.
settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
# For kernels as plain Python, which are a hundred times slower.
settings.register_profile("few", deadline=None, derandomize=True, max_examples=5)
settings.load_profile("ci" if os.environ.get("CI") else "local")

B = TypeVar("B", KafkaBroker, EmbeddedBroker)
TESTS = Path(__file__).parent
BUNDLE = TESTS.parent / "exported_models" / "shop-minilm-l3" / "1"
SLOW = frozenset({"benchmarks", "chaos", "clients", "deployment", "integration", "monitoring"})
"""Folders of tests that start processes."""
SECONDS = {
    "chaos/test_chaos.py": 120,
    "clients": 120,
    "integration/test_demo.py": 150,
    "integration/test_examples.py": 150,
    "integration/test_watch.py": 110,
    "integration/test_readiness.py": 100,
    "integration/test_outages.py": 90,
    "integration/test_console.py": 80,
    "integration/test_bulk_restore.py": 80,
    "integration/test_partitioners.py": 70,
    "integration/test_assets.py": 60,
    "integration/test_behaviour.py": 60,
    "integration/test_damage.py": 60,
    "integration/test_data_quality.py": 60,
    "integration/test_frozen_worker.py": 60,
    "integration/test_shutdown.py": 60,
    "integration/test_model_swap.py": 50,
    "integration/test_protected_state.py": 50,
    "benchmarks/learning/test_simulation.py": 40,
    "integration/test_faults.py": 40,
    "integration/test_recovery.py": 40,
    "monitoring/test_panels.py": 40,
    "integration/test_console_data.py": 30,
    "integration/test_forget.py": 30,
    "integration/test_http.py": 30,
    "integration/test_learn.py": 30,
    "deployment": 10,
}
"""Seconds of the longest files on a busy machine. The files of a folder run in one process: they share its fixtures."""
USUAL_SECONDS = 10
"""Seconds of each other file of SLOW."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Deal the files of SLOW to the processes of pytest-xdist, by their SECONDS, each with its share of the others.

    Each process begins with an equal part of the list. A process without work takes tests from the end of another's
    part: from those that take milliseconds. In the order of the folders, one process would be left with all slow files.
    """
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if processes == 1:
        return
    units = {path: _unit(path) for path in {item.path for item in items}}
    slow = [
        (SECONDS.get(unit, USUAL_SECONDS), list(of_unit))
        for unit, of_unit in groupby(items, lambda item: units[item.path])
        if _is_slow(unit)
    ]
    slow.sort(key=lambda each: -each[0])
    parts: list[list[pytest.Item]] = [[] for _ in range(processes)]
    loads = [0] * processes
    for seconds, of_unit in slow:
        least = loads.index(min(loads))
        loads[least] += seconds
        parts[least] += of_unit
    others = (item for item in items if not _is_slow(units[item.path]))
    size = len(items) // processes
    for part in parts:
        part += islice(others, max(0, size - len(part)))
    items[:] = [*chain.from_iterable(parts), *others]


def _unit(path: Path) -> str:
    """Return what is dealt to one process with this file: a folder of SECONDS, or the file alone."""
    unit = path.relative_to(TESTS)
    return str(next((folder for folder in unit.parents if str(folder) in SECONDS), unit))


def _is_slow(unit: str) -> bool:
    return unit.partition("/")[0] in SLOW


def pytest_collection_finish() -> None:
    """Let garbage collections skip what collecting the tests has made: a million objects that live until the end."""
    gc.collect()
    gc.freeze()


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
def kafka_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaNode]:
    """A real Apache Kafka, which all processes of pytest-xdist share. Topics and groups have unique names."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # that of the whole run
    with ExitStack() as stack:
        try:
            node = stack.enter_context(shared_kafka(folder))
        except StreamsError as error:
            fail_or_skip(f"no broker: {error}")
        yield node


@pytest.fixture(scope="session")
def kafka(kafka_node: KafkaNode) -> str:
    """Bootstrap servers of a real Apache Kafka."""
    return kafka_node.bootstrap_servers
