"""The report on the value of data: what `intentstream value` writes as `value.json`. No I/O.

`schema` and `version` identify the format. Fields are added, never renamed or removed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from training.evaluation.report import Estimate

SCHEMA = "intentstream-value"
VERSION = 1
FROZEN: Final = "frozen"
RETRAINED: Final = "retrained"
BUNDLE: Final = "bundle"


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


class ValueReport(msgspec.Struct, frozen=True, kw_only=True):
    """The whole result. `sections` has one entry for each section, by name; see `training.value`.

    `plan` says which part of the log was replayed, and why.
    """

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
    sections: Mapping[str, object]


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """The sessions of a group of shoppers, of a producer, or of one kind.

    Attributes:
        by: what groups them: sessions of the shopper, items, robots or producer.
        name: the group.
        sessions, shoppers: numbers of them.
        share: the group's part of the value of all sessions.
        per_session: the mean value of a session, with its interval over shoppers.
        negative: share of the sessions with a value below 0.
    """

    by: str
    name: str
    sessions: int
    shoppers: int
    share: float
    per_session: Estimate
    negative: float


class Age(msgspec.Struct, frozen=True, kw_only=True):
    """The value of sessions of an age: from `since` up to, and without, `until` days; None without an end.

    `share` is that of all value. `uses` is the share of all neighbours that had this age.
    """

    since: int
    until: int | None
    share: float
    uses: float


class Consent(msgspec.Struct, frozen=True, kw_only=True):
    """The value of one shopper's data.

    Attributes:
        shoppers: number of shoppers with a session of at least two items.
        mean: value of a shopper's sessions, with its interval.
        quantiles: the value by quantile.
        top: part of the value of all sessions that the tenth of the shoppers with the highest values brings.
        negative: share of the shoppers with a value below 0.
    """

    shoppers: int
    mean: Estimate
    quantiles: Mapping[str, float]
    top: float
    negative: float


class Removal(msgspec.Struct, frozen=True, kw_only=True):
    """MRR on later lists without some sessions minus with them, over the same lists.

    `by`: the order from which the sessions were taken. `whole`: the lists of the whole system without the events of
    these sessions; otherwise those of the source alone.
    """

    by: str
    share: float
    sessions: int
    whole: bool
    lists: int
    before: float
    change: Estimate
    relative: float | None


class Planted(msgspec.Struct, frozen=True, kw_only=True):
    """Planted bad sessions, and how many of the k sessions with the lowest values are among them.

    `precision` and `by_leaving_out` are by k: of the order by Shapley value, and by leave-one-out value.
    `chance` is the share of planted sessions among all. `shown` are the precisions of the plot.
    """

    name: str
    sessions: int
    chance: float
    precision: Mapping[str, float]
    by_leaving_out: Mapping[str, float]
    shown: list[float]
    shown_by_leaving_out: list[float]


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A session of the lowest value: a candidate for removal."""

    session_id: str | None
    began: str
    items: int
    lists: int
    value: float


class SessionValues(msgspec.Struct, frozen=True, kw_only=True):
    """The value of sessions.

    Attributes:
        lists: number of lists that sessions are valued by.
        valued_since, tested_since: times of the first of these lists, and of the first list of the test.
        sessions: number of sessions of at least two items before the test.
        used: share of them that were a neighbour at least once.
        negative: share of them with a value below 0.
        neighbours: K.
        utility: mean share of a list's next items that its neighbours hold: the sum of all values divided by the lists.
        agreement: rank correlation with the leave-one-out values of V-SkNN's MRR, over the sessions used often.
        stable: rank correlation between the values from either half of the shoppers' lists; of leave-one-out as well.
    """

    lists: int
    valued_since: str
    tested_since: str
    sessions: int
    used: float
    negative: float
    neighbours: int
    utility: float
    agreement: float
    stable: Mapping[str, float]
    consent: Consent
    groups: list[Group]
    ages: list[Age]
    removals: list[Removal]
    planted: list[Planted]
    candidates: list[Candidate]
