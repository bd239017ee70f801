"""Groups of settings. Each field has a flat name, which is its alias or else its own name.

The flat name, in capitals and after `PREFIX`, is the environment variable.
"""

from __future__ import annotations

from contextlib import suppress
from functools import lru_cache
from ipaddress import ip_address
from itertools import pairwise
from pathlib import Path
from socket import gethostname
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from inference.retrieval.sources import DEFAULTS
from streams.settings_values import (
    NAME_START,
    BaseUrl,
    Brokers,
    ClientTokens,
    Console,
    Count,
    Duration,
    Host,
    Level,
    LogFormat,
    Mechanism,
    Name,
    Origins,
    Payload,
    Port,
    Protocol,
    Providers,
    Reasons,
    SecretKey,
    SecretKeys,
    Sources,
    TopicName,
    TopicPrefix,
    Wait,
    Weight,
)

PREFIX = "INTENTSTREAM_"
FEWEST_PRIVATE_SECONDS = 600
"""Shortest interval of trends with a privacy budget."""


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
        8, ge=1, le=8192, description="Partitions of every topic except models, trending and sessions"
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


class Profile(Group):
    """Profiles of shoppers."""

    short_term_half_life_minutes: Duration = Field(30, description="Half-life of the short-term intent, in event time")
    long_term_half_life_days: Duration = Field(30, description="Half-life of the long-term intent, in event time")
    session_gap_minutes: Duration = Field(30, description="Pause that ends a session")
    max_clock_skew_seconds: Wait = Field(300, description="Largest lead of an event's time over Kafka's clock")
    weight_search: Weight = Field(1.0, description="Weight of a search in the intent")
    weight_view: Weight = Field(1.0, description="Weight of a view")
    weight_click: Weight = Field(1.0, description="Weight of a click")
    weight_cart: Weight = Field(2.0, description="Weight of an item put into the cart")
    weight_purchase: Weight = Field(3.0, description="Weight of a purchase")


class Retrieval(Group):
    """Candidates and lists."""

    sources: Sources = Field(DEFAULTS, description="Candidate sources")
    candidates_per_source: Count = Field(100, description="Candidates of each source, at most")
    candidates_ranked: Count = Field(250, description="Candidates that the ranker scores: the first in the fused order")
    list_size: int = Field(20, ge=1, le=1000, description="Items in a recommendation")
    diversity: float = Field(0.0, ge=0, le=1, description="Diversity of a list's items; 0: off")
    places_for_new: int = Field(
        1, ge=0, le=1000, description="Places reserved for items without any action, except in lists for a search"
    )
    fairness: float = Field(
        0.0, ge=0, le=0.5,
        description="Least share of new items and of small sellers' items in lists, except for a search; 0: off",
    )  # fmt: skip
    language: Reasons = Field("en", description="Language of the reasons: en, de or zh (simplified characters)")
    placements_file: Path | None = Field(
        None, description="TOML or JSON file of placements; unset: the default placement only"
    )
    exact_search_limit: int = Field(100_000, ge=0, description="Catalogue size up to which vector search is exact")


class Learning(Group):
    """Co-occurrence, sessions, trends and habits."""

    min_shoppers: int = Field(
        2, ge=1, le=32, description="Distinct shoppers that a pair of items, a search or a trend needs to be published"
    )
    robot_events_per_minute: int = Field(
        120, ge=1, le=60_000, description="Events in a minute beyond which others learn nothing from a shopper that day"
    )
    robot_events_per_day: int = Field(
        2000, ge=1, le=60_000, description="Events in a day (UTC) beyond which others learn nothing from a shopper"
    )
    pairs_half_life_days: Duration = Field(60, description="Half-life of co-occurrence, in event time")
    pairs_window: int = Field(
        10, ge=1, le=23, description="Preceding items of a session that co-occur with an action's item"
    )
    behaviour_interval_seconds: Duration = Field(1.0, description="Publishing interval of co-occurrence and sessions")
    sessions_kept: Count = Field(50_000, description="Newest sessions that each worker keeps in memory")
    sessions_retention_days: Duration = Field(7, description="Retention of the sessions topic")
    trending_half_life_hours: Duration = Field(24, description="Half-life of an item's popularity, in event time")
    trending_lasting_half_life_days: Duration = Field(30, description="Half-life of an item's lasting popularity")
    trending_interval_seconds: Duration = Field(1.0, description="Publishing interval of trending items")
    trends_epsilon_per_day: float | None = Field(
        None, gt=0, le=1000, description="Privacy budget of published trends for a day; unset: counts without noise"
    )
    trends_events_per_day: Count = Field(
        50, description="Events of a shopper in a day that count in trends with a privacy budget"
    )
    habit_half_life_days: Duration = Field(90, description="Half-life of a shopper's purchases, in event time")

    @model_validator(mode="after")
    def _private_trends_are_rare(self) -> Self:
        # Each release spends a part of the budget: once a second, nothing but noise would be left.
        if self.trends_epsilon_per_day is not None and self.trending_interval_seconds < FEWEST_PRIVATE_SECONDS:
            raise ValueError(
                f"{PREFIX}TRENDS_EPSILON_PER_DAY needs {PREFIX}TRENDING_INTERVAL_SECONDS of {FEWEST_PRIVATE_SECONDS} "
                "or more: each publication spends a part of the budget"
            )
        return self


