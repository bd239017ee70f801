"""Broker settings as Faust's broker address and credentials."""

from __future__ import annotations

import ssl

from faust import SASLCredentials, SSLCredentials

from streams.broker_settings import BrokerSettings
from streams.kafka.clients import tls_context


def broker_url(settings: BrokerSettings) -> str:
    """Return all brokers as one Faust address: `kafka://a:9092;kafka://b:9092`."""
    return ";".join(f"kafka://{server}" for server in settings.bootstrap_servers.split(","))


def broker_credentials(settings: BrokerSettings) -> SASLCredentials | SSLCredentials | None:
    """Return Faust's credentials, or None if the brokers require none."""
    context: ssl.SSLContext | None = tls_context(settings)
    if settings.uses_sasl:
        return SASLCredentials(
            username=settings.sasl_username,
            password=settings.sasl_password.get_secret_value() if settings.sasl_password else None,
            mechanism=settings.sasl_mechanism,
            ssl_context=context,
        )
    return SSLCredentials(context) if context is not None else None
