"""CPU for each event: ours without and with the model, the obvious Faust agent, and Quix Streams."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.figures import Spread
from benchmarks.report import Section, Table
from benchmarks.stage import Counter, Stage
from benchmarks.workers.sizes import LIST_BYTES, PROFILE_BYTES
from streams.settings import Settings

TIMEOUT_S = 300.0

HOW = """\
User and system time of the worker's process, all threads, while it drains a backlog of {events:,} item actions
of {shoppers:,} shoppers on 8 partitions; the start and the first {warm_up:,} events are not counted. The four
take turns, {repeats} times; median (least to most). Ours reads JSON, folds profiles of 384 dimensions and
writes lists of 20 items; the two that we compare with move as many bytes ({profile:,} of profile, {list:,} of
list) and compute nothing. Quix Streams writes profiles to its store and changelog only at its checkpoints, once
a second and once a shopper."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One of the workers that take turns."""

    name: str
    module: str
    arguments: tuple[str, ...] = ()


VARIANTS = (
    Variant("Intentstream, null scorer", "ours", ("null",)),
    Variant("the obvious Faust agent", "obvious"),
    Variant("Quix Streams", "quix"),
    Variant("Intentstream, real model", "ours"),
)


def measure(stage: Stage) -> Section:
    """Let the variants take turns."""
    sizes = stage.sizes
    source = stage.settings("cpu")
    stage.publish_catalogue(source)
    events = stage.shop.events(sizes.cpu_events, shoppers=sizes.shoppers, searches=0.0, seed=sizes.seed)
    stage.publish_events(source, events)
    micros: dict[str, list[float]] = {variant.name: [] for variant in VARIANTS}
    for repeat in range(sizes.cpu_repeats):
        for variant in VARIANTS:
            stage.progress(f"CPU an event, {repeat + 1} of {sizes.cpu_repeats}: {variant.name}")
            micros[variant.name].append(_drain(stage, variant, source))
    return _section(stage, micros)


def _drain(stage: Stage, variant: Variant, source: Settings) -> float:
    """Return the microseconds an event of one run over the backlog."""
    shared = {name: getattr(source, name) for name in ("clicks_topic", "item_vectors_topic")}
    settings = stage.settings(variant.module, **shared)
    lists = Counter(stage, settings, settings.recommendations_topic)
    with stage.worker(variant.module, settings, *variant.arguments) as worker:
        first = lists.wait(stage.sizes.cpu_warm_up, worker, TIMEOUT_S)
        used = -worker.cpu_seconds()
        last = lists.wait(stage.sizes.cpu_events, worker, TIMEOUT_S)
        used += worker.cpu_seconds()
    return 1e6 * used / (last - first)


def _section(stage: Stage, micros: dict[str, list[float]]) -> Section:
    sizes = stage.sizes
    spreads = {name: Spread.of(values) for name, values in micros.items()}
    base = spreads[VARIANTS[0].name].median
    rows = tuple((name, each.text(), f"{each.median / base:.2f}") for name, each in spreads.items())
    how = HOW.format(
        events=sizes.cpu_events, shoppers=sizes.shoppers, warm_up=sizes.cpu_warm_up, repeats=sizes.cpu_repeats,
        profile=PROFILE_BYTES, list=LIST_BYTES,
    )  # fmt: skip
    header = ("", "µs of CPU an event", "to ours without model")
    return Section(title="CPU an event", how=how, tables=(Table(header, rows),), data=micros)
