"""The composition root: the one module that knows every part of a worker and wires them together."""

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
from streams.items.trending import Trending
from streams.kafka.clients import client_options
from streams.kafka.outbox import Outbox
from streams.kafka.topics import PAIRS, PROFILES, TABLES
from streams.metrics import Metrics
from streams.parts import behaviour_known, engine, pair_rules, recommender, trending_counts
from streams.scoring import Scoring, ScoringLimits, scorer_thread
from streams.serving.servable import Servable, Serving
from streams.serving.start import BundleStore
from streams.serving.swap import ModelSwap
from streams.settings import Settings
from streams.state.rocksdb import StoreOptions, shared_cache
from streams.state.table import StateTable
from streams.worker.behaviour_path import BehaviourPath
from streams.worker.consuming import Tables
from streams.worker.credentials import broker_credentials, broker_url
from streams.worker.dead_letters import DeadLetters
from streams.worker.event_path import EventPath
from streams.worker.health import Health
from streams.worker.inflight import InFlight
from streams.worker.item_path import ItemPath
from streams.worker.learning import Learning
from streams.worker.monitor import WorkerMonitor
from streams.worker.pair_path import PairPath
from streams.worker.service import Worker, WorkerApp
from streams.worker.watch import Watch

TOLD_WHEN_WAITING = 128
"""Messages of `item-pairs` that wait at most to be told together; twice as many may be under way."""


def build(settings: Settings, bundle: Bundle, metrics: Metrics, store: BundleStore | None = None) -> Worker:
    """Wire a worker that serves with `bundle` until another one of `store` takes over."""
    health = Health(model_verified=True)  # a bundle loads only if it is right
    app = faust_app(settings, metrics, health)
    outbox = Outbox(client_options(settings), linger_ms=settings.producer_linger_ms)
    dead_letters = DeadLetters(outbox, metrics, settings.dead_letters_topic)
    trending = trending_counts(settings)
    thread = scorer_thread(scoring_limits(settings))
    behaviour = behaviour_known(settings)
    seen: set[int] = set()
    servables = Servables(settings, trending, behaviour, seen, metrics, thread)
    serving = Serving(servables.make(bundle))
    tables = add_tables(app, settings, outbox)
    told = BehaviourPath(
        sessions=RecentSessions(),
        outbox=outbox,
        item_pairs_topic=settings.item_pairs_topic,
        sessions_topic=settings.sessions_topic,
        partitions=range(settings.partitions),
        acknowledge=app.acknowledge,
    )
    in_flight = InFlight[Message](settings.max_in_flight, acknowledge=told.answered, on_error=app.crash_soon)
    items_in_flight = InFlight[Message](settings.max_in_flight, acknowledge=app.acknowledge, on_error=app.crash_soon)
    pairs_in_flight = InFlight[Message](2 * TOLD_WHEN_WAITING, acknowledge=app.acknowledge, on_error=app.crash_soon)
    metrics.in_flight.set_function(lambda: len(in_flight))
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
            outbox=outbox,
            dead_letters=dead_letters,
            in_flight=in_flight,
            behaviour=told,
            metrics=metrics,
            recommendations_topic=settings.recommendations_topic,
            crash=app.crash_soon,
        ),
        items=ItemPath(
            serving=serving,
            outbox=outbox,
            dead_letters=dead_letters,
            in_flight=items_in_flight,
            metrics=metrics,
            item_vectors_topic=settings.item_vectors_topic,
        ),
        pairs=PairPath(
            table=tables[PAIRS],
            rules=pair_rules(settings),
            outbox=outbox,
            dead_letters=dead_letters,
            in_flight=pairs_in_flight,
            metrics=metrics,
            item_neighbours_topic=settings.item_neighbours_topic,
            full=TOLD_WHEN_WAITING,
            crash=app.crash_soon,
        ),
        behaviour=told,
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
        outbox=outbox,
        metrics=metrics,
        health=health,
        watch=Watch(
            settings=settings,
            app=app,
            tables=list(tables.values()),
            in_flight=(in_flight, items_in_flight, pairs_in_flight),
            metrics=metrics,
            health=health,
        ),
        renewal_due=renewal_due,
    )


@dataclass(frozen=True, slots=True)
class Servables:
    """Makes the servables of a worker: they share its thread and what shoppers do, and nothing that holds a vector."""

    settings: Settings
    trending: Trending
    behaviour: Behaviour
    seen: set[int]
    metrics: Metrics
    thread: ThreadPoolExecutor

    def make(self, bundle: Bundle, before: Servable | None = None) -> Servable:
        """Make a servable; of a bundle in the space of the one before it, with its catalogue and known searches."""
        settings, metrics, limits = self.settings, self.metrics, scoring_limits(self.settings)
        if before is not None and before.live.space == bundle.vector_space:
            live, catalogue, vectors = before.live, before.scoring.recommender.catalogue, before.scoring.vectors
        else:
            live, catalogue, vectors = LiveCatalogue(bundle.vector_space, bundle.dim), None, OrderedDict()
        ranks = recommender(settings, bundle, self.behaviour, metrics.observe_stage, catalogue)
        ranks.use(metrics.timed_scorer(bundle.scorer, bundle.provider))
        if catalogue is None:
            ranks.catalogue.mark_seen(self.seen)
        return Servable(
            bundle=bundle,
            live=live,
            engine=engine(settings, bundle, live, self.trending),
            scoring=Scoring(bundle, ranks, limits, metrics, self.thread, vectors),
        )


def faust_app(settings: Settings, metrics: Metrics, health: Health) -> WorkerApp:
    """Make the Faust app: a consumer group and commits; no web server, and nothing declared on its own."""
    directory = settings.data_dir / "faust"
    directory.mkdir(parents=True, exist_ok=True)
    return WorkerApp(
        settings.app_id,
        broker=broker_url(settings),
        broker_credentials=broker_credentials(settings),
        datadir=str(directory),
        store="memory://",
        monitor=WorkerMonitor(metrics, health),
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


def add_tables(app: WorkerApp, settings: Settings, outbox: Outbox) -> dict[str, StateTable]:
    """Give the app its tables, by name; they share one block cache."""
    cache = shared_cache(settings.rocksdb_block_cache_mb << 20)
    tables = {}
    for name in TABLES:
        options = StoreOptions(settings.data_dir / name, cache, settings.rocksdb_write_buffer_mb << 20)
        tables[name] = StateTable(app, name=name, partitions=settings.partitions, options=options, outbox=outbox)
        app.tables.add(tables[name])
    return tables
