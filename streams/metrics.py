"""Prometheus metrics: only this module and `asset_metrics` name them. Base units; no user, item or text in a label.

Every label set that is known beforehand starts at 0: its rate is 0 instead of absent, and an alert sees its first
increase. docs/metrics.md lists all metrics.
"""

from __future__ import annotations

import platform
import time
from collections import Counter as Tally
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from itertools import chain, compress
from math import nan
from typing import get_args

from prometheus_client import Gauge
from prometheus_client.samples import Exemplar

from inference.bundle import Bundle
from inference.retrieval.groups import GROUPS
from inference.retrieval.sources import NAMES
from streams.asset_metrics import AssetMetrics
from streams.batch import Folded
from streams.behaviour.messages import UNLEARNED
from streams.budget import RATE_LIMITED
from streams.contracts.messages import Interaction, Recommendations
from streams.errors import InvalidEvent
from streams.exposure import Exposed
from streams.histogram import Timed
from streams.kafka.topics import TABLES
from streams.metric_families import END_TO_END, FAST, LENGTHS, SHARES, SIZES, SLOW
from streams.outcomes import BUILT, FAILED, FALLBACKS, HTTP_FALLBACKS, MISPLACED, NO_SOURCE, OUTCOMES, STAGES, SWAPS
from streams.settings import Settings


