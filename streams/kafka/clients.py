"""Connection options of aiokafka's clients. No other module turns settings into connection arguments."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from time import monotonic
from typing import Any, TypedDict

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaConnectionError, KafkaError

from streams.errors import ConfigurationError, StreamsError
from streams.settings_groups import PREFIX, Kafka

READ_COMMITTED = "read_committed"
EMPTY_FETCH_PAUSE_S = 0.01
"""Seconds before a consumer fetches again after a fetch that came back at once, without messages."""
METADATA_PAUSE_S = 0.5
"""Seconds before a client asks again for metadata that lacked a leader of a partition, or that no broker sent."""


class ClientOptions(TypedDict):
    """Arguments common to aiokafka's clients: `AIOKafkaConsumer(topic, **client_options(settings.kafka))`."""

    bootstrap_servers: str
    security_protocol: str
    ssl_context: ssl.SSLContext | None
    sasl_mechanism: str
    sasl_plain_username: str | None
    sasl_plain_password: str | None


class ConsumerOptions(ClientOptions):
    """Arguments of all consumers: `AIOKafkaConsumer(**consumer_options(settings.kafka))`."""

    isolation_level: str


def client_options(kafka: Kafka) -> ClientOptions:
    """Return the connection arguments of an aiokafka producer, consumer or admin client."""
    return ClientOptions(
        bootstrap_servers=kafka.bootstrap_servers,
        security_protocol=kafka.security_protocol,
        ssl_context=tls_context(kafka),
        sasl_mechanism=kafka.sasl_mechanism or "PLAIN",
        sasl_plain_username=kafka.sasl_username,
        sasl_plain_password=kafka.sasl_password.get_secret_value() if kafka.sasl_password else None,
    )


def consumer_options(kafka: Kafka) -> ConsumerOptions:
    """Return the arguments of a consumer. It reads no message of an aborted or open transaction."""
    return ConsumerOptions(**client_options(kafka), isolation_level=READ_COMMITTED)


def pace(consumer: AIOKafkaConsumer, empty_fetch_s: float = EMPTY_FETCH_PAUSE_S) -> None:
    """Make a started consumer pause before it repeats what brought nothing.

    Its fetcher asks again at once for metadata that lacked something: a missing topic took half a core of the worker
    and of the broker. Kafka keeps a fetch until messages come, for `fetch_max_wait_ms` at most. The embedded broker
    answers at once, and the fetches of an idle worker took half a core.
    """
    pace_metadata(consumer._client)
    pace_fetches(consumer._fetcher, empty_fetch_s)


def pace_fetches(fetcher: Any, pause_s: float) -> None:
    """Make aiokafka's fetcher pause after a fetch without messages that took less time than the pause."""
    fetch = fetcher._proc_fetch_request

    async def fetch_and_pause(*arguments: Any) -> Any:
        sent_s = monotonic()
        has_messages = await fetch(*arguments)
        if not has_messages and monotonic() - sent_s < pause_s:
            # The fetcher cancels this task when it closes, and expects it to end without an error, as a fetch does.
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(pause_s)
        return has_messages

    fetcher._proc_fetch_request = fetch_and_pause


def pace_metadata(client: Any) -> None:
    """Make an aiokafka client pause after metadata that lacked something; see METADATA_PAUSE_S."""
    update = client._metadata_update
    is_complete = True

    async def pause_and_update(cluster: Any, topics: Collection[str] | None) -> bool:
        nonlocal is_complete
        if not is_complete:
            await asyncio.sleep(METADATA_PAUSE_S)
        is_updated: bool = await update(cluster, topics)
        # Without topics, the request is for all of them, and none can be missing.
        is_complete = is_updated and all(_has_leaders(cluster, topic) for topic in topics or ())
        return is_updated

    client._metadata_update = pause_and_update


def _has_leaders(cluster: Any, topic: str) -> bool:
    partitions = cluster.partitions_for_topic(topic)
    return bool(partitions) and partitions == cluster.available_partitions_for_topic(topic)


def tls_context(kafka: Kafka) -> ssl.SSLContext | None:
    """Return the TLS context with the trusted certificates and the client's own, None for an unencrypted connection.

    Raises ConfigurationError if a file is missing, is not PEM, or cannot be opened with the password.
    """
    if not kafka.uses_tls:
        return None
    try:
        context = ssl.create_default_context(cafile=kafka.ssl_ca_file)
    except OSError as error:
        raise ConfigurationError(f"{PREFIX}SSL_CA_FILE={kafka.ssl_ca_file}: {error}") from error
    if kafka.ssl_cert_file is not None:
        secret = kafka.ssl_key_password
        # Without a password OpenSSL would ask for one on the terminal, and a worker would wait there.
        password = secret.get_secret_value() if secret else ""
        try:
            context.load_cert_chain(kafka.ssl_cert_file, kafka.ssl_key_file, password)
        except OSError as error:
            files = f"{PREFIX}SSL_CERT_FILE={kafka.ssl_cert_file}, {PREFIX}SSL_KEY_FILE={kafka.ssl_key_file}"
            raise ConfigurationError(f"{files}, {PREFIX}SSL_KEY_PASSWORD: {error}") from error
    return context


class _LastWarning(logging.Handler):
    """Handler that keeps aiokafka's last warning. If no broker accepts the connection, only the log has the reason."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.text = "no reason given"

    def emit(self, record: logging.LogRecord) -> None:
        self.text = record.getMessage()


@contextmanager
def broker_errors(kafka: Kafka, doing: str) -> Iterator[None]:
    """Turn aiokafka's errors into this project's, with the action, the brokers and the reason."""
    last_warning = _LastWarning()
    log = logging.getLogger("aiokafka")
    log.addHandler(last_warning)
    try:
        yield
    except KafkaConnectionError as error:
        raise ConfigurationError(
            f"{doing}: no connection to {kafka.bootstrap_servers} over {kafka.security_protocol}: {last_warning.text}; "
            f"required a broker at {PREFIX}BOOTSTRAP_SERVERS that accepts {PREFIX}SECURITY_PROTOCOL and the credentials"
        ) from error
    except KafkaError as error:
        raise StreamsError(f"{doing} at {kafka.bootstrap_servers}: {error!r}") from error
    finally:
        log.removeHandler(last_warning)
