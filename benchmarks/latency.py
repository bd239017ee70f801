"""Latency from end to end at fixed rates, and the highest rate that one worker holds."""

from __future__ import annotations

from benchmarks import load
from benchmarks.figures import grows
from benchmarks.plot import latency_plot
from benchmarks.report import Section, Table
from benchmarks.schedule import Schedule
from benchmarks.stage import Stage
from streams.settings import Settings

READY_S = 60.0
PERCENTS = (50, 90, 99)
PLOT = "latency.svg"

HOW = """\
From the moment an event was due to the moment its list is with the consumer: an open loop, the sender and the
receiver as processes of their own, {measured:g} s after {warm_up:g} s of warm-up, and before all of it {first:g} s
in which the broker's virtual machine compiles what it runs often. The real model, {items:,} items, {shoppers:,}
shoppers, {searches:.0%} searches out of {queries:,} different ones (a search that was made before is remembered
by the worker: its text is not encoded again). "Late" is how far the sender itself was behind at its worst. A
rate is held if p99 stays below {limit:g} ms, latency does not grow from the first third of a run to the last by
more than {growth:g} ms, and every event has its list; found by doubling and bisection in steps of {step:g} s."""


def measure(stage: Stage) -> Section:
    """Run the fixed rates, then look for the highest."""
    settings = stage.settings("latency")
    stage.publish_catalogue(settings)
    with stage.worker("ours", settings) as worker:
        worker.wait_for("ready", READY_S)
        worker.wait_for("recovered", READY_S)
        _run(stage, settings, stage.sizes.rates[0], stage.sizes.first_s)
        loads = [_run(stage, settings, rate, stage.sizes.step_s) for rate in stage.sizes.rates]
        steps = search(stage, settings)
    return _section(stage, loads, steps)


def search(stage: Stage, settings: Settings) -> list[tuple[load.Load, bool]]:
    """Return the steps of the search and whether each was held."""
    steps: list[tuple[load.Load, bool]] = []
    held, failed, rate = 0, 0, stage.sizes.search_from
    for _ in range(stage.sizes.search_rounds):
        step = _run(stage, settings, rate, stage.sizes.search_step_s)
        steps.append((step, is_held(step, stage.sizes.p99_limit_s, stage.sizes.growth_limit_s)))
        if steps[-1][1]:
            held = max(held, rate)
        else:
            failed = min(failed or rate, rate)
        rate = next_rate(held, failed)
    return steps


def next_rate(held: int, failed: int) -> int:
    """Return the rate to try after the highest one held and the lowest one not; 0 stands for none yet."""
    if not failed:
        return 2 * held
    return (held + failed) // 2


def is_held(step: load.Load, p99_limit_s: float, growth_limit_s: float) -> bool:
    """Whether the worker kept up."""
    fast = step.milliseconds(99) < 1e3 * p99_limit_s
    return fast and not step.missing and not grows(step.measured, growth_limit_s)


def _run(stage: Stage, settings: Settings, rate: int, seconds: float) -> load.Load:
    stage.tell(f"latency at {rate:,} events/s")
    sizes = stage.sizes
    schedule = Schedule(rate, seconds, sizes.step_warm_up_s)
    options = load.EventOptions(shoppers=sizes.shoppers, searches=sizes.searches, seed=sizes.seed + rate)
    return load.run(settings, schedule, stage.shop, options)


def _section(stage: Stage, loads: list[load.Load], steps: list[tuple[load.Load, bool]]) -> Section:
    sizes = stage.sizes
    how = HOW.format(
        measured=sizes.step_s, warm_up=sizes.step_warm_up_s, items=sizes.catalogue, shoppers=sizes.shoppers,
        searches=sizes.searches, queries=len(stage.shop.searches), limit=1e3 * sizes.p99_limit_s,
        growth=1e3 * sizes.growth_limit_s, step=sizes.search_step_s, first=sizes.first_s,
    )  # fmt: skip
    header = ("events/s", *(f"p{percent} ms" for percent in PERCENTS), "fallbacks", "unanswered", "late ms")
    searched = tuple((*_row(step), "yes" if held else "no") for step, held in steps)
    highest = max((step.schedule.rate for step, held in steps if held), default=0)
    lines = {f"p{p}": [each.milliseconds(p) for each in loads] for p in PERCENTS}
    (stage.pictures / PLOT).write_text(latency_plot(sizes.rates, lines))
    return Section(
        title="Latency, end to end",
        how=how,
        tables=(Table(header, tuple(map(_row, loads))), Table((*header, "held"), searched)),
        says=(f"![latency by rate]({PLOT})", f"The highest rate held: **{highest:g} events/s**."),
        data={"rates": list(sizes.rates), "milliseconds": lines, "highest_rate": highest},
    )


def _row(step: load.Load) -> tuple[str, ...]:
    percents = (f"{step.milliseconds(percent):.1f}" for percent in PERCENTS)
    return (f"{step.schedule.rate:,g}", *percents, str(step.fallbacks), str(step.missing), f"{1e3 * step.late_s:.1f}")
