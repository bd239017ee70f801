"""A real Apache Kafka for the tests: one KRaft node on free loopback ports, from Maven's jars, which are cached."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding
from cryptography.hazmat.primitives.serialization.pkcs12 import serialize_key_and_certificates
from cryptography.x509.oid import NameOID

from streams.errors import StreamsError
from streams.kafka.embedded import LOOPBACK, BrokerProcess, free_port, temporary_home

POM = Path(__file__).parents[1] / "kafka" / "pom.xml"
SERVER = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller_port}
listeners=PLAINTEXT://{host}:{port},SASL_SSL://{host}:{secure_port},CONTROLLER://{host}:{controller_port}
advertised.listeners=PLAINTEXT://{host}:{port},SASL_SSL://{host}:{secure_port}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL
controller.listener.names=CONTROLLER
ssl.keystore.location={keystore}
ssl.keystore.type=PKCS12
ssl.keystore.password={password}
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512
listener.name.sasl_ssl.plain.sasl.jaas.config={plain} required user_{user}="{password}";
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config={scram} required;
log.dirs={data}
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
group.initial.rebalance.delay.ms=0
metadata.max.idle.interval.ms=60000
log.cleaner.dedupe.buffer.size=4194304
"""
MODULES = "org.apache.kafka.common.security"
USER, PASSWORD = "shop", "open-sesame"
LOGGING = """\
<Configuration status="error">
  <Appenders><Console name="out"><PatternLayout pattern="%d %p %c: %m%n"/></Console></Appenders>
  <Loggers>
    <Logger name="kafka.authorizer.logger" level="debug"/>
    <Root level="warn"><AppenderRef ref="out"/></Root>
  </Loggers>
</Configuration>
"""


FAST_START = ("-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
"""Java options for tests: a fast start."""
AS_SHIPPED = ("-Xms1g", "-Xmx1g", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20")
"""Java options for measurements: those of Kafka's own scripts."""


class _Node(BrokerProcess):
    """The process of Apache Kafka, which takes signals."""

    def send_signal(self, number: int) -> None:
        self._process.send_signal(number)


class KafkaNode(NamedTuple):
    """Where a running Kafka listens. `secure_servers` require TLS, whose authority is `ca_file`, and a login."""

    bootstrap_servers: str
    secure_servers: str
    ca_file: Path


class KafkaBroker:
    """`with KafkaBroker() as broker: ... broker.bootstrap_servers`; raises StreamsError if it cannot start.

    `secure_servers` requires TLS (its authority is `ca_file`) and USER with PASSWORD over PLAIN or SCRAM-SHA-512.
    """

    def __init__(self, java_options: Sequence[str] = FAST_START) -> None:
        self._java_options = java_options
        self.port, self.secure_port = free_port(), free_port()
        self.bootstrap_servers = f"{LOOPBACK}:{self.port}"
        self.secure_servers = f"{LOOPBACK}:{self.secure_port}"
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._home = Path(stack.enter_context(temporary_home()))
            self.ca_file = self._home / "ca.pem"
            self._process = stack.enter_context(self._format_storage())
            self._stack = stack.pop_all()
        return self

    @property
    def node(self) -> KafkaNode:
        """Where the broker listens."""
        return KafkaNode(self.bootstrap_servers, self.secure_servers, self.ca_file)

    @property
    def log(self) -> Path:
        """The broker's log."""
        return self._process.log

    def start(self) -> None:
        """Start a stopped broker again, with its data and its ports."""
        self._process.__enter__()

    def stop(self) -> None:
        """Stop the broker. Its data and its ports stay."""
        self._process.__exit__(None, None, None)

    def kill(self) -> None:
        """Kill the broker. Its clients find no broker from now on."""
        self._process.send_signal(signal.SIGKILL)
        self.stop()

    def send_signal(self, number: int) -> None:
        """Send a signal to the broker, such as SIGSTOP."""
        self._process.send_signal(number)

    def _format_storage(self) -> _Node:
        java = [
            "java",
            *self._java_options,
            f"-Dlog4j2.configurationFile={self._home / 'log4j2.xml'}",
            "-cp",
            f"{jars()}/*",
        ]
        (self._home / "log4j2.xml").write_text(LOGGING)
        properties = self._home / "server.properties"
        properties.write_text(self._properties())
        make_certificate(self._home / "keystore.p12", self.ca_file)
        cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        login = f"SCRAM-SHA-512=[name={USER},password={PASSWORD}]"
        run(
            [
                *java,
                "kafka.tools.StorageTool",
                "format",
                f"--cluster-id={cluster}",
                "-c",
                str(properties),
                "--add-scram",
                login,
            ]
        )
        command = [*java, "kafka.Kafka", str(properties)]
        return _Node("Kafka", command, self.port, self._home / "kafka.log", patience_seconds=60)

    def _properties(self) -> str:
        return SERVER.format(
            host=LOOPBACK,
            port=self.port,
            secure_port=self.secure_port,
            controller_port=free_port(),
            data=self._home / "data",
            keystore=self._home / "keystore.p12",
            user=USER,
            password=PASSWORD,
            plain=f"{MODULES}.plain.PlainLoginModule",
            scram=f"{MODULES}.scram.ScramLoginModule",
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()


def jars(pom: Path = POM) -> Path:
    """Return the directory of a pom's jars. Maven copies them on first use."""
    kind = pom.parent.name
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "intentstream"
    # The name depends on the pom, so a changed version is copied again.
    target = Path(
        os.environ.get(f"INTENTSTREAM_TEST_{kind.upper()}_JARS")
        or cache / f"{kind}-{uuid.uuid5(uuid.NAMESPACE_URL, pom.read_text())}"
    )
    if not target.is_dir():
        target.parent.mkdir(parents=True, exist_ok=True)
        # Copy to a temporary directory first: an interrupted copy must not look complete.
        part = Path(tempfile.mkdtemp(dir=target.parent))
        run(["mvn", "-q", "-B", "-f", str(pom), "dependency:copy-dependencies", f"-DoutputDirectory={part}"])
        try:
            part.rename(target)
        except OSError:
            shutil.rmtree(part)  # a concurrent run was faster
    return target


def run(command: list[str]) -> None:
    """Run a tool to its end. Raises StreamsError with its output if it fails."""
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
    except FileNotFoundError:
        raise StreamsError(f"{command[0]} is not installed; Java 17 and Maven are required") from None
    except subprocess.CalledProcessError as error:
        raise StreamsError(f"{command[0]} failed: {(error.stdout + error.stderr)[-2000:]}") from error
    except subprocess.TimeoutExpired as error:
        raise StreamsError(f"{command[0]} did not end within {error.timeout:g} s") from error


def make_certificate(keystore: Path, certificate: Path) -> None:
    """Create a keystore, and a self-signed certificate for loopback."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(LOOPBACK))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True,
                key_cert_sign=True,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                crl_sign=False,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .sign(key, SHA256())
    )
    encryption = BestAvailableEncryption(PASSWORD.encode())
    keystore.write_bytes(serialize_key_and_certificates(b"kafka", key, signed, None, encryption))
    certificate.write_bytes(signed.public_bytes(Encoding.PEM))
