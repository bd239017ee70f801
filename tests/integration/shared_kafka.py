"""One Apache Kafka for all processes of a test run. A Kafka for each of them would cost 10 s of CPU time each."""

from __future__ import annotations

import fcntl
import json
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from tests.integration.brokers import KafkaBroker, KafkaNode


@contextmanager
def shared_kafka(folder: Path) -> Iterator[KafkaNode]:
    """Use the Kafka of the processes that share `folder`. The first of them starts it, and stops it as the last one.

    Each process has a shared lock on one file while it uses the broker. Another file is locked while the broker is
    looked up, started or stopped. Raises StreamsError if Kafka cannot start.
    """
    place = folder / "kafka.json"
    with (folder / "kafka.users").open("a") as users, (folder / "kafka.lock").open("a") as lock, ExitStack() as stack:
        fcntl.flock(lock, fcntl.LOCK_EX)
        broker = None if place.exists() else stack.enter_context(KafkaBroker())
        if broker is not None:
            place.write_text(json.dumps(broker.node._asdict(), default=str))
        node = json.loads(place.read_text())
        fcntl.flock(users, fcntl.LOCK_SH)
        fcntl.flock(lock, fcntl.LOCK_UN)
        try:
            yield KafkaNode(**node | {"ca_file": Path(node["ca_file"])})
        finally:
            fcntl.flock(users, fcntl.LOCK_UN)
            if broker is not None:
                _wait_until_unused(users, lock)
                place.unlink()


def _wait_until_unused(users: IO[str], lock: IO[str]) -> None:
    """Wait until no process uses the broker, and keep both locks: whoever needs Kafka later starts another one."""
    # The alarm of pytest-timeout is for this process's last test. The wait is for the tests of others.
    signal.setitimer(signal.ITIMER_REAL, 0)
    while True:
        # Wait without the other lock: a process that looks the broker up waits for this one while it has that one.
        fcntl.flock(users, fcntl.LOCK_EX)
        fcntl.flock(users, fcntl.LOCK_UN)
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            fcntl.flock(lock, fcntl.LOCK_UN)
        else:
            return
