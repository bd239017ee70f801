"""Experiments: settings of the interpreter, of Faust and of the clients, each changed separately."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.util import find_spec

from benchmarks.held import Run, at_rate, rates_table, serving
from benchmarks.report import Section, Table
from benchmarks.stage import Stage
from streams.errors import StreamsError

HOW = """\
The worker runs at {rate:,} events/s for {seconds:g} s with the real model and {items:,} items. Each run changes one
setting and starts a new worker. The unchanged worker runs first and last: the difference between these two runs is the
noise."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One change: options of the worker's process, or settings."""

    name: str
    options: tuple[str, ...] = ()
    settings: dict[str, object] = field(default_factory=dict)


VARIANTS = (
    Variant("unchanged"),
    Variant("switch interval 0.5 ms", ("switch-interval=0.0005",)),
    Variant("switch interval 1 ms", ("switch-interval=0.001",)),
    Variant("switch interval 20 ms", ("switch-interval=0.02",)),
    Variant("producer linger 0 ms", settings={"producer_linger_ms": 0}),
    Variant("producer linger 2 ms", settings={"producer_linger_ms": 2}),
    Variant("producer linger 5 ms", settings={"producer_linger_ms": 5}),
    Variant("fetch wait 5 ms", ("fetch-wait=5",)),
    Variant("fetch wait 200 ms", ("fetch-wait=200",)),
    Variant("uvloop", ("uvloop",)),
    Variant("unchanged, again"),
)


def measure(stage: Stage) -> Section:
    """Measure each change at the reference rate."""
    sizes = stage.sizes
    runs, failed = [], []
    for variant in VARIANTS:
        if "uvloop" in variant.options and find_spec("uvloop") is None:
            failed.append(f"{variant.name}: not measured, because it is not installed.")
            continue
        try:
            with serving(stage, *variant.options, overrides=variant.settings) as server:
                result = at_rate(stage, server, sizes.reference_rate, sizes.step_s, what=variant.name)
        except StreamsError as error:
            failed.append(f"{variant.name}: {str(error).splitlines()[0]}.")
            continue
        runs.append(Run(variant.name, result))
        if (code := server.worker.exit_code) is not None and code < 0:
            failed.append(f"{variant.name}: the worker ended by signal {-code} when it was stopped.")
    table = rates_table(stage, runs)
    how = HOW.format(rate=sizes.reference_rate, seconds=sizes.step_s, items=sizes.catalogue)
    return Section(
        title="Experiments",
        how=how,
        tables=(Table(("change", *table.header[1:]), table.rows),),
        says=tuple(failed),
        data={run.name: {"p50": run.load.milliseconds(50), "p99": run.load.milliseconds(99)} for run in runs},
    )
