"""The section of a value report on sessions, shoppers and producers. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from streams.value.estimates import Estimate

WORST: Final = "worst by Shapley value"
"""The order by which the sessions of the lowest values are removed first."""


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
