"""The rows of the page Value: what each asset is worth, with its cost and the advice.

All texts of a report are untrusted: they pass `shown` here, and templates escape them.
"""

from __future__ import annotations

from dataclasses import dataclass

from streams.console.charts import Bar, bar
from streams.console.numbers import bytes_text, number_text
from streams.console.value_words import (
    ADVICE,
    EFFECTS,
    FIELD_NOTES,
    KIND_NOTES,
    KINDS,
    REASONS,
    STATES,
    asset_title,
    group_title,
    interval_text,
    share_text,
    shown,
)
from streams.console.words import gettext
from streams.value.costs import AssetCost
from streams.value.estimates import Estimate
from streams.value.report import EFFECTS as ALL_EFFECTS
from streams.value.report import RETRAINED, AssetValue, Effect, Overlap, ValueReport

MOST_ROWS = 60
"""Most rows of a table."""
TOP = 3
"""Assets that the summary names."""
UNCHANGED = ("measure longer", "measure otherwise", "keep")
"""Advice that changes no data."""
Keys = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Scale:
    """The ends of the bars of a report, which all have the same scale."""

    least: float
    most: float

    def bar(self, found: Estimate | None) -> Bar | None:
        """Return the bar of a value, None without one."""
        return None if found is None else bar((found.low, found.value, found.high), self.least, self.most)

    def exact(self, value: float) -> Bar:
        """Return the bar of a value without an interval."""
        return bar((value, value, value), self.least, self.most)


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueRow:
    """An asset.

    Attributes:
        title, name: for people, and in the data if that differs.
        note: more about the asset.
        effect, effect_text: what the lists show of it.
        bar: its loss with the interval, None if it was not measured in percent.
        loss, interval: the loss as text.
        cost, cost_note: its part of the cost of its kind, and the cost itself.
        advice: the advice, "" without one.
        model: how its model differs from that of other rows, "" if it does not.
    """

    title: str
    name: str
    note: str
    effect: Effect
    effect_text: str
    bar: Bar | None
    loss: str
    interval: str
    cost: str
    cost_note: str
    advice: str
    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueTable:
    """The measured assets of a kind, and why others were not measured, with their names.

    `more` is the number of those that are not shown.
    """

    kind: str
    title: str
    note: str
    rows: list[ValueRow]
    unmeasured: list[tuple[str, list[str]]]
    more: int

    @property
    def has_costs(self) -> bool:
        """Whether a row has a cost."""
        return any(row.cost for row in self.rows)


@dataclass(frozen=True, slots=True)
class AdviceLine:
    """An advice with its reason, and the assets that it is about. `is_change`: whether to do something about them."""

    text: str
    reason: str
    names: list[str]
    is_change: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupRow:
    """The Shapley value of a group of assets. Texts are shares of the worth of all groups."""

    title: str
    bar: Bar | None
    value: str
    interval: str
    alone: str
    last: str


def scale_of(report: ValueReport) -> Scale:
    """Return the scale of all bars. A loss above the whole, or its negative, is cut off."""
    assets = report.sections.assets
    found = [each.relative for each in assets.values if each.relative is not None] if assets is not None else []
    ends = [end for each in found for end in (each.low, each.high)]
    return Scale(max(min([0.0, *ends]), -1.0), min(max([0.0, *ends]), 1.0) or 1.0)


def tables_of(report: ValueReport) -> list[ValueTable]:
    """Return a table of each kind, those of most value first; periods of history in their order."""
    assets, scale = report.sections.assets, scale_of(report)
    if assets is None:
        return []
    costs = costs_of(report)
    tables = []
    for kind, title in KINDS.items():
        found = [each for each in assets.values if each.kind == kind]
        measured = [each for each in found if each.effect(assets.metric) != "unmeasured"]
        if kind != "history":
            measured.sort(key=lambda each: _order(each, assets.metric))
        if found:
            tables.append(
                ValueTable(
                    kind=kind,
                    title=gettext(title),
                    note=gettext(KIND_NOTES[kind]),
                    rows=[row_of(each, report, assets.metric, scale, costs) for each in measured[:MOST_ROWS]],
                    unmeasured=_unmeasured([each for each in found if each.effect(assets.metric) == "unmeasured"]),
                    more=max(len(measured) - MOST_ROWS, 0),
                )
            )
    return tables


def costs_of(report: ValueReport) -> dict[Keys, AssetCost]:
    """Return the costs of a report by kind and name."""
    section = report.sections.cost
    return {} if section is None else {(each.kind, each.name): each for each in section.assets}


