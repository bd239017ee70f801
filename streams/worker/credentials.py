"""Broker settings as Faust's broker address and credentials."""

from __future__ import annotations

import ssl

from faust import SASLCredentials, SSLCredentials

from streams.kafka.clients import tls_context
from streams.settings_groups import Kafka


def broker_url(kafka: Kafka) -> str:
    """Return all brokers as one Faust address: `kafka://a:9092;kafka://b:9092`."""
    return ";".join(f"kafka://{server}" for server in kafka.bootstrap_servers.split(","))


def broker_credentials(kafka: Kafka) -> SASLCredentials | SSLCredentials | None:
    """Return Faust's credentials, or None if the brokers require none."""
    context: ssl.SSLContext | None = tls_context(kafka)
    if kafka.uses_sasl:
        return SASLCredentials(
            username=kafka.sasl_username,
            password=kafka.sasl_password.get_secret_value() if kafka.sasl_password else None,
            mechanism=kafka.sasl_mechanism,
            ssl_context=context,
        )
    return SSLCredentials(context) if context is not None else None
