"""The composition root: the one module that knows every part of a worker and wires them together."""

from __future__ import annotations

from faust.types import Message

from inference.bundle import Bundle
from streams.contracts import serde
from streams.items.live import LiveCatalogue
from streams.items.trending import Trending
from streams.kafka.clients import client_options
from streams.kafka.outbox import Outbox
from streams.metrics import Metrics
from streams.parts import engine, recommender
from streams.profiles.rocksdb import StoreOptions
from streams.profiles.table import ProfileTable
from streams.scoring import Scoring, ScoringLimits
from streams.settings import Settings
from streams.worker.consuming import Tables
from streams.worker.credentials import broker_credentials, broker_url
from streams.worker.dead_letters import DeadLetters
from streams.worker.event_path import EventPath
from streams.worker.inflight import InFlight
from streams.worker.item_path import ItemPath
from streams.worker.monitor import SilentMonitor
from streams.worker.service import Worker, WorkerApp


def build(settings: Settings, bundle: Bundle, metrics: Metrics) -> Worker:
    """Wire a worker that serves with `bundle`."""
    app = faust_app(settings)
    outbox = Outbox(client_options(settings), linger_ms=settings.producer_linger_ms)
    dead_letters = DeadLetters(outbox, metrics, settings.dead_letters_topic)
    live = LiveCatalogue(bundle.vector_space, bundle.dim)
    trending = Trending(settings.trending_half_life_hours * 3600e3)
    scoring = Scoring(bundle, recommender(settings, bundle, metrics.observe_stage), scoring_limits(settings), metrics)
    profiles = ProfileTable(app, partitions=settings.partitions, options=store_options(settings), outbox=outbox)
    app.tables.add(profiles)
    in_flight = InFlight[Message](settings.max_in_flight, acknowledge=app.acknowledge, on_error=app.crash_soon)
    metrics.in_flight.set_function(lambda: len(in_flight))
    metrics.model_info.labels(bundle.name, bundle.version, bundle.provider).set(1)
    return Worker(
        settings=settings,
        app=app,
        events=EventPath(
            decoders={
                settings.clicks_topic: serde.decode_item_action,
                settings.searches_topic: serde.decode_search,
            },
            engine=engine(settings, bundle, live, trending),
            profiles=profiles,
            scoring=scoring,
            outbox=outbox,
            dead_letters=dead_letters,
            in_flight=in_flight,
            metrics=metrics,
            recommendations_topic=settings.recommendations_topic,
            crash=app.crash_soon,
        ),
        items=ItemPath(
            scoring=scoring,
            live=live,
            outbox=outbox,
            dead_letters=dead_letters,
            in_flight=InFlight(settings.max_in_flight, acknowledge=app.acknowledge, on_error=app.crash_soon),
            metrics=metrics,
            item_vectors_topic=settings.item_vectors_topic,
        ),
        live=live,
        trending=trending,
        scoring=scoring,
        outbox=outbox,
        metrics=metrics,
    )


def faust_app(settings: Settings) -> WorkerApp:
    """Make the Faust app: a consumer group and commits; no web server, and nothing declared on its own."""
    directory = settings.data_dir / "faust"
    directory.mkdir(parents=True, exist_ok=True)
    return WorkerApp(
        settings.app_id,
        broker=broker_url(settings),
        broker_credentials=broker_credentials(settings),
        datadir=str(directory),
        store="memory://",
        Monitor=SilentMonitor,
        TableManager=Tables,
        # Faust would read every value as JSON first, whatever its type, and end where one is none.
        key_serializer="raw",
        value_serializer="raw",
        web_enabled=False,
        web_tables_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        topic_partitions=settings.partitions,
        table_standby_replicas=0,
        consumer_auto_offset_reset="earliest",
        broker_commit_interval=settings.commit_interval_seconds,
        broker_session_timeout=settings.session_timeout_seconds,
        broker_request_timeout=max(90.0, settings.session_timeout_seconds + 1),  # Faust wants it to be the longer one
        broker_heartbeat_interval=settings.session_timeout_seconds / 5,
        stream_recovery_delay=0.0,
        recovery_consistency_check=False,
    )


def scoring_limits(settings: Settings) -> ScoringLimits:
    """Return what the scorer may gather and how long it may take, in seconds."""
    return ScoringLimits(
        max_batch=settings.batch_max_size,
        linger_s=settings.batch_linger_ms / 1e3,
        deadline_s=settings.scoring_deadline_ms / 1e3,
        threads=settings.scorer_threads,
    )


def store_options(settings: Settings) -> StoreOptions:
    """Return where profiles lie and what RocksDB may use, in bytes."""
    return StoreOptions(
        directory=settings.data_dir / "profiles",
        block_cache_bytes=settings.rocksdb_block_cache_mb << 20,
        write_buffer_bytes=settings.rocksdb_write_buffer_mb << 20,
    )
