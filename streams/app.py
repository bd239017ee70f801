"""Composition root: wires the parts of a worker together."""

from __future__ import annotations

from faust.types import TP, Message

from inference.bundle import Bundle
from inference.retrieval.clicked import Clicked
from streams.asset_catalogue import AssetCatalogue
from streams.behaviour.messages import RecentSessions
from streams.budget import ListBudgets
from streams.console.access import Access
from streams.console.backend import ConsoleBackend
from streams.console.feed import Feed
from streams.console.gauges import Gauges
from streams.console.routes import Console
from streams.factory import (
    cipher,
    cooccurrence_rules,
    empty_behaviour,
    placements,
    pseudonyms,
    trending_counts,
)
from streams.http.app import Gate, application
from streams.http.auth import Clients
from streams.http.handlers import Backend
from streams.http.maker import ListMaker
from streams.http.owners import Owners
from streams.http.parameters import MOST_ITEMS
from streams.http.publishing import Publisher
from streams.http.server import HttpServer
from streams.http.suggesting import Suggesting
from streams.items.private_trends import private_releases
from streams.kafka.clients import client_options
from streams.kafka.producer import BatchProducer
from streams.kafka.topics import COOCCURRENCE, PROFILES, changelog_topic
from streams.metrics import Metrics
from streams.openlineage import emit_swap
from streams.scoring import scorer_thread
from streams.serving.servable import ServableSlots
from streams.serving.store import BundleStore
from streams.serving.swap import ModelSwap
from streams.settings import Settings
from streams.state.table import StateTable
from streams.suggestions.keeper import SuggestionKeeper, read_blocked
from streams.value.file import ReportFile
from streams.worker.asset_path import AssetPath
from streams.worker.behaviour_updates import BehaviourUpdates
from streams.worker.broadcasts import Broadcasts
from streams.worker.checkpoint import Checkpoint
from streams.worker.cooccurrence_path import CooccurrencePath
from streams.worker.delivery import Delivery, Forwarder
from streams.worker.event_path import EventPath
from streams.worker.faust.app import WorkerApp, worker_app
from streams.worker.health import Health
from streams.worker.item_path import ItemPath
from streams.worker.paths import Paths
from streams.worker.privacy_path import AT_ONCE, PrivacyPath
from streams.worker.processing import Deadlines
from streams.worker.profile_store import ProfileStore
from streams.worker.servables import ServableFactory
from streams.worker.service import Worker
from streams.worker.state_metrics import StateMetrics
from streams.worker.tables import add_tables, ownership
from streams.worker.topic_watch import TopicWatch
from streams.worker.transition_path import TransitionPath
from streams.worker.trend_path import TrendPath
from streams.worker.value_watch import ValueWatch

MOST_PENDING = 128
"""Most messages of `item-pairs` that wait to be published together; twice as many may be in flight."""
ITEMS_IN_FLIGHT = 64
"""Most messages of `items` in flight: the rest of a new catalogue waits on its topic while these are encoded."""


def build(settings: Settings, bundle: Bundle, metrics: Metrics, store: BundleStore | None = None) -> Worker:
    """Wire a worker that serves `bundle` until another bundle of `store` replaces it."""
    health = Health(model_verified=True)  # loading a bundle verifies it
    app = worker_app(settings, metrics, health)
    producer = BatchProducer(
        client_options(settings.kafka),
        linger_ms=settings.latency.producer_linger_ms,
        ownership=ownership(settings, app.lease),
    )
    tables = add_tables(app, settings, producer, metrics)
    behaviour = BehaviourUpdates(
        behaviour=empty_behaviour(settings), thread=scorer_thread(settings.model.scorer_threads), metrics=metrics
    )
    servables = ServableFactory(settings, metrics, behaviour, placements(settings))
    slots = ServableSlots(servables.make(bundle))
    metrics.serves(bundle)
    trends = TrendPath(
        trending=trending_counts(settings),
        producer=producer,
        slots=slots,
        health=health,
        topic=settings.topics.trending,
        releases=private_releases(settings, metrics.spend_privacy),
    )
    topics = settings.topics
    delivery = Delivery(producer, metrics, topics.dead_letters, keeps_payloads=topics.dead_letters_payload == "keep")
    paths = make_paths(app, settings, tables, slots, trends, delivery)
    store = store or BundleStore.of(settings)
    swap = ModelSwap(
        slots=slots,
        models=store,
        make_servable=servables.make,
        request_vectors=paths.items.renew_soon,
        popularity=trends.trending.popularity,
        metrics=metrics,
        serves_newest=settings.model.watch_seconds > 0,
        announce=lambda bundle: emit_swap(settings, store, bundle),
    )
    broadcasts = Broadcasts(
        settings=settings,
        slots=slots,
        trending=trends.trending,
        swap=swap,
        updates=behaviour,
        forgotten=paths.events.forgotten,
        metrics=metrics,
        note_outdated=paths.items.note_outdated,
    )
    paths.privacy.sessions_of = broadcasts.sessions_of
    state_metrics = StateMetrics(
        settings=settings,
        app=app,
        tables=list(tables.values()),
        checkpoints=paths.checkpoints,
        metrics=metrics,
        health=health,
        topics=TopicWatch(settings=settings, app=app, metrics=metrics, health=health),
    )
    values = ReportFile(settings.assets.value_file)
    service = None
    if settings.service.port:
        service = http_server(settings, app, paths.events, behaviour.behaviour.clicked, values)
    worker = Worker(
        settings=settings,
        app=app,
        paths=paths,
        broadcasts=broadcasts,
        slots=slots,
        swap=swap,
        producer=producer,
        metrics=metrics,
        health=health,
        state_metrics=state_metrics,
        http=service,
        values=ValueWatch(values, metrics) if values.path is not None else None,
    )
    worker.register()
    return worker


