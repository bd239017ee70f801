"""Small Kafka broker in a child process, for the demo and for quick tests: noida-db, from the extra `demo`.

It supports one worker that stops orderly. After a member of a consumer group is killed, the group never assigns its
partitions again, and later members wait for ever. For anything else use Kafka.
"""

from __future__ import annotations

import os
import random
import socket
import struct
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self

from streams.errors import ConfigurationError, StreamsError

LOOPBACK = "127.0.0.1"
PORTS = range(20_000, 32_000)
"""Below the ports of outgoing connections (Linux: from 32,768 on). One of those may be taken before a server has it."""
TRIES = 100
_API_VERSIONS = struct.pack(">ihhih", 10, 18, 0, 1, -1)  # length, key, version, correlation id, no client id


class BrokerProcess:
    """Broker in a child process. `with` starts it, waits until it answers Kafka's protocol, and stops it.

    Raises StreamsError with the end of its log if it does not start.
    """

    def __init__(self, name: str, command: Sequence[str], port: int, log: Path, *, patience_seconds: float) -> None:
        self._name = name
        self._command = command
        self._port = port
        self._patience_seconds = patience_seconds
        self.log = log

    def __enter__(self) -> Self:
        with self.log.open("ab") as log:
            # A separate process group: Ctrl-C must not reach the broker. It is stopped after its clients have left.
            self._process = subprocess.Popen(  # noqa: S603 - fixed command
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        try:
            self._wait()
        except BaseException:
            # Also on Ctrl-C during the start: the broker must not outlive this process.
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def kill(self) -> None:
        """Kill the broker, without any end of its own."""
        self._process.kill()
        self._process.wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + self._patience_seconds
        while not answers(self._port):
            if self._process.poll() is not None:
                raise StreamsError(f"{self._name} ended with code {self._process.returncode}{self._end_of_log()}")
            if time.monotonic() > deadline:
                raise StreamsError(f"{self._name} does not answer in {self._patience_seconds:g} s{self._end_of_log()}")
            time.sleep(0.02)

    def _stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _end_of_log(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()
        return "; the end of its log:\n" + "\n".join(lines[-15:])


class EmbeddedBroker:
    """Broker on a free loopback port, with its data in a temporary directory. Both are removed at the end.

    Use it as `with EmbeddedBroker() as broker: ... broker.bootstrap_servers`. Raises ConfigurationError if the extra
    `demo` is missing, and StreamsError if the broker does not start.
    """

    def __init__(self) -> None:
        self.port = free_port()
        self.bootstrap_servers = f"{LOOPBACK}:{self.port}"
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.home = Path(stack.enter_context(temporary_home()))
            command = [str(_binary()), "start", "--only", "kafka", "--host", LOOPBACK]
            command += ["--kafka-port", str(self.port), "--data-dir", str(self.home / "data")]
            log = self.home / "broker.log"
            stack.enter_context(BrokerProcess("the embedded broker", command, self.port, log, patience_seconds=20))
            # Everything has started: `__exit__` closes it. An error above closes what was started so far.
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()


def temporary_home() -> tempfile.TemporaryDirectory[str]:
    """Create a directory for a broker's data. Files that vanish during its removal are ignored."""
    return tempfile.TemporaryDirectory(prefix="intentstream-broker-", ignore_cleanup_errors=True)


def free_port() -> int:
    """Return a free loopback port. It is random, so that programs that start at the same time get different ones.

    Raises StreamsError if all ports that were tried are in use.
    """
    for port in random.SystemRandom().sample(PORTS, TRIES):
        with socket.socket() as probe, suppress(OSError):
            probe.bind((LOOPBACK, port))
            return port
    raise StreamsError(f"no free port among {TRIES} from {PORTS[0]} to {PORTS[-1]}: stop the programs that use them")


def answers(port: int) -> bool:
    """Return whether a broker on this loopback port answers Kafka's ApiVersions request."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=1) as connection:
            connection.sendall(_API_VERSIONS)
            return len(connection.recv(4)) == 4
    except OSError:
        return False


def _binary() -> Path:
    package = find_spec("noida_db")
    if package is None or package.origin is None:
        raise ConfigurationError("the embedded broker is not installed: pip install 'intentstream[demo]'")
    binary = Path(package.origin).with_name("noida-db")
    if not os.access(binary, os.X_OK):
        # The wheel does not mark its binary as executable.
        binary.chmod(0o755)
    return binary