class Metrics(AssetMetrics):
    """Metrics of a worker. Topic names come from `settings`, or else are the defaults."""

    def __init__(self, settings: Settings | None = None) -> None:
        super().__init__()
        self._events(settings or Settings.model_construct())
        self._lists()
        self._model()
        self._kafka()
        self._state()
        self._runtime()
        self._http()
        self._assets(settings or Settings.model_construct())

    def _events(self, settings: Settings) -> None:
        topics = settings.topics.consumed
        learned = (settings.topics.item_neighbours, settings.topics.sessions)
        reasons = (*InvalidEvent.REASONS, *InvalidEvent.WORKER_REASONS)
        self.events = self._counter("events", "Messages processed, by outcome", topic=topics, outcome=OUTCOMES)
        self.dead_letters = self._counter("dead_letters", "Messages refused, by reason", topic=topics, reason=reasons)
        self.unknown_items = self._counter("unknown_items", "Actions on items that the catalogue lacks")
        self.future_events = self._counter(
            "future_events",
            "Events ahead of Kafka's clock by more than is allowed: they count at the latest time that is allowed",
            topic=(settings.topics.clicks, settings.topics.searches),
        )
        produced = (settings.topics.clicks, settings.topics.searches, settings.topics.items)
        self.misplaced = self._counter(
            "misplaced_messages", "Messages in a partition that is not their key's", topic=produced, outcome=MISPLACED
        )
        self.in_flight = self._gauge("events_in_flight", "Interactions read and not yet answered")
        self.unlearned = self._counter(
            "unlearned_events", "Events from which others' lists learn nothing, by reason", reason=UNLEARNED.values()
        )
        self.privacy_spent = self._counter(
            "trends_epsilon_spent",
            "Privacy budget spent by published trends, by partition",
            partition=tuple(map(str, range(settings.topics.partitions))),
        )
        self.learned = self._counter("learned", "Records of shoppers' behaviour that were applied", topic=learned)
        self.unreadable = self._counter(
            "unreadable_records",
            "Records of the broadcast topics and asset profiles that were skipped",
            topic=(*settings.topics.broadcast, settings.topics.asset_profiles),
        )
        self.learned_anew = self._counter("learned_anew", "Item states that could not be read and are learned again")
        self.topic_problem = self._gauge(
            "topic_problem", "1 if a topic is missing, was replaced, or has another number of partitions", topic=None
        )
        self.partitions = self._gauge("partitions", "Partitions of a topic, from the settings", topic=topics)
        self.assigned = self._gauge("assigned_partitions", "Partitions that this worker owns", topic=topics)
        self.lag_seconds = self._gauge(
            "consumer_lag_seconds", "Age of the oldest message that waits or is in flight", topic=topics
        )
        for topic in topics:
            self.partitions.labels(topic).set(settings.topics.partitions)

    def _lists(self) -> None:
        triggers = [str(kind.__struct_config__.tag) for kind in get_args(Interaction)]
        self.end_to_end = self._histogram(
            "end_to_end_latency_seconds",
            "From the append of an event to the delivery of its list",
            END_TO_END,
            trigger=triggers,
        )
        self.stage = self._histogram("stage_duration_seconds", "Time of a stage for one batch", FAST, stage=STAGES)
        self._stages = {stage: self.stage.labels(stage) for stage in STAGES}
        self.batch_size = self._histogram("batch_size", "Queries in one batch", SIZES)
        self.batch_queue = self._histogram("batch_queue_seconds", "Time that a query waited for its batch", FAST)
        self.inference = self._histogram(
            "scorer_inference_seconds", "Time of one run of the ranker's graph", FAST, provider=None
        )
        self.fallbacks = self._counter(
            "fallbacks",
            "Lists that the model did not rank, or ranked without the vector of the search (encoding_failed), or that"
            " repeat the last list of a shopper who sent too many events (rate_limited)",
            reason=FALLBACKS,
        )
        self.recommendations = self._counter(
            "recommendations",
            "Lists, counted once for each source that proposed the first item",
            source=(*NAMES, NO_SOURCE),
        )
        self.score = self._histogram(
            "recommendation_score", "Probability of the first item, in lists without a fallback", SHARES
        )
        self.items = self._histogram("recommendation_items", "Items in a list", LENGTHS)
        self.exposure = self._counter(
            "exposure", "Sum of 1 / log2(1 + rank) over the listed items, by group of items", by=None, group=None
        )
        for by, names in GROUPS.items():
            for name in names:
                self.exposure.labels(by, name)
        self.exposure_gini = self._gauge(
            "exposure_gini", "Gini coefficient of the exposure of the items in stock, in the last interval"
        )
        self.exposure_coverage = self._gauge(
            "exposure_coverage", "Share of the items in stock that were in a list, in the last interval"
        )
        self.exposure_gini.set(nan)
        self.exposure_coverage.set(nan)

    def _model(self) -> None:
        self.model_info = self._gauge(
            "model_info", "The model in use; the value is always 1", name=None, version=None, provider=None
        )
        self.model_loaded = self._gauge(
            "model_loaded_timestamp_seconds", "Unix time at which the model in use took over"
        )
        self.model_swaps = self._counter("model_swaps", "Attempted changes of the model, by outcome", outcome=SWAPS)
        self.model_swap_missing_items = self._gauge(
            "model_swap_missing_items", "Items that still lack a vector of the new model"
        )
        self.catalogue_items = self._gauge("catalogue_items", "Items with a vector of the model in use")
        self.catalogue_freshness = self._gauge(
            "catalogue_freshness_seconds", "Age of the catalogue record that was read last"
        )
        self.catalogue_freshness.set(nan)

    def _kafka(self) -> None:
        self.lag_records = self._gauge(
            "consumer_lag_records",
            "From the committed offset, or the fetch position if nothing is in flight, to the end of the log",
            topic=None,
            partition=None,
        )
        self.lag_known = self._gauge(
            "lag_known_timestamp_seconds", "Unix time of the brokers' last answer about the ends of the logs"
        )
        self.offset = self._gauge("consumer_offset", "Committed offset", topic=None, partition=None)
        self.rebalances = self._counter("rebalances", "Rebalances started")
        self.rebalance = self._histogram(
            "rebalance_seconds", "From the start of a rebalance until messages flow again, recovery included", SLOW
        )
        self.ownership_lost = self._counter(
            "ownership_lost", "Times that this worker dropped its messages: its partitions went away without notice"
        )
        self.stale_writes = self._counter(
            "stale_writes_refused", "Deliveries that the brokers refused because another worker owns the partition"
        )
        self.commit = self._histogram("commit_seconds", "Time of one commit of offsets", SLOW)

    def _state(self) -> None:
        def table_gauge(name: str, documentation: str) -> Gauge:
            return self._gauge(name, documentation, table=TABLES)

        self.recovery_active = self._gauge("recovery_active", "1 while tables are restored from their changelogs")
        self.recovery_remaining = table_gauge("recovery_remaining_records", "Changelog records yet to be read")
        self.rocksdb_keys = table_gauge("rocksdb_estimated_keys", "Keys, as estimated by RocksDB")
        self.rocksdb_live = table_gauge("rocksdb_live_data_bytes", "Size of the live data, as estimated by RocksDB")
        self.rocksdb_memtable = table_gauge("rocksdb_memtable_bytes", "Size of the memtables")
        self.rocksdb_pending = table_gauge(
            "rocksdb_pending_compaction_bytes", "Data that compaction has yet to rewrite"
        )
        self.rocksdb_stopped = table_gauge("rocksdb_write_stopped", "Databases whose writes are stopped")
        self.damaged_databases = self._counter(
            "damaged_databases", "Damaged databases that were moved aside and restored from Kafka", table=TABLES
        )
        self.rocksdb_cache = self._gauge(
            "rocksdb_block_cache_bytes", "Memory in use by the block cache, which all tables share"
        )
        self.rocksdb_hits = self._counter("rocksdb_block_cache_hits", "Blocks found in the block cache", table=TABLES)
        self.rocksdb_misses = self._counter("rocksdb_block_cache_misses", "Blocks read from disk", table=TABLES)
        self.data_free = self._gauge("data_free_bytes", "Free space of the file system that holds the state")
        self.data_size = self._gauge("data_size_bytes", "Size of the file system that holds the state")

    def _runtime(self) -> None:
        self.ready = self._gauge("ready", "1 if the worker serves interactions, as /readyz reports")
        self.loop_lag = self._histogram("event_loop_lag_seconds", "Delay of the event loop's wake-ups", FAST)
        self.started = self._gauge("started_timestamp_seconds", "Unix time at which this worker started")
        self.started.set_to_current_time()
        self.build = self._gauge(
            "build_info", "Versions of the worker and of Python; the value is always 1", version=None, python=None
        )
        self.build.labels(version("intentstream"), platform.python_version()).set(1)

    def _http(self) -> None:
        self.http_requests = self._counter(
            "http_requests", "Requests to the HTTP service, by route and status", route=None, status=None
        )
        self.http_duration = self._histogram(
            "http_request_duration_seconds", "Time from a request to its answer", FAST, route=None
        )
        self.http_fallbacks = self._counter(
            "http_fallbacks",
            "Lists on request that the model did not rank, or ranked without the profile or the vector of the search",
            reason=HTTP_FALLBACKS,
        )
        self.suggestions = self._gauge("suggestions", "Queries that can be suggested")
        self.suggestion_builds = self._counter(
            "suggestion_builds", "Builds of the query suggestions, by outcome", outcome=(BUILT, FAILED)
        )

    def serves(self, bundle: Bundle) -> None:
        """Record the model in use from now on."""
        self.model_info.clear()
        self.model_info.labels(bundle.name, bundle.version, bundle.provider).set(1)
        self.inference.labels(bundle.provider)
        self.model_loaded.set_to_current_time()

    def spend_privacy(self, partition: int, epsilon: float) -> None:
        """Record the ε of a release of a partition's trends."""
        self.privacy_spent.labels(str(partition)).inc(epsilon)

    def observe_stage(self, stage: str, seconds: float) -> None:
        """Record how long a stage took."""
        self._stages[stage].observe(seconds)

    def timed(self, stage: str) -> Timed:
        """Record how long a stage takes: `with metrics.timed("decode"): ...`. A failed stage is not recorded."""
        return Timed(self._stages[stage])

    def observe_batch(self, waited: Sequence[float]) -> None:
        """Record a batch by how long each query in it waited, in seconds."""
        self.batch_size.observe(len(waited))
        self.batch_queue.observe_many(waited)

    def exposed(self, exposed: Exposed | None) -> None:
        """Record the exposure of items in the last interval, None without any."""
        if exposed is not None:
            for (by, group), value in exposed.groups.items():
                self.exposure.labels(by, group).inc(value)
            self.exposure_gini.set(exposed.gini)
            self.exposure_coverage.set(exposed.coverage)

    def outcomes(self, outcomes: Iterable[tuple[str, str]]) -> None:
        """Count messages by topic and outcome."""
        for (topic, outcome), number in Tally(outcomes).items():
            self.events.labels(topic, outcome).inc(number)

    def folded(self, folded: Folded, topics: Sequence[str]) -> None:
        """Count a batch's events from these topics: outcomes, and what a producer should look at."""
        self.outcomes(zip(topics, folded.outcomes, strict=True))
        for reason, number in Tally(folded.unlearned).items():
            if reason is not None:
                self.unlearned.labels(reason).inc(number)
        if unknown := sum(folded.is_unknown):
            self.unknown_items.inc(unknown)
        for topic, number in Tally(compress(topics, folded.is_future)).items():
            self.future_events.labels(topic).inc(number)

    def answered(self, answers: Sequence[Recommendations], taken_ms: Sequence[int]) -> None:
        """Record lists that were just delivered, for events that Kafka appended at `taken_ms`."""
        now = time.time()
        latencies: dict[str, list[tuple[float, str]]] = {}
        for answer, then_ms in zip(answers, taken_ms, strict=True):
            latency = max(0.0, now - then_ms / 1000)
            latencies.setdefault(answer.trigger.type, []).append((latency, answer.recommendation_id))
        for trigger, measured in latencies.items():
            # One exemplar for each batch and trigger: the slowest list, which an investigation needs.
            slowest, recommendation_id = max(measured)
            exemplar = Exemplar({"recommendation_id": recommendation_id}, slowest, now)
            self.end_to_end.labels(trigger).observe_many([latency for latency, _ in measured], exemplar)
        for fallback, number in Tally(answer.fallback for answer in answers).items():
            if fallback is not None:
                self.fallbacks.labels(fallback).inc(number)
        # A repeated list says nothing new: a robot's would hide the quality of the shoppers' lists.
        made = [answer for answer in answers if answer.fallback != RATE_LIMITED]
        self.items.observe_many([len(answer.items) for answer in made])
        firsts = (answer.items[0].sources if answer.items else (NO_SOURCE,) for answer in made)
        for source, number in Tally(chain.from_iterable(firsts)).items():
            self.recommendations.labels(source).inc(number)
        self.score.observe_many([a.items[0].score for a in made if a.items and a.fallback is None])
