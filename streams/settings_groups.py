"""Groups of settings: Kafka, topics, models, state, privacy and logs.

Other groups are in `settings_lists.py` and `settings_service.py`. Each field has a flat name, which is its alias or
else its own name. The flat name, in capitals and after `PREFIX`, is the environment variable.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from streams.settings_values import (
    NAME_START,
    Brokers,
    Count,
    Duration,
    Level,
    LogFormat,
    Mechanism,
    Name,
    Payload,
    Protocol,
    Providers,
    SecretKey,
    SecretKeys,
    TopicName,
    TopicPrefix,
    Wait,
)

PREFIX = "INTENTSTREAM_"


class Group(BaseModel):
    """Base class of the groups. It takes its own values from all flat ones; a repr hides secrets."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    def given(self) -> dict[str, object]:
        """Return the values that were given, in contrast to the defaults, by flat name."""
        fields = type(self).model_fields
        return {
            field.alias or name: getattr(self, name) for name, field in fields.items() if name in self.model_fields_set
        }


class Kafka(Group):
    """Connection to Kafka, and the consumer group."""

    bootstrap_servers: Brokers = Field("127.0.0.1:9092", description="Bootstrap brokers: HOST:PORT,HOST:PORT")
    security_protocol: Protocol = Field("PLAINTEXT", description="Security protocol of the broker connections")
    ssl_ca_file: Path | None = Field(None, description="PEM file of trusted authorities; unset: the system's")
    ssl_cert_file: Path | None = Field(None, description="PEM certificate of the client, for mutual TLS")
    ssl_key_file: Path | None = Field(None, description="PEM key of the client; unset: in the certificate file")
    ssl_key_password: SecretStr | None = Field(None, description="Password of the client's key")
    sasl_mechanism: Mechanism = Field(None, description="SASL mechanism")
    sasl_username: str | None = Field(None, description="SASL user name")
    sasl_password: SecretStr | None = Field(None, description="SASL password")
    app_id: Name = Field("intentstream", description="Consumer group, and prefix of the changelog topics")
    session_timeout_seconds: float = Field(
        10.0, ge=6, le=300, description="Time without heartbeats until a worker loses its partitions"
    )

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
        problems = []
        if self.uses_sasl and (missing := self._those(sasl, given=False)):
            problems.append(f"{PREFIX}SECURITY_PROTOCOL={self.security_protocol} needs {missing} as well")
        # A setting without effect hides a mistake: the connection would be weaker than it looks.
        if not self.uses_sasl and (unused := self._those(sasl, given=True)):
            problems.append(f"{unused} needs {PREFIX}SECURITY_PROTOCOL=SASL_SSL (or SASL_PLAINTEXT)")
        if not self.uses_tls and (unused := self._those(tls, given=True)):
            problems.append(f"{unused} needs {PREFIX}SECURITY_PROTOCOL=SSL or SASL_SSL")
        if self.ssl_cert_file is None and (unused := self._those(("ssl_key_file", "ssl_key_password"), given=True)):
            problems.append(f"{unused} needs {PREFIX}SSL_CERT_FILE as well")
        if problems:
            raise ValueError("\n".join(problems))
        return self

    def _those(self, names: tuple[str, ...], *, given: bool) -> str:
        return " and ".join(PREFIX + name.upper() for name in names if (getattr(self, name) is not None) == given)


