"""A real Apache Kafka for the tests: one KRaft node on free loopback ports, its jars from Maven in a cache."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import uuid
from base64 import urlsafe_b64encode
from pathlib import Path
from types import TracebackType
from typing import Self

from streams.embedded import LOOPBACK, BrokerProcess, free_port
from streams.errors import StreamsError

POM = Path(__file__).parents[1] / "kafka" / "pom.xml"
SERVER = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller_port}
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=PLAINTEXT://{host}:{port}
controller.listener.names=CONTROLLER
log.dirs={data}
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
group.initial.rebalance.delay.ms=0
log.cleaner.dedupe.buffer.size=4194304
"""
LOGGING = """\
<Configuration status="error">
  <Appenders><Console name="out"><PatternLayout pattern="%d %p %c: %m%n"/></Console></Appenders>
  <Loggers><Root level="warn"><AppenderRef ref="out"/></Root></Loggers>
</Configuration>
"""


class KafkaBroker:
    """`with KafkaBroker() as broker: ... broker.bootstrap_servers`; raises StreamsError where it cannot start."""

    def __init__(self) -> None:
        self.port = free_port()
        self.bootstrap_servers = f"{LOOPBACK}:{self.port}"
        self._directory = tempfile.TemporaryDirectory(prefix="intentstream-kafka-", ignore_cleanup_errors=True)

    def __enter__(self) -> Self:
        home = Path(self._directory.name)
        java = ["java", "-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        java += [f"-Dlog4j2.configurationFile={home / 'log4j2.xml'}", "-cp", f"{jars()}/*"]
        (home / "log4j2.xml").write_text(LOGGING)
        (home / "server.properties").write_text(
            SERVER.format(host=LOOPBACK, port=self.port, controller_port=free_port(), data=home / "data")
        )
        cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        run([*java, "kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(home / "server.properties")])
        command = [*java, "kafka.Kafka", str(home / "server.properties")]
        self._broker = BrokerProcess("Kafka", command, self.port, home / "kafka.log", patience_seconds=60)
        self._broker.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._broker.stop()
        self._directory.cleanup()

    @property
    def log(self) -> str:
        """What the broker logged so far, warnings and worse."""
        return self._broker.log.read_text()


def jars() -> Path:
    """Directory of Kafka's jars, copied there by Maven the first time."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "intentstream"
    # The name follows the pom: a changed version is copied anew.
    target = Path(
        os.environ.get("INTENTSTREAM_TEST_KAFKA_JARS")
        or cache / f"kafka-{uuid.uuid5(uuid.NAMESPACE_URL, POM.read_text())}"
    )
    if not target.is_dir():
        target.parent.mkdir(parents=True, exist_ok=True)
        # Into a directory beside it first: an interrupted copy must not look like a whole one.
        part = Path(tempfile.mkdtemp(dir=target.parent))
        run(["mvn", "-q", "-B", "-f", str(POM), "dependency:copy-dependencies", f"-DoutputDirectory={part}"])
        try:
            part.rename(target)
        except OSError:
            shutil.rmtree(part)  # another run was faster
    return target


def run(command: list[str]) -> None:
    """Run a tool to its end; raises StreamsError that says why it did not work."""
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
    except FileNotFoundError:
        raise StreamsError(f"{command[0]} is not installed; Kafka needs Java 17 and Maven") from None
    except subprocess.CalledProcessError as error:
        raise StreamsError(f"{command[0]} failed: {(error.stdout + error.stderr)[-2000:]}") from error
    except subprocess.TimeoutExpired as error:
        raise StreamsError(f"{command[0]} did not end within {error.timeout:g} s") from error
