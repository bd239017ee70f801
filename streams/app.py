"""Composition root: the one module that imports every part of a worker and wires them together."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from faust.types import Message

from inference.bundle import Bundle
from inference.retrieval.behaviour import Behaviour
from streams.behaviour.sessions import RecentSessions
from streams.contracts import serde
from streams.items.live import LiveCatalogue
from streams.kafka.clients import client_options
from streams.kafka.producer import BatchProducer
from streams.kafka.topics import PAIRS, PROFILES, TABLES
from streams.metrics import Metrics
from streams.parts import behaviour_known, engine, pair_rules, recommender, trending_counts
from streams.scoring import Scoring, scorer_thread
from streams.serving.servable import Servable, Serving
from streams.serving.start import BundleStore
from streams.serving.swap import ModelSwap
from streams.settings import Settings
from streams.state.restore import BulkRestorer
from streams.state.rocksdb import StoreOptions, shared_cache
from streams.state.table import StateTable
from streams.worker.behaviour_path import BehaviourPath
from streams.worker.checkpoint import Checkpoint
from streams.worker.consuming import Tables
from streams.worker.credentials import broker_credentials, broker_url
from streams.worker.dead_letters import DeadLetters
from streams.worker.event_path import EventPath
from streams.worker.health import Health
from streams.worker.item_path import ItemPath
from streams.worker.learning import Learning
from streams.worker.monitor import WorkerMonitor
from streams.worker.pair_path import PairPath
from streams.worker.service import Worker, WorkerApp
from streams.worker.watch import Watch

PENDING_PAIRS = 128
"""Most messages of `item-pairs` that wait to be published together; twice as many may be in flight."""
ITEMS_IN_FLIGHT = 64
"""Most messages of `items` in flight: the rest of a new catalogue waits on its topic while these are encoded."""


def build(settings: Settings, bundle: Bundle, metrics: Metrics, store: BundleStore | None = None) -> Worker:
    """Wire a worker that serves `bundle` until another bundle of `store` replaces it."""
    health = Health(model_verified=True)  # loading a bundle verifies it
    app = faust_app(settings, metrics, health)
    producer = BatchProducer(client_options(settings), linger_ms=settings.producer_linger_ms)
    dead_letters = DeadLetters(producer, metrics, settings.dead_letters_topic)
    trending = trending_counts(settings)
    thread = scorer_thread(settings.scorer_threads)
    behaviour = behaviour_known(settings)
    seen: set[int] = set()
    servables = Servables(settings, behaviour, seen, metrics, thread)
    serving = Serving(servables.make(bundle))
    tables = add_tables(app, settings, producer)
    behaviour_path = BehaviourPath(
        sessions=RecentSessions(),
        producer=producer,
        item_pairs_topic=settings.item_pairs_topic,
        sessions_topic=settings.sessions_topic,
        partitions=settings.partitions,
        acknowledge=app.acknowledge,
    )
    events, items, pairs = (
        Checkpoint[Message](limit, acknowledge=acknowledge, on_error=app.crash_soon)
        for limit, acknowledge in (
            (settings.max_in_flight, behaviour_path.answered),
            (ITEMS_IN_FLIGHT, app.acknowledge),
            (2 * PENDING_PAIRS, app.acknowledge),
        )
    )
    metrics.in_flight.set_function(lambda: len(events))
    metrics.ready.set_function(lambda: health.is_ready)
    metrics.serves(bundle)
    store = store or BundleStore.of(settings)
    renewal_due = asyncio.Event()
    swap = ModelSwap(
        serving=serving,
        models=store,
        servable=servables.make,
        renew=renewal_due.set,
        popularity=trending.popularity,
        metrics=metrics,
        follows_folder=settings.model_watch_seconds > 0,
        home=store.home,
    )
    return Worker(
        settings=settings,
        app=app,
        events=EventPath(
            decoders={
                settings.clicks_topic: serde.decode_item_action,
                settings.searches_topic: serde.decode_search,
            },
            serving=serving,
            profiles=tables[PROFILES],
            trending=trending,
            producer=producer,
            dead_letters=dead_letters,
            checkpoint=events,
            behaviour=behaviour_path,
            metrics=metrics,
            recommendations_topic=settings.recommendations_topic,
            partitions=settings.partitions,
            batch_size=min(settings.batch_max_size, settings.max_in_flight),
            deadline_s=settings.scoring_deadline_ms / 1e3,
        ),
        items=ItemPath(
            serving=serving,
            producer=producer,
            dead_letters=dead_letters,
            checkpoint=items,
            metrics=metrics,
            item_vectors_topic=settings.item_vectors_topic,
        ),
        pairs=PairPath(
            table=tables[PAIRS],
            rules=pair_rules(settings),
            producer=producer,
            dead_letters=dead_letters,
            checkpoint=pairs,
            metrics=metrics,
            item_neighbours_topic=settings.item_neighbours_topic,
            full=PENDING_PAIRS,
            crash=app.crash_soon,
        ),
        behaviour=behaviour_path,
        learning=Learning(
            behaviour=behaviour,
            seen=seen,
            serving=serving,
            thread=thread,
            metrics=metrics,
            decoders={
                settings.item_neighbours_topic: serde.decode_neighbours,
                settings.sessions_topic: serde.decode_session,
            },
        ),
        serving=serving,
        swap=swap,
        trending=trending,
        producer=producer,
        metrics=metrics,
        health=health,
        watch=Watch(
            settings=settings,
            app=app,
            tables=list(tables.values()),
            checkpoints=(events, items, pairs),
            metrics=metrics,
            health=health,
        ),
        renewal_due=renewal_due,
    )


@dataclass(frozen=True, slots=True)
class Servables:
    """Factory of servables. All share the thread and the behaviour; those of different spaces share no vectors."""

    settings: Settings
    behaviour: Behaviour
    seen: set[int]
    metrics: Metrics
    thread: ThreadPoolExecutor

    def make(self, bundle: Bundle, before: Servable | None = None) -> Servable:
        """Make a servable. If `before` has the same vector space, share its catalogue and cached query vectors."""
        settings, metrics = self.settings, self.metrics
        if before is not None and before.live.space == bundle.vector_space:
            live, catalogue, vectors = before.live, before.scoring.recommender.catalogue, before.scoring.vectors
        else:
            live, catalogue, vectors = LiveCatalogue(bundle.vector_space, bundle.dim), None, OrderedDict()
        ranks = recommender(settings, bundle, self.behaviour, metrics.observe_stage, catalogue)
        ranks.set_scorer(metrics.timed_scorer(bundle.scorer, bundle.provider))
        if catalogue is None:
            ranks.catalogue.mark_seen(self.seen)
        return Servable(
            bundle=bundle,
            live=live,
            engine=engine(settings, bundle, live),
            scoring=Scoring(bundle, ranks, metrics, self.thread, vectors),
        )


def faust_app(settings: Settings, metrics: Metrics, health: Health) -> WorkerApp:
    """Make the Faust app, which consumes in a group and commits. It has no web server and creates no topics."""
    directory = settings.data_dir / "faust"
    directory.mkdir(parents=True, exist_ok=True)
    return WorkerApp(
        settings.app_id,
        restorer=BulkRestorer(client_options(settings)),
        broker=broker_url(settings),
        broker_credentials=broker_credentials(settings),
        datadir=str(directory),
        store="memory://",
        monitor=WorkerMonitor(metrics, health),
        TableManager=Tables,
        # Otherwise Faust parses every value as JSON, whatever its type, and stops at an invalid one.
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
        broker_request_timeout=max(90.0, settings.session_timeout_seconds + 1),  # Faust requires a longer one
        broker_heartbeat_interval=settings.session_timeout_seconds / 5,
        stream_recovery_delay=0.0,
        recovery_consistency_check=False,
    )


def add_tables(app: WorkerApp, settings: Settings, producer: BatchProducer) -> dict[str, StateTable]:
    """Add the tables to the app and return them by name. They share one block cache."""
    cache = shared_cache(settings.rocksdb_block_cache_mb << 20)
    tables = {}
    for name in TABLES:
        options = StoreOptions(settings.data_dir / name, cache, settings.rocksdb_write_buffer_mb << 20)
        tables[name] = StateTable(app, name=name, partitions=settings.partitions, options=options, producer=producer)
        app.tables.add(tables[name])
    return tables
