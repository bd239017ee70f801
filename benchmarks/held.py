"""The rates that one worker holds: end-to-end latency, lag, fallbacks and CPU at each rate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from benchmarks import load
from benchmarks.figures import grows
from benchmarks.plot import latency_plot
from benchmarks.process import Process
from benchmarks.report import Section, Table
from benchmarks.schedule import Schedule
from benchmarks.stage import Stage
from benchmarks.usage import by_thread, gathered
from streams.settings import Settings

READY_S = 300.0
PERCENTS = (50, 90, 99)
PLOT = "held.svg"
WORKER, BROKER = "worker", "broker"
LEAST_SHARE = 0.02

HOW = """\
The load is an open loop: latency is the time from the moment an event was due to the arrival of its list at the
consumer. The worker runs the real model with {items:,} items, for {shoppers:,} shoppers. {searches:.0%} of the events
are searches, out of {queries:,} different ones, and the worker caches their vectors. Each rate is measured for
{measured:g} s after {warm_up:g} s of warm-up. Before the first rate, {first:g} s of load warm up the broker's Java
virtual machine. "Lag" is the number of events without a list when the last event was due. "Worker µs" is the CPU time
of the worker's process per answered event. A rate is held if p99 stays below the limit, latency does not grow by more
than {growth:g} ms from the first third of a run to the last, fewer than {fallbacks:.0%} of the lists have a fallback,
and every event has a list. Two variants run at {reference:,} events/s: one returns the same list for every event
instead of ranking ("null ranker"), and one has {large:,} items.