def make_paths(
    app: WorkerApp,
    settings: Settings,
    tables: dict[str, StateTable],
    slots: ServableSlots,
    trends: TrendPath,
    delivery: Delivery,
) -> Paths:
    """Make the paths of messages. Each has a checkpoint, which acknowledges its messages in their order."""
    metrics = delivery.metrics
    assets = AssetPath(settings=settings, producer=delivery.producer, metrics=metrics)
    forwarder = Forwarder(delivery=delivery, partitions=settings.topics.partitions)
    transitions = TransitionPath(
        settings=settings,
        sessions=RecentSessions(),
        delivery=delivery,
        acknowledge=app.acknowledge,
        cipher=cipher(settings),
    )
    events = EventPath(
        settings=settings,
        slots=slots,
        profiles=ProfileStore(tables[PROFILES], pseudonyms(settings)),
        trending=trends.trending,
        budgets=ListBudgets(settings.latency.shopper_lists_per_minute),
        transitions=transitions,
        # An answered event is acknowledged by the transition path, which still has to publish its transition.
        checkpoint=Checkpoint[Message](
            settings.latency.max_in_flight,
            acknowledge=transitions.answered,
            on_error=app.delivery_failed,
            lease=app.lease,
        ),
        deadlines=Deadlines(settings.latency),
        delivery=delivery,
        forwarder=forwarder,
        metrics=metrics,
        assets=assets,
    )
    items = ItemPath(
        slots=slots,
        checkpoint=Checkpoint[Message](
            ITEMS_IN_FLIGHT, acknowledge=app.acknowledge, on_error=app.delivery_failed, lease=app.lease
        ),
        delivery=delivery,
        forwarder=forwarder,
        metrics=metrics,
        assets=assets,
        items_topic=settings.topics.items,
        item_vectors_topic=settings.topics.item_vectors,
    )
    cooccurrence = CooccurrencePath(
        table=tables[COOCCURRENCE],
        rules=cooccurrence_rules(settings),
        checkpoint=Checkpoint[Message](
            2 * MOST_PENDING, acknowledge=app.acknowledge, on_error=app.delivery_failed, lease=app.lease
        ),
        delivery=delivery,
        metrics=metrics,
        item_neighbours_topic=settings.topics.item_neighbours,
        full=MOST_PENDING,
        max_clock_skew_ms=settings.profile.max_clock_skew_seconds * 1e3,
        crash=app.delivery_failed,
        cipher=transitions.cipher,
    )
    privacy = PrivacyPath(
        settings=settings,
        events=events,
        transitions=transitions,
        checkpoint=Checkpoint[Message](
            AT_ONCE, acknowledge=app.acknowledge, on_error=app.delivery_failed, lease=app.lease
        ),
        delivery=delivery,
    )
    return Paths(
        events=events,
        items=items,
        cooccurrence=cooccurrence,
        transitions=transitions,
        privacy=privacy,
        trends=trends,
        assets=assets,
    )


def http_server(
    settings: Settings, app: WorkerApp, events: EventPath, clicked: Clicked, values: ReportFile
) -> HttpServer:
    """Return the HTTP service. It makes lists with the worker's own model, catalogue and profiles.

    Raises ConfigurationError if the file of blocked words is unreadable.
    """
    read_blocked(settings.service.suggestions_blocked_file)
    changelog = changelog_topic(settings, PROFILES)
    owners = Owners(
        own_url=str(app.conf.canonical_url),
        owns=lambda partition: app.assignor.is_active(TP(changelog, partition)),
        changelog=changelog,
        partitions=settings.topics.partitions,
        distribution=lambda: app.assignor.changelog_distribution,
        store=events.profiles,
        health=app.health,
    )
    maker = ListMaker(slots=events.slots, owners=owners, metrics=events.metrics)
    keeper = SuggestionKeeper(
        slots=events.slots,
        clicked=clicked,
        metrics=events.metrics,
        health=app.health,
        interval_s=settings.service.suggestions_seconds,
        blocked_file=settings.service.suggestions_blocked_file,
    )
    gate = Gate(Clients(settings.service), app.health, events.metrics, settings.service.timeout_seconds)
    backend = Backend(
        maker=maker,
        owners=owners,
        publisher=Publisher(events.delivery.producer, settings.topics),
        suggestions=Suggesting(keeper),
        assets=AssetCatalogue(
            settings,
            events.assets.history,
            manifest=lambda: events.slots.current.bundle.manifest,
            findings=lambda: events.assets.quality.findings,
        ),
        quality=events.assets.quality,
        list_size=min(settings.retrieval.list_size, MOST_ITEMS),
    )
    if settings.service.console == "off":
        return HttpServer(settings.service, application(settings.service, gate, backend), maker, owners, keeper)
    console = Console(
        backend=ConsoleBackend(backend, Feed(settings, maker), Gauges(settings, events.metrics), events.assets, values),
        access=Access(settings.service, gate.clients),
        health=app.health,
        language=settings.retrieval.language,
    )
    site = application(settings.service, gate, backend, console.routes())
    return HttpServer(settings.service, site, maker, owners, keeper, console.close)
