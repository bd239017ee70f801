"""The section on cost beside value: bytes, CPU time and memory of each asset, and advice by rules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from matplotlib.axes import Axes
from rich.console import RenderableType

from streams.replay import Replay
from streams.value.costs import AssetCost, Costs, WorkerCosts
from streams.value.estimates import Estimate
from streams.value.report import AssetValue
from training.evaluation.figures import percent
from training.evaluation.html import html_table
from training.evaluation.plots import INK, LINES, errors, svg_of
from training.evaluation.table import Rows, terminal_table
from training.value.cost_advice import RULES, AdviceInput, advise
from training.value.cost_measure import (
    Bytes,
    Times,
    bytes_of_events,
    bytes_of_items,
    memory_of,
    table_of_source,
    times_of,
)
from training.value.losses import AssetSection
from training.value.sections import RunContext
from training.value.study import Part
from training.value.variants import DAY_MS

TIMED_LISTS = 2000
"""Events after which lists are timed, at most."""
KINDS = ("source", "type", "field", "context", "attribute", "history")
ASSETS = ("", "value, 95%", "part of the value", "part of the cost", "bytes", "CPU", "memory", "advice")
PLACES = ("", "bytes")


@dataclass(frozen=True, slots=True)
class CostSection:
    """The section."""

    found: Costs

    def to_json(self) -> object:
        """Return the costs."""
        return self.found

    def sentence(self) -> str:
        """Name the assets for each advice that changes something."""
        named: dict[str, list[str]] = {}
        for each in self.found.assets:
            if each.advice not in ("keep", "measure longer", "measure otherwise"):
                named.setdefault(each.advice, []).append(each.title)
        parts = [f"{advice}: {', '.join(names)}" for advice, names in named.items()]
        return f"Advice: {'; '.join(parts) if parts else 'keep everything, or measure longer'}."

    def tables(self) -> Sequence[RenderableType]:
        """Return the table of assets, and those of memory and of a running worker."""
        caption = f"An event costs {self.found.event_us:.0f} µs, a list {self.found.list_us:.0f} µs of CPU in a replay."
        shown = [
            terminal_table("Cost beside value", ASSETS, _rows(self.found.assets), caption),
            terminal_table("Tables in memory", PLACES, [(n, _size(b)) for n, b in self.found.memory.items()]),
        ]
        if self.found.running is not None:
            shown.append(terminal_table("Running worker", ("", "cost"), worker_rows(self.found.running)))
        return shown

    def html(self) -> str:
        """Return the chart, the table and the rules."""
        found = self.found
        rules = "".join(f"<li>{escape(rule)}</li>" for rule in found.rules)
        reasons = [(f"{each.kind}: {each.title}", each.advice, each.reason) for each in found.assets]
        running = "" if found.running is None else html_table(("running worker", "cost"), worker_rows(found.running))
        return f"""<h2>Cost beside value</h2>