class Latency(Group):
    """Batches, the deadline and events in flight."""

    batch_max_size: int = Field(64, ge=1, le=4096, description="Events in a batch, at most")
    scoring_deadline_ms: Duration = Field(200.0, description="Scoring deadline; later lists keep the retrieval order")
    catch_up_seconds: Duration = Field(
        5.0, description="Age of the newest event of a batch above which it has no deadline"
    )
    shopper_lists_per_minute: int = Field(
        120, ge=0, le=60_000,
        description="Ranked lists of a shopper in a burst, and in each minute after it; 0: no limit",
    )  # fmt: skip
    max_in_flight: Count = Field(256, description="Events in flight in a worker, at most")
    producer_linger_ms: int = Field(
        0, ge=0, le=60_000, description="Time that the producer waits to batch messages sent singly"
    )


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


class Http(Group):
    """Endpoint of metrics and health."""

    host: Host = Field("127.0.0.1", alias="metrics_host", description="Address of the metrics endpoint")
    port: Port = Field(9100, alias="metrics_port", description="Port of the metrics endpoint; 0 turns it off")


class Service(Group):
    """HTTP service: lists on request, events and items."""

    host: Host = Field("127.0.0.1", alias="http_host", description="Address of the HTTP service")
    port: Port = Field(0, alias="http_port", description="Port of the HTTP service; 0: off")
    advertised_url: BaseUrl = Field(
        None,
        alias="http_advertised_url",
        description="URL at which other workers reach this one; unset: by host and port",
    )
    tokens: ClientTokens = Field(
        None, alias="http_tokens", description="Clients as NAME:ROLES:SHA256; unset: no login, loopback only"
    )
    requests_per_second: int = Field(
        1000, alias="http_requests_per_second", ge=0, le=1_000_000,
        description="Requests of a client in a burst, and in each second after it; 0: no limit",
    )  # fmt: skip
    timeout_seconds: float = Field(
        2.0, alias="http_timeout_seconds", gt=0, le=60, description="Time after which a request is answered with 503"
    )
    cors_origins: Origins = Field(
        (), alias="http_cors_origins", description="Web origins whose pages may call the service; unset: none"
    )
    suggestions_seconds: Duration = Field(300.0, description="Interval between two builds of the query suggestions")
    suggestions_blocked_file: Path | None = Field(
        None, description="Text file of words and phrases that no suggestion may contain, one a line; unset: none"
    )
    console: Console = Field(
        "off",
        alias="http_console",
        description="Console: off, read, or write, in which viewers act as shoppers without a token",
    )

    @property
    def url(self) -> str:
        """URL at which other workers reach this one."""
        if self.advertised_url is not None:
            return self.advertised_url
        host = gethostname() if self.host in ("0.0.0.0", "::") else self.host  # noqa: S104 - a comparison
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    @model_validator(mode="after")
    def _is_protected(self) -> Self:
        if self.port and self.tokens is None and not is_loopback(self.host):
            raise ValueError(
                f"{PREFIX}HTTP_HOST={self.host} needs {PREFIX}HTTP_TOKENS: without tokens the HTTP service listens on "
                "loopback only"
            )
        return self


@lru_cache(maxsize=64)
def is_loopback(host: str) -> bool:
    """Return whether a host is an address of this machine only."""
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return host == "localhost"


class Ops(Group):
    """Logs."""

    log_level: Level = Field("INFO", description="Log level: DEBUG, INFO, WARNING or ERROR")
    log_format: LogFormat = Field("text", description="Log format: text or json, one object a line")
