"""The section of a value report on the live value model. No I/O."""

from __future__ import annotations

import msgspec

from streams.value.estimates import Estimate


class Tenth(msgspec.Struct, frozen=True, kw_only=True):
    """A tenth of the sessions by predicted value: the mean prediction, and what they were worth on later days.

    Both are relative to the mean value of all sessions when the model was fitted.
    """

    predicted: float
    observed: Estimate


class Retention(msgspec.Struct, frozen=True, kw_only=True):
    """MRR of later lists if a table of `capacity` sessions keeps those of a policy, minus that of newest-first.

    `life_days` is the chosen life of the priorities, None for policies without one.
    """

    policy: str
    capacity: int
    sessions: int
    life_days: float | None
    lists: int
    newest_first: float
    change: Estimate
    relative: float | None


class LiveValue(msgspec.Struct, frozen=True, kw_only=True):
    """The live value model.

    Attributes:
        sessions: sessions that it was fitted to.
        weights: weight of each standardised feature, relative to the mean value of a session.
        correlation: rank correlation of predictions and values on later days.
        tenths: calibration on later days.
        by_age: value of a session by its age in days, relative to its first day.
        retention: the comparisons with newest-first.
        is_better: whether the predicted value beat newest-first at each capacity that was measured.
    """

    sessions: int
    weights: dict[str, float]
    correlation: float
    tenths: list[Tenth]
    by_age: dict[str, float]
    retention: list[Retention]
    is_better: bool