The second table divides the worker's CPU time by thread. The third table shows the cost of the measurement: CPU time of
the sender, the receiver and the broker per event, on the same cores. "Late" is the largest delay of the sender against
its schedule. Sender and receiver are C clients (librdkafka), and the sender creates all messages before the start."""


@dataclass(frozen=True, slots=True)
class Run:
    """One rate: the text of the first column, and the result."""

    name: str
    load: load.Load

    def is_held(self, stage: Stage, limit_s: float) -> bool:
        """Return whether the worker held the rate with p99 below the limit."""
        sizes = stage.sizes
        return is_held(self.load, limit_s, sizes.growth_limit_s, sizes.fallback_limit)


class Serving(NamedTuple):
    """A worker that serves, and its settings."""

    settings: Settings
    worker: Process


def measure(stage: Stage) -> Section:
    """Run each rate, then the two variants."""
    sizes = stage.sizes
    runs = at_rates(stage, sizes.rates, sizes.step_s)
    reference = sizes.reference_rate
    variants = []
    large = sizes.large_catalogue
    chosen = () if sizes.held_alone else (("null ranker", ("null",), None), (f"{large:,} items", (), large))
    for name, options, items in chosen:
        with serving(stage, *options, items=items) as server:
            at_rate(stage, server, reference, sizes.first_s, items)
            result = at_rate(stage, server, reference, sizes.step_s, items, what=name)
            variants.append(Run(f"{reference:,}, {name}", result))
    return _section(stage, runs, variants)


def at_rates(stage: Stage, rates: tuple[int, ...], seconds: float) -> list[Run]:
    """Measure some rates on one worker. If a rate leaves events unanswered, the next rate gets a new worker."""
    runs: list[Run] = []
    waiting = list(rates)
    while waiting:
        with serving(stage) as server:
            at_rate(stage, server, min(rates), stage.sizes.first_s)
            while waiting:
                rate = waiting.pop(0)
                runs.append(Run(f"{rate:,}", at_rate(stage, server, rate, seconds)))
                if runs[-1].load.missing:
                    break
    return runs


@contextmanager
def serving(
    stage: Stage, *options: str, items: int | None = None, overrides: Mapping[str, object] | None = None
) -> Iterator[Serving]:
    """Start a worker with its own topics, and wait until it serves."""
    settings = stage.settings("held", **(overrides or {}))
    stage.publish_catalogue(settings, items)
    with stage.worker("ours", settings, *options) as worker:
        worker.wait_for("ready", READY_S)
        worker.wait_for("recovered", READY_S)
        yield Serving(settings, worker)


def at_rate(
    stage: Stage,
    server: Serving,
    rate: int,
    seconds: float,
    items: int | None = None,
    what: str = "",
) -> load.Load:
    """Measure one rate for some seconds after the warm-up."""
    stage.progress(", ".join(filter(None, (f"{rate:,} events/s for {seconds:g} s", what))))
    sizes = stage.sizes
    schedule = Schedule(rate, seconds, sizes.step_warm_up_s)
    options = load.EventOptions(shoppers=sizes.shoppers, searches=sizes.searches, seed=sizes.seed + rate)
    shop = stage.shop if items is None else stage.large_shop(items)
    return load.run(
        server.settings,
        schedule,
        shop,
        options,
        watch=lambda: {WORKER: server.worker.usage(), BROKER: stage.broker_usage()},
    )


def is_held(result: load.Load, p99_limit_s: float, growth_limit_s: float, fallback_limit: float) -> bool:
    """Return whether the worker kept up with the load."""
    is_fast = result.milliseconds(99) < 1e3 * p99_limit_s
    is_full = result.fallback_share < fallback_limit and not result.missing
    return is_fast and is_full and not grows(result.measured, growth_limit_s)


def highest(stage: Stage, runs: list[Run], limit_s: float) -> float:
    """Return the highest rate that was held, or 0 if none was."""
    return max((run.load.schedule.rate for run in runs if run.is_held(stage, limit_s)), default=0)


def _section(stage: Stage, runs: list[Run], variants: list[Run]) -> Section:
    sizes = stage.sizes
    how = HOW.format(
        items=sizes.catalogue, shoppers=sizes.shoppers, searches=sizes.searches, queries=len(stage.shop.searches),
        measured=sizes.step_s, warm_up=sizes.step_warm_up_s, first=sizes.first_s, growth=1e3 * sizes.growth_limit_s,
        fallbacks=sizes.fallback_limit, reference=sizes.reference_rate, large=sizes.large_catalogue,
    )  # fmt: skip
    every = [*runs, *variants]
    lines = {f"p{percent}": [run.load.milliseconds(percent) for run in runs] for percent in PERCENTS}
    (stage.pictures / PLOT).write_text(latency_plot([run.load.schedule.rate for run in runs], lines))
    limits = sizes.p99_limits_s
    held = {limit: highest(stage, runs, limit) for limit in limits}
    says = ", ".join(f"below {1e3 * limit:g} ms: **{rate:,g} events/s**" for limit, rate in held.items())
    return Section(
        title="Rates that one worker holds",
        how=how,
        tables=(rates_table(stage, every), threads_table(every), load_table(every)),
        says=(f"The highest rate that was held with p99 {says}.", f"![latency by rate]({PLOT})"),
        data={"runs": {run.name: _data(run.load) for run in every}, "held": {str(k): v for k, v in held.items()}},
    )


def rates_table(stage: Stage, runs: list[Run]) -> Table:
    """Return the table of latencies."""
    limits = stage.sizes.p99_limits_s
    header = (
        "events/s", *(f"p{percent} ms" for percent in PERCENTS), "lag", "fallbacks", "unanswered", "worker µs",
        *(f"held < {1e3 * limit:g} ms" for limit in limits),
    )  # fmt: skip
    return Table(header, tuple(_rates_row(stage, run) for run in runs))


def _rates_row(stage: Stage, run: Run) -> tuple[str, ...]:
    result = run.load
    percents = [result.milliseconds(percent) for percent in PERCENTS]
    return (
        run.name, *(f"{value:,.1f}" for value in percents), f"{result.lag:,}", f"{result.fallback_share:.1%}",
        f"{result.missing:,}", _micros(result, WORKER),
        *("yes" if run.is_held(stage, limit) else "no" for limit in stage.sizes.p99_limits_s),
    )  # fmt: skip


def threads_table(runs: list[Run]) -> Table:
    """Return the table of the worker's CPU time per event by thread."""
    threads = [thread_micros(run.load) for run in runs]
    names = sorted({name for each in threads for name in each}, key=lambda name: -max(each.get(name, 0) for each in threads))  # fmt: skip  # noqa: E501
    header = ("events/s", *(f"{name}, µs" for name in names))
    rows = [
        (run.name, *(f"{each.get(name, 0):,.0f}" for name in names)) for run, each in zip(runs, threads, strict=True)
    ]
    return Table(header, tuple(rows))


def thread_micros(result: load.Load) -> dict[str, float]:
    """Return the worker's microseconds of CPU per event by thread."""
    watched = result.watched
    if watched is None or not watched.answered:
        return {}
    seconds = gathered(by_thread(watched.before[WORKER], watched.after[WORKER]), LEAST_SHARE)
    return {name: 1e6 * value / watched.answered for name, value in seconds.items()}


def load_table(runs: list[Run]) -> Table:
    """Return the table of the measurement's own cost."""
    names = (load.SENDER, load.RECEIVER, BROKER)
    header = ("events/s", *(f"{name} µs" for name in names), "late ms")
    rows = tuple(
        (run.name, *(_micros(run.load, name) for name in names), f"{1e3 * run.load.late_s:.1f}") for run in runs
    )
    return Table(header, rows)


def _micros(result: load.Load, name: str) -> str:
    return "" if result.watched is None else f"{result.watched.micros(name):,.0f}"


def _data(result: load.Load) -> dict[str, object]:
    watched = result.watched
    return {
        "rate": result.schedule.rate,
        "milliseconds": {str(percent): result.milliseconds(percent) for percent in PERCENTS},
        "lag": result.lag,
        "fallback_share": result.fallback_share,
        "missing": result.missing,
        "late_s": result.late_s,
        "micros": {} if watched is None else {name: watched.micros(name) for name in watched.after},
        "threads": thread_micros(result),
    }