def row_of(each: AssetValue, report: ValueReport, metric: str, scale: Scale, costs: dict[Keys, AssetCost]) -> ValueRow:
    """Return the row of an asset."""
    effect, cost = each.effect(metric), costs.get((each.kind, each.name))
    loss = each.loss.get(metric)
    has_own_name = each.kind not in ("history", "context", "producer")
    text, interval = "–", ""
    if each.relative is not None:
        text, interval = share_text(each.relative.value), interval_text(each.relative)
    elif loss is not None:
        text = f"{loss.value:+.4f}"
    return ValueRow(
        title=asset_title(each.kind, each.name, each.title),
        name=shown(each.name) if has_own_name else "",
        note=gettext(FIELD_NOTES[each.name]) if each.kind == "field" and each.name in FIELD_NOTES else "",
        effect=effect,
        effect_text=gettext(EFFECTS[effect]),
        bar=scale.bar(each.relative),
        loss=text,
        interval=interval,
        cost=share_text(cost.cost_share) if cost is not None else "",
        cost_note=_cost_text(cost) if cost is not None else "",
        advice=gettext(ADVICE[cost.advice]) if cost is not None else "",
        model=_model(each, report),
    )


def advice_of(report: ValueReport) -> list[AdviceLine]:
    """Return the advice, what changes something first."""
    section = report.sections.cost
    if section is None:
        return []
    lines = []
    for advice, text in ADVICE.items():
        names = [asset_title(each.kind, each.name, each.title) for each in section.assets if each.advice == advice]
        if names:
            is_change = advice not in UNCHANGED
            lines.append(AdviceLine(gettext(text), gettext(REASONS[advice]), names[:MOST_ROWS], is_change))
    return lines


def most_valuable(report: ValueReport) -> list[ValueRow]:
    """Return the assets that lists lose most without, of those that help."""
    assets, scale = report.sections.assets, Scale(0.0, scale_of(report).most)
    if assets is None:
        return []
    found = [each for each in assets.values if each.kind in KINDS and each.kind != "feature"]
    helping = [each for each in found if each.effect(assets.metric) == "helps"]
    best = sorted(helping, key=lambda each: _order(each, assets.metric))
    return [row_of(each, report, assets.metric, scale, {}) for each in best[:TOP]]


def counts_of(report: ValueReport) -> dict[Effect, int]:
    """Return the number of assets by what the lists show of them, without features."""
    counts: dict[Effect, int] = dict.fromkeys(ALL_EFFECTS, 0)
    if (assets := report.sections.assets) is not None:
        for each in assets.values:
            if each.kind in KINDS and each.kind != "feature":
                counts[each.effect(assets.metric)] += 1
    return counts


def groups_of(overlap: Overlap) -> list[GroupRow]:
    """Return the Shapley values as shares of what all data add, the greatest first."""
    total = overlap.whole.value - overlap.nothing.value
    if total <= 0:
        return []
    values = sorted(overlap.values, key=lambda each: -each.value.value)[:MOST_ROWS]
    shares = [_divided(each.value, total) for each in values]
    least, most = min([0.0, *(each.low for each in shares)]), max([0.0, *(each.high for each in shares)])
    scale = Scale(max(least, -1.0), min(most, 1.0) or 1.0)
    return [
        GroupRow(
            title=group_title(each.name, each.title),
            bar=scale.bar(share),
            value=share_text(share.value),
            interval=interval_text(share),
            alone=share_text(each.alone.value / total),
            last=share_text(each.last.value / total),
        )
        for each, share in zip(values, shares, strict=True)
    ]


def _unmeasured(found: list[AssetValue]) -> list[tuple[str, list[str]]]:
    """Return the names of assets by the reason why they were not measured."""
    reasons: dict[str, list[str]] = {}
    for each in found[:MOST_ROWS]:
        reason = gettext(STATES.get(each.state, EFFECTS["unmeasured"]))
        reasons.setdefault(reason, []).append(asset_title(each.kind, each.name, each.title))
    return [*reasons.items()]


def _order(each: AssetValue, metric: str) -> float:
    loss = each.loss.get(metric)
    return float("inf") if loss is None else -loss.value


def _divided(found: Estimate, by: float) -> Estimate:
    return Estimate(found.value / by, found.low / by, found.high / by)


def _cost_text(cost: AssetCost) -> str:
    """Return what an asset costs: the CPU of a list for sources, of an event for types, and the bytes of others."""
    if cost.cpu_us is not None and cost.kind == "source":
        return gettext("%(number)s µs for a list") % {"number": number_text(cost.cpu_us)}
    return "" if cost.bytes is None else bytes_text(cost.bytes)


def _model(each: AssetValue, report: ValueReport) -> str:
    """Return the model of a row if models were retrained, but not for it."""
    is_mixed = report.model.get("ranker") == RETRAINED and each.kind not in ("source", "feature") and bool(each.loss)
    return gettext("frozen model") if is_mixed and each.model != RETRAINED else ""