<p>{found.days:.0f} days with {_size(found.event_bytes)} of events as JSON. An event costs {found.event_us:.0f} µs and
a list {found.list_us:.0f} µs of CPU in a replay, in one thread and in large batches. The cost of a source is its time,
that of a type of events the time and the lists of its events, that of others their bytes.</p>
<figure>{_value_and_cost(found.assets)}</figure>
{html_table(ASSETS, _rows(found.assets))}
<h3>Advice</h3>
<ul>{rules}</ul>
{html_table(("asset", "advice", "why"), reasons)}
<h3>Memory</h3>
{html_table(PLACES, [(name, _size(size)) for name, size in found.memory.items()])}
{running}"""


def _value_and_cost(rows: Sequence[AssetCost]) -> str:
    """Return each asset by its part of the cost and its value, one colour for each kind."""
    kinds = list(dict.fromkeys(each.kind for each in rows))

    def value_against_cost(axes: Axes) -> None:
        for kind, colour in zip(kinds, [*LINES, INK], strict=False):
            own = [each for each in rows if each.kind == kind]
            values = [each.value for each in own]
            axes.errorbar([100 * each.cost_share for each in own], [100 * each.value for each in values],
                          yerr=100 * np.array(errors(values)), fmt="o", color=colour, ecolor=colour, elinewidth=0.5,
                          label=kind)  # fmt: skip
            # The names of assets without any value would cover each other.
            for each in (each for each in own if each.value.value):
                axes.annotate(each.name, (100 * each.cost_share, 100 * each.value.value), fontsize=8,
                              textcoords="offset points", xytext=(5, 4))  # fmt: skip
        axes.axhline(0, color=INK, linewidth=0.8)
        axes.set_xlabel("% of the cost of its kind")
        axes.set_ylabel("% of the metric lost without it")
        axes.grid()
        axes.set_axisbelow(True)
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1))

    return svg_of(5.0, value_against_cost)


def costs(context: RunContext) -> CostSection | None:
    """Measure the costs; None unless the values of assets were measured as well."""
    values = context.made.get("assets")
    if not isinstance(values, AssetSection):
        return None
    study = context.study
    part = study.part(context.full_scope)
    replay = Replay(study.settings, study.bundle, study.records())
    count = len(part.log)
    advance = context.start_phase("Timing sources", count)
    times = times_of(replay, part.log.interactions, max(count - TIMED_LISTS, 0))
    advance(count)
    memory = memory_of(replay)
    events = bytes_of_events(part.log.interactions)
    measured = _Measured(events, bytes_of_items(study.items), memory, times, part, len(study.items))
    return CostSection(
        Costs(
            assets=assets_with_costs(values.found.values, values.found.metric, measured),
            days=float(part.log.at_ms[-1] - part.log.at_ms[0]) / DAY_MS,
            event_bytes=events.total,
            memory=memory,
            event_us=times.event_us,
            list_us=times.list_us,
            running=context.worker,
            rules=RULES,
        )
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Measured:
    """What was measured; `items` is the number of items."""

    events: Bytes
    item_bytes: Mapping[str, int]
    memory: Mapping[str, int]
    times: Times
    part: Part
    items: int

    def cost(self, each: AssetValue) -> tuple[int | None, float | None, int | None]:
        """Return the bytes, the CPU microseconds and the memory of an asset."""
        if each.kind == "source":
            table = table_of_source(each.name)
            return None, self.times.sources_us.get(each.name, 0.0), None if table is None else self.memory[table]
        if each.kind == "type":
            return self.events.by_type.get(each.name, 0), self.times.event_us + self.times.list_us, None
        if each.kind == "history":
            mean = self.events.total / max(len(self.part.log), 1)
            return round(mean * (each.size or 0)), None, None
        sizes = {"field": self.events.by_field, "context": self.events.by_context, "attribute": self.item_bytes}
        return sizes[each.kind].get(each.name, 0), None, None

    def coverage(self, each: AssetValue) -> float | None:
        """Return the share of the events or items that have an asset."""
        if each.size is None:
            return None
        return each.size / max(self.items if each.kind == "attribute" else len(self.part.log), 1)


def assets_with_costs(values: Iterable[AssetValue], metric: str, measured: _Measured) -> list[AssetCost]:
    """Return the assets whose value was measured, by kind, with their costs and the advice."""
    found = [each for each in values if each.kind in KINDS and each.relative is not None]
    rows = []
    for kind in KINDS:
        own = [each for each in found if each.kind == kind]
        costs_of = [measured.cost(each) for each in own]
        weights = [_weight(each, cost) for each, cost in zip(own, costs_of, strict=True)]
        gains = [max(each.loss[metric].value, 0.0) for each in own]
        for each, (size, cpu_us, memory), weight, gain in zip(own, costs_of, weights, gains, strict=True):
            relative = each.relative if each.relative is not None else Estimate(0.0, 0.0, 0.0)
            facts = AdviceInput(kind, relative, _part(weight, weights), _part(gain, gains), measured.coverage(each))
            advice, reason = advise(facts)
            rows.append(
                AssetCost(
                    kind=kind,
                    name=each.name,
                    title=each.title,
                    value=relative,
                    bytes=size,
                    cpu_us=cpu_us,
                    memory=memory,
                    cost_share=facts.cost_share,
                    value_share=facts.value_share,
                    coverage=facts.coverage,
                    advice=advice,
                    reason=reason,
                )
            )
    return rows


def _weight(each: AssetValue, cost: tuple[int | None, float | None, int | None]) -> float:
    """Return what an asset costs within its kind: CPU of sources and types, bytes of the others."""
    size, cpu_us, _ = cost
    if each.kind == "type":
        return (each.size or 0) * (cpu_us or 0.0)
    return cpu_us if cpu_us is not None else float(size or 0)


def _part(value: float, values: Sequence[float]) -> float:
    total = sum(values)
    return value / total if total > 0 else 0.0


def _rows(assets: Sequence[AssetCost]) -> Rows:
    return [
        (f"{each.kind}: {each.name}", percent(each.value), f"{each.value_share:.0%}", f"{each.cost_share:.0%}",
         "" if each.bytes is None else _size(each.bytes), "" if each.cpu_us is None else f"{each.cpu_us:.0f} µs",
         "" if each.memory is None else _size(each.memory), each.advice)
        for each in assets
    ]  # fmt: skip


def worker_rows(found: WorkerCosts) -> Rows:
    """Return the costs of a running worker as rows."""
    rows = [(f"events: {kind}", f"{number:,.0f}") for kind, number in found.events.items()]
    if found.cpu_us is not None:
        rows.append(("CPU of the process per event, with start and idle time", f"{found.cpu_us:,.0f} µs"))
    rows += [(f"stage {name} per event, elapsed", f"{value:,.0f} µs") for name, value in found.stages_us.items()]
    rows += [(f"table {name} on disk", _size(round(size))) for name, size in found.tables_bytes.items()]
    rows += [(f"table {name}, not on disk yet", _size(round(size))) for name, size in found.memtables_bytes.items()]
    if found.memory_bytes is not None:
        rows.append(("memory of the process", _size(round(found.memory_bytes))))
    return [*rows, *((f"first item proposed by {name}", f"{part:.1%}") for name, part in found.sources.items())]


def _size(size: int) -> str:
    """Return a number of bytes in words."""
    value = float(size)
    for unit in ("B", "KB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"
