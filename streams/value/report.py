"""The report on the value of data: `value.json`, which `intentstream value` writes and workers show. No I/O.

`schema` and `version` identify the format. Fields are added, never renamed or removed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, get_args

import msgspec

from streams.value.costs import Costs
from streams.value.estimates import Estimate
from streams.value.live import LiveValue
from streams.value.sessions import SessionValues

SCHEMA = "intentstream-value"
VERSION = 1
FROZEN: Final = "frozen"
RETRAINED: Final = "retrained"
BUNDLE: Final = "bundle"
Effect = Literal["helps", "harms", "undecided", "unused", "unmeasured"]
"""The effect that lists show: the interval of the loss is above 0, below 0, or includes it; no list changed."""
EFFECTS: tuple[Effect, ...] = get_args(Effect)


class Data(msgspec.Struct, frozen=True, kw_only=True):
    """The events that the study replayed. Times are RFC 3339.

    Of the whole log are `producers`, the number of events by producer, and `duplicates`, those of them that repeat an
    earlier event under another event id.
    """

    items: int
    events: int
    shoppers: int
    sessions: int
    since: str
    tested_since: str
    until: str
    producers: Mapping[str, int]
    duplicates: Mapping[str, int]


class AssetValue(msgspec.Struct, frozen=True, kw_only=True):
    """The value of one asset: what the lists lose without it, paired over the same cases.

    Attributes:
        kind: source, group (of features), feature, type or producer (of events), field, context, attribute or history.
        name: the asset within its kind.
        title: the asset in words.
        state: measured; absent if no event or item has it; not read if the system gives it no meaning.
        model: frozen if the lists with and without it are of one ranker, retrained if each has a ranker of its own;
            bundle if the events without it have no list to fit a ranker to, so that only these have the bundle's.
        size: number of events or items that have it; None for sources and features.
        days: length of a period of history, in days.
        cases: number of lists.
        whole, without: the primary metric with all data, and without the asset.
        loss: `whole` minus `without`, by metric. Positive: the asset helps.
        relative: the loss in the primary metric divided by `whole`.
    """

    kind: str
    name: str
    title: str
    state: Literal["measured", "absent", "not read"] = "measured"
    model: Literal["frozen", "retrained", "bundle"] = "frozen"
    size: int | None = None
    days: float | None = None
    cases: int = 0
    whole: Estimate | None = None
    without: Estimate | None = None
    loss: Mapping[str, Estimate] = {}
    relative: Estimate | None = None

    def effect(self, metric: str) -> Effect:
        """Return what the lists show of the asset, by its loss in a metric."""
        loss = self.loss.get(metric)
        if loss is None:
            return "unmeasured"
        if loss.low == loss.high == 0.0:
            return "unused"
        return "helps" if loss.low > 0 else "harms" if loss.high < 0 else "undecided"


class Assets(msgspec.Struct, frozen=True, kw_only=True):
    """The values of single assets.

    Attributes:
        events, cases: size of the part of the log.
        metric: the primary metric.
        k: length of the lists.
        whole: every metric with all data.
        values: a value of each asset.
    """

    events: int
    cases: int
    metric: str
    k: int
    whole: Mapping[str, Estimate]
    values: list[AssetValue]


class ShapleyValue(msgspec.Struct, frozen=True, kw_only=True):
    """The Shapley value of one group of assets in the primary metric.

    `value` has the interval over shoppers, with the same orders; `error` is the standard error from the sampling of
    orders. `alone` is its worth without the others, `last` what is lost if only it is missing; between the two lies how
    much it overlaps with others. `metrics` are the values in the other metrics. `running` is the value after each pair
    of orders.
    """

    name: str
    title: str
    value: Estimate
    error: float
    alone: Estimate
    last: Estimate
    metrics: Mapping[str, Estimate]
    running: list[float]


class Overlap(msgspec.Struct, frozen=True, kw_only=True):
    """Shapley values of groups of assets.

    Attributes:
        events, cases: size of the part of the log.
        metric: the primary metric.
        whole, nothing: its value with all groups, and with none.
        values: a value of each group.
        gap: the sum of all values minus (`whole` − `nothing`): 0 but for orders that were cut short.
        pairs: antithetic pairs of orders.
        coalitions: distinct sets of groups that were replayed.
        cut: share of the steps that were left out because orders were cut short.
        tolerance: orders are cut short at this distance from the whole, in the metric.
        model: frozen or retrained.
    """

    events: int
    cases: int
    metric: str
    whole: Estimate
    nothing: Estimate
    values: list[ShapleyValue]
    gap: float
    pairs: int
    coalitions: int
    cut: float
    tolerance: float
    model: Literal["frozen", "retrained"]


class Sections(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The sections of a report, in their order: None, and absent in JSON, if it was not measured."""

    assets: Assets | None = None
    cost: Costs | None = None
    sessions: SessionValues | None = None
    live: LiveValue | None = None
    overlap: Overlap | None = None


class ValueReport(msgspec.Struct, frozen=True, kw_only=True):
    """The whole result. `plan` says which part of the log was replayed, and why."""

    schema: str = SCHEMA
    version: int = VERSION
    protocol: str
    measured_at: str
    verdict: str
    data: Data
    model: Mapping[str, str | float]
    options: Mapping[str, str | int | float | bool | None]
    settings: Mapping[str, object]
    plan: list[str]
    replays: Mapping[str, int | float]
    sections: Sections