class Topics(Group):
    """Topics by their full names: `prefix` is part of each."""

    prefix: TopicPrefix = Field("", alias="topic_prefix", description="Start of every topic's name")
    clicks: TopicName = Field("clicks", alias="clicks_topic", description="In: views, clicks, carts and purchases")
    searches: TopicName = Field("searches", alias="searches_topic", description="In: searches")
    items: TopicName = Field("items", alias="items_topic", description="In: the catalogue")
    item_vectors: TopicName = Field(
        "item-vectors", alias="item_vectors_topic", description="Internal: items with their vectors"
    )
    models: TopicName = Field("models", alias="models_topic", description="In: the pinned model, if any")
    privacy: TopicName = Field("privacy", alias="privacy_topic", description="In: requests to forget a shopper")
    trending: TopicName = Field(
        "trending", alias="trending_topic", description="Internal: popular items of each partition's shoppers"
    )
    item_pairs: TopicName = Field(
        "item-pairs", alias="item_pairs_topic", description="Internal: transitions between items"
    )
    item_neighbours: TopicName = Field(
        "item-neighbours", alias="item_neighbours_topic", description="Internal: related items and searches of items"
    )
    sessions: TopicName = Field("sessions", alias="sessions_topic", description="Internal: items of each session")
    asset_profiles: TopicName = Field(
        "asset-profiles", alias="asset_profiles_topic", description="Internal: profiles of the streams' content"
    )
    recommendations: TopicName = Field(
        "recommendations", alias="recommendations_topic", description="Out: ranked lists"
    )
    dead_letters: TopicName = Field("dead-letters", alias="dead_letters_topic", description="Out: refused messages")
    dead_letters_retention_days: Duration = Field(14, description="Retention of the dead letters topic")
    dead_letters_payload: Payload = Field("keep", description="Bytes of refused messages in dead letters: keep or omit")
    privacy_receipts: TopicName = Field(
        "privacy-receipts", alias="privacy_receipts_topic", description="Out: what was forgotten, and when"
    )
    partitions: int = Field(  # a profile keeps the number of a partition in 13 bits
        8, ge=1, le=8192, description="Partitions of every topic except models, trending, sessions and asset profiles"
    )
    replication_factor: int = Field(1, ge=1, le=32, description="Replicas of each partition")

    @property
    def consumed(self) -> tuple[str, ...]:
        """Topics whose partitions the consumer group distributes over the workers."""
        return (self.clicks, self.searches, self.items, self.item_pairs, self.privacy)

    @property
    def broadcast(self) -> tuple[str, ...]:
        """Topics that every worker reads whole."""
        return (self.item_vectors, self.item_neighbours, self.sessions, self.trending, self.models, self.privacy)

    @classmethod
    def aliases(cls) -> dict[str, str]:
        """Return the flat name of each topic, by attribute."""
        fields = cls.model_fields.items()
        return {name: field.alias for name, field in fields if field.alias and field.alias.endswith("_topic")}

    def given(self) -> dict[str, object]:
        """Return the values that were given, by flat name. Names of topics are without the prefix."""
        topics = self.aliases().values()
        return {
            name: str(value).removeprefix(self.prefix) if name in topics else value
            for name, value in super().given().items()
        }

    @model_validator(mode="before")
    @classmethod
    def _with_prefix(cls, values: dict[str, Any]) -> dict[str, Any]:
        prefix = values.get("topic_prefix")
        if not isinstance(prefix, str) or not NAME_START.fullmatch(prefix):
            return values  # an invalid prefix is one problem, not one for each topic
        names = {flat: values.get(flat, cls.model_fields[name].default) for name, flat in cls.aliases().items()}
        return values | {flat: prefix + name for flat, name in names.items() if isinstance(name, str)}

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        topics = sorted((str(getattr(self, name)), PREFIX + flat.upper()) for name, flat in self.aliases().items())
        problems = [
            f"{first} and {second} are the same topic, {one!r}"
            for (one, first), (other, second) in pairwise(topics)
            if one == other
        ]
        if problems:
            raise ValueError("\n".join(problems))
        return self


class Model(Group):
    """Model bundles, and their execution."""

    path: Path = Field(
        Path("exported_models/shop-minilm-l3/1"), alias="model_path", description="Directory of the model bundle"
    )
    directory: Path = Field(
        Path("exported_models"), alias="model_dir", description="Directory of other bundles, as NAME/VERSION"
    )
    watch_seconds: float = Field(
        5.0, ge=0, le=86_400, alias="model_watch_seconds",
        description="Interval of checks for a newer version in the model directory; 0: never",
    )  # fmt: skip
    execution_providers: Providers = Field(
        ("CPUExecutionProvider",), description="ONNX Runtime providers, in order of preference"
    )
    scorer_threads: int = Field(1, ge=1, le=256, description="Threads of the scorer")


class State(Group):
    """Stores of a worker, and commits."""

    data_dir: Path = Field(Path("data"), description="Directory of the state; each worker needs its own")
    rocksdb_block_cache_mb: Count = Field(64, description="Block cache shared by all stores, MiB")
    rocksdb_write_buffer_mb: Count = Field(16, description="Write buffer of each store, MiB")
    commit_interval_seconds: Duration = Field(1.0, description="Interval between offset commits")
    shutdown_drain_seconds: Wait = Field(6, description="Time for a stopping worker to finish events in flight")


class Privacy(Group):
    """Protection of shoppers' data inside the service."""

    pseudonym_key: SecretKey = Field(
        None, description="Key of the hash that replaces user ids in tables and on internal topics; unset: user ids"
    )
    encryption_keys: SecretKeys = Field(
        None, description="Keys that encrypt stored values: the first encrypts, all decrypt; unset: no encryption"
    )


class Ops(Group):
    """Logs."""

    log_level: Level = Field("INFO", description="Log level: DEBUG, INFO, WARNING or ERROR")
    log_format: LogFormat = Field("text", description="Log format: text or json, one object a line")
