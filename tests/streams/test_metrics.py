"""A worker's metrics: known label values start at 0, the number of series is bounded, no label has personal data."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client import Histogram as OneByOne
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.samples import Sample

from streams.contracts.messages import ModelRef, Recommendations, RecommendedItem, Trigger
from streams.histogram import Histogram
from streams.metric_families import END_TO_END, FAST
from streams.metrics import Metrics
from streams.outcomes import FALLBACKS, NO_SOURCE, OUTCOMES
from streams.settings import load_settings

LABELS = {"expectation", "type", "kind", "effect",
    "topic", "outcome", "reason", "trigger", "stage", "provider", "source", "name", "version", "partition", "table",
    "python", "by", "group", "le", "implementation", "major", "minor", "patchlevel", "generation", "route", "status",
}  # fmt: skip
MOST_PARTITIONS = 64
ID = "0123456789abcdef0123456789abcdef"


def samples(registry: CollectorRegistry) -> Iterator[Sample]:
    for family in registry.collect():
        yield from family.samples


def answer(*sources: str, fallback: str | None = None) -> Recommendations:
    now = datetime.now(UTC)
    return Recommendations(
        recommendation_id=ID,
        user_id="u1",
        trigger=Trigger(event_id="e1", type="view", topic="clicks", partition=0, offset=7, occurred_at=now),
        produced_at=now,
        items=(RecommendedItem(rank=1, item_id="i1", score=0.3, sources=sources, reason="suits you"),)
        if sources
        else (),
        intent=(),
        model=ModelRef(name="m", version="1"),
        fallback=fallback,
    )


def test_a_worker_of_many_partitions_exports_fewer_than_2000_series() -> None:
    settings = load_settings({"partitions": MOST_PARTITIONS}, env_file=None)
    metrics = Metrics(settings)
    for topic in ("clicks", "searches", "items", "item-pairs"):
        for partition in range(MOST_PARTITIONS):
            metrics.lag_records.labels(topic, str(partition)).set(0)
            metrics.offset.labels(topic, str(partition)).set(0)
    assert 500 < len(list(samples(metrics.registry))) < 2000


def test_label_names_are_on_the_list_and_no_value_is_a_user_id() -> None:
    metrics = Metrics()
    metrics.lag_records.labels("clicks", "0").set(0)
    metrics.answered([answer("query")], [0])
    assert {label for sample in samples(metrics.registry) for label in sample.labels} <= LABELS
    assert not any("u1" in sample.labels.values() for sample in samples(metrics.registry))


def test_known_label_values_start_at_0() -> None:
    value = Metrics(load_settings({"clicks_topic": "acts"}, env_file=None)).registry.get_sample_value
    for outcome in OUTCOMES:
        assert value("intentstream_events_total", {"topic": "acts", "outcome": outcome}) == 0
    for reason in FALLBACKS:
        assert value("intentstream_fallbacks_total", {"reason": reason}) == 0
    assert value("intentstream_end_to_end_latency_seconds_count", {"trigger": "search"}) == 0
    assert value("intentstream_recovery_remaining_records", {"table": "pairs"}) == 0
    assert value("intentstream_dead_letters_total", {"topic": "acts", "reason": "unreadable_profile"}) == 0
    assert value("intentstream_partitions", {"topic": "acts"}) == 8


@pytest.mark.parametrize(
    ("message", "sources", "scored"),
    [
        pytest.param(answer("query", "words"), {"query", "words"}, 1, id="ranked"),
        pytest.param(answer("new", fallback="late"), {"new"}, 0, id="not ranked"),
        pytest.param(answer(), {NO_SOURCE}, 0, id="empty"),
    ],
)
def test_a_list_is_counted_for_every_source_of_its_first_item(
    message: Recommendations, sources: set[str], scored: int
) -> None:
    metrics = Metrics()
    metrics.answered([message], [0])
    counted = {
        sample.labels["source"]
        for sample in samples(metrics.registry)
        if sample.name == "intentstream_recommendations_total" and sample.value
    }
    assert counted == sources
    assert metrics.registry.get_sample_value("intentstream_recommendation_score_count") == scored


def test_openmetrics_has_the_recommendation_id_as_an_exemplar_of_latency() -> None:
    metrics = Metrics()
    metrics.answered([answer("query")], [0])
    text = generate_latest(metrics.registry).decode()  # type: ignore[no-untyped-call]
    assert f'# {{recommendation_id="{ID}"}}' in text


def test_a_failed_stage_records_no_duration() -> None:
    metrics = Metrics()
    with pytest.raises(ValueError, match="broken"), metrics.timed("decode"):
        raise ValueError("broken")
    assert metrics.registry.get_sample_value("intentstream_stage_duration_seconds_count", {"stage": "decode"}) == 0


@given(st.lists(st.lists(st.floats(0, 2) | st.sampled_from(FAST), max_size=20), max_size=5))
def test_observe_many_exports_the_same_as_single_observations(
    batches: list[list[float]],
) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    whole = Histogram("h", "Help", ("stage",), FAST)
    ours.register(whole)
    single = OneByOne("h", "Help", ["stage"], registry=theirs, buckets=FAST)
    whole.labels("a")
    single.labels("a")
    for batch in batches:
        whole.labels("a").observe_many(batch)
        for value in batch:
            single.labels("a").observe(value)

    def exported(registry: CollectorRegistry) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for sample in samples(registry)
            if not sample.name.endswith("_created")
        }

    assert exported(ours) == pytest.approx(exported(theirs))


def test_the_exemplar_of_a_batch_is_its_slowest_list() -> None:
    metrics, taken = Metrics(), int(datetime.now(UTC).timestamp() * 1000)
    slow = msgspec.structs.replace(answer("query"), recommendation_id="f" * 32)
    metrics.answered([answer("query"), slow, answer("words")], [taken, taken - 700, taken])
    (latency,) = (each for each in metrics.registry.collect() if each.name == "intentstream_end_to_end_latency_seconds")
    shown = [(s.labels["le"], s.exemplar.labels) for s in latency.samples if s.exemplar is not None]
    assert shown == [("1.0", {"recommendation_id": "f" * 32})]
    value = metrics.registry.get_sample_value
    assert value("intentstream_end_to_end_latency_seconds_count", {"trigger": "view"}) == 3
    assert value("intentstream_recommendations_total", {"source": "query"}) == 2
    assert value("intentstream_recommendation_items_sum") == 3


def test_missing_label_values_are_an_error() -> None:
    with pytest.raises(ValueError, match="required values of the labels"):
        Histogram("h", "", ("stage",), END_TO_END).labels()
