"""Settings of the streams, read once at the start and passed down. Nothing else reads INTENTSTREAM_* variables.

The field `name` is `INTENTSTREAM_NAME` in the environment or in a `.env` file. An empty value counts as unset.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import NoDecode

from inference.retrieval.sources import NAMES
from streams.broker_settings import PREFIX, BrokerSettings
from streams.errors import ConfigurationError


def _split(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _known_source(name: str) -> str:
    if name not in NAMES:
        required = ", ".join(map(repr, NAMES))
        raise PydanticCustomError("source", "Input should be one of {required}", {"required": required})
    return name


Count = Annotated[int, Field(ge=1, le=1_000_000)]
Duration = Annotated[float, Field(gt=0, le=1_000_000)]
Level = Literal["DEBUG", "INFO", "WARNING", "ERROR"]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,200}$")]
Port = Annotated[int, Field(ge=0, le=65535)]
Provider = Annotated[str, Field(pattern=r"^[A-Za-z0-9]+ExecutionProvider$")]
Providers = Annotated[tuple[Provider, ...], NoDecode, BeforeValidator(_split), Field(min_length=1)]
Source = Annotated[str, AfterValidator(_known_source)]
Sources = Annotated[tuple[Source, ...], NoDecode, BeforeValidator(_split), Field(min_length=1)]
Wait = Annotated[float, Field(ge=0, le=60_000)]
Weight = Annotated[float, Field(ge=0, le=100)]


class Settings(BrokerSettings):
    """Settings of a worker or a command."""

    # app
    app_id: Name = Field("intentstream", description="Consumer group, and prefix of the changelog topics")
    data_dir: Path = Field(Path("data"), description="Directory of the state; each worker needs its own")
    partitions: Count = Field(8, description="Partitions of every topic except models, trending and sessions")
    session_timeout_seconds: Annotated[float, Field(ge=6, le=300)] = Field(
        10.0, description="Time without heartbeats until a worker loses its partitions"
    )
    replication_factor: Annotated[int, Field(ge=1, le=32)] = Field(1, description="Replicas of each partition")
    clicks_topic: Name = Field("clicks", description="In: views, clicks, carts and purchases")
    searches_topic: Name = Field("searches", description="In: searches")
    items_topic: Name = Field("items", description="In: the catalogue")
    item_vectors_topic: Name = Field("item-vectors", description="Internal: items with their vectors")
    models_topic: Name = Field("models", description="In: the pinned model, if any")
    trending_topic: Name = Field("trending", description="Internal: popular items of each partition's shoppers")
    item_pairs_topic: Name = Field("item-pairs", description="Internal: transitions between items")
    item_neighbours_topic: Name = Field("item-neighbours", description="Internal: related items and searches of items")
    sessions_topic: Name = Field("sessions", description="Internal: items of each session")
    recommendations_topic: Name = Field("recommendations", description="Out: ranked lists")
    dead_letters_topic: Name = Field("dead-letters", description="Out: refused messages")

    # model
    model_path: Path = Field(Path("exported_models/shop-minilm-l3/1"), description="Directory of the model bundle")
    model_dir: Path = Field(Path("exported_models"), description="Directory of other bundles, as NAME/VERSION")
    model_watch_seconds: Annotated[float, Field(ge=0, le=86_400)] = Field(
        5.0, description="Interval of checks for a newer version in the model directory; 0: never"
    )
    execution_providers: Providers = Field(
        ("CPUExecutionProvider",), description="ONNX Runtime providers, in order of preference"
    )
    scorer_threads: Annotated[int, Field(ge=1, le=256)] = Field(1, description="Threads of the scorer")

    # profile
    short_term_half_life_minutes: Duration = Field(30, description="Half-life of the short-term intent, in event time")
    long_term_half_life_days: Duration = Field(30, description="Half-life of the long-term intent, in event time")
    session_gap_minutes: Duration = Field(30, description="Pause that ends a session")
    max_clock_skew_seconds: Wait = Field(300, description="Largest lead of an event's time over Kafka's clock")
    weight_search: Weight = Field(1.0, description="Weight of a search in the intent")
    weight_view: Weight = Field(1.0, description="Weight of a view")
    weight_click: Weight = Field(1.0, description="Weight of a click")
    weight_cart: Weight = Field(2.0, description="Weight of an item put into the cart")
    weight_purchase: Weight = Field(3.0, description="Weight of a purchase")

    # retrieval
    sources: Sources = Field(NAMES, description="Candidate sources")
    candidates_per_source: Count = Field(100, description="Candidates of each source, at most")
    candidates_ranked: Count = Field(250, description="Candidates that the ranker scores: the first in the fused order")
    list_size: Annotated[int, Field(ge=1, le=1000)] = Field(20, description="Items in a recommendation")
    diversity: Annotated[float, Field(ge=0, le=1)] = Field(0.0, description="Diversity of a list's items; 0: off")
    places_for_new: Annotated[int, Field(ge=0, le=1000)] = Field(
        1, description="Places reserved for items without any action, except in lists for a search"
    )
    exact_search_limit: Annotated[int, Field(ge=0)] = Field(
        100_000, description="Catalogue size up to which vector search is exact"
    )
    trending_half_life_hours: Duration = Field(24, description="Half-life of an item's popularity, in event time")
    trending_lasting_half_life_days: Duration = Field(30, description="Half-life of an item's lasting popularity")
    trending_interval_seconds: Duration = Field(1.0, description="Publishing interval of trending items")

    # behaviour
    habit_half_life_days: Duration = Field(90, description="Half-life of a shopper's purchases, in event time")
    pairs_half_life_days: Duration = Field(60, description="Half-life of co-occurrence, in event time")
    pairs_window: Annotated[int, Field(ge=1, le=23)] = Field(
        10, description="Preceding items of a session that co-occur with an action's item"
    )
    behaviour_interval_seconds: Duration = Field(1.0, description="Publishing interval of co-occurrence and sessions")
    sessions_kept: Count = Field(50_000, description="Newest sessions that each worker keeps in memory")
    sessions_retention_days: Duration = Field(7, description="Retention of the sessions topic")

    # latency
    batch_max_size: Annotated[int, Field(ge=1, le=4096)] = Field(64, description="Events in a batch, at most")
    scoring_deadline_ms: Duration = Field(200.0, description="Scoring deadline; later lists keep the retrieval order")
    max_in_flight: Count = Field(256, description="Events in flight in a worker, at most")
    producer_linger_ms: Annotated[int, Field(ge=0, le=60_000)] = Field(
        0, description="Time that the producer waits to batch messages sent singly"
    )

    # state
    rocksdb_block_cache_mb: Count = Field(64, description="Block cache shared by all stores, MiB")
    rocksdb_write_buffer_mb: Count = Field(16, description="Write buffer of each store, MiB")
    commit_interval_seconds: Duration = Field(1.0, description="Interval between offset commits")
    shutdown_drain_seconds: Wait = Field(6, description="Time for a stopping worker to finish events in flight")

    # ops
    metrics_host: str = Field("127.0.0.1", min_length=1, description="Address of the metrics endpoint")
    metrics_port: Port = Field(9100, description="Port of the metrics endpoint; 0 turns it off")
    log_level: Level = Field("INFO", description="Log level: DEBUG, INFO, WARNING or ERROR")

    @property
    def group_topics(self) -> tuple[str, ...]:
        """Topics whose partitions the consumer group distributes over the workers."""
        return (self.clicks_topic, self.searches_topic, self.items_topic, self.item_pairs_topic)

    @model_validator(mode="after")
    def _values_fit_together(self) -> Self:
        topics = [(str(getattr(self, name)), name) for name in type(self).model_fields if name.endswith("_topic")]
        for (one, first), (other, second) in pairwise(sorted(topics)):
            if one == other:
                raise ValueError(f"{PREFIX}{first.upper()} and {PREFIX}{second.upper()} are the same topic, {one!r}")
        return self


def load_settings(overrides: Mapping[str, object] | None = None, *, env_file: Path | None = Path(".env")) -> Settings:
    """Read the settings: `overrides` (by field name) come first, then the environment, then `env_file`.

    Raises ConfigurationError, which names each wrong variable, the requirement and the value (secrets excepted).
    """
    given: dict[str, Any] = dict(overrides or {})
    if unknown := sorted(given.keys() - Settings.model_fields.keys()):
        raise ConfigurationError(f"unknown settings: {', '.join(unknown)}")
    try:
        return Settings(_env_file=env_file, **given)  # type: ignore[call-arg]  # pydantic-settings' own argument
    except ValidationError as error:
        # `from None`: the original error contains the values, secrets included.
        raise ConfigurationError("; ".join(map(_sentence, error.errors(include_url=False)))) from None


def _sentence(problem: Mapping[str, Any]) -> str:
    if not problem["loc"]:
        return str(problem["msg"]).removeprefix("Value error, ")
    name = str(problem["loc"][0])
    secret = "SecretStr" in str(Settings.model_fields[name].annotation)
    came = "a secret value" if secret else repr(problem["input"])[:80]
    description = Settings.model_fields[name].description
    return f"{PREFIX}{name.upper()} ({description}): {problem['msg']}, got {came}"
