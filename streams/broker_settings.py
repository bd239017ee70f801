"""Settings of the connection to Kafka, with TLS and SASL, and the check of their combinations."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX = "INTENTSTREAM_"

Brokers = Annotated[str, Field(pattern=r"^[^\s:,/]+:\d{1,5}(,[^\s:,/]+:\d{1,5})*$")]
Protocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
Mechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]


class BrokerSettings(BaseSettings):
    """Connection to Kafka. Settings are frozen; a repr hides secrets."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        protected_namespaces=(),
    )

    bootstrap_servers: Brokers = Field("127.0.0.1:9092", description="Bootstrap brokers: HOST:PORT,HOST:PORT")
    security_protocol: Protocol = Field("PLAINTEXT", description="Security protocol of the broker connections")
    ssl_ca_file: Path | None = Field(None, description="PEM file of trusted authorities; unset: the system's")
    ssl_cert_file: Path | None = Field(None, description="PEM certificate of the client, for mutual TLS")
    ssl_key_file: Path | None = Field(None, description="PEM key of the client; unset: in the certificate file")
    ssl_key_password: SecretStr | None = Field(None, description="Password of the client's key")
    sasl_mechanism: Mechanism | None = Field(None, description="SASL mechanism")
    sasl_username: str | None = Field(None, description="SASL user name")
    sasl_password: SecretStr | None = Field(None, description="SASL password")

    @property
    def uses_tls(self) -> bool:
        """Whether the connection is encrypted."""
        return self.security_protocol in ("SSL", "SASL_SSL")

    @property
    def uses_sasl(self) -> bool:
        """Whether the client logs in with a user name and a password."""
        return self.security_protocol.startswith("SASL_")

    @model_validator(mode="after")
    def _security_is_complete(self) -> Self:
        sasl = ("sasl_mechanism", "sasl_username", "sasl_password")
        tls = ("ssl_ca_file", "ssl_cert_file", "ssl_key_file", "ssl_key_password")
        if self.uses_sasl and (missing := self._those(sasl, given=False)):
            raise ValueError(f"{PREFIX}SECURITY_PROTOCOL={self.security_protocol} needs {missing} as well")
        # A setting without effect hides a mistake: the connection would be weaker than it looks.
        if not self.uses_sasl and (unused := self._those(sasl, given=True)):
            raise ValueError(f"{unused} needs {PREFIX}SECURITY_PROTOCOL=SASL_SSL (or SASL_PLAINTEXT)")
        if not self.uses_tls and (unused := self._those(tls, given=True)):
            raise ValueError(f"{unused} needs {PREFIX}SECURITY_PROTOCOL=SSL or SASL_SSL")
        if self.ssl_cert_file is None and (unused := self._those(("ssl_key_file", "ssl_key_password"), given=True)):
            raise ValueError(f"{unused} needs {PREFIX}SSL_CERT_FILE as well")
        return self

    def _those(self, names: tuple[str, ...], *, given: bool) -> str:
        return " and ".join(PREFIX + name.upper() for name in names if (getattr(self, name) is not None) == given)
