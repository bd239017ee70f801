"""Settings of the learning loop, `intentstream learn`."""

from __future__ import annotations

from pydantic import Field

from streams.settings_groups import Group
from streams.settings_values import Count, Duration


class Learner(Group):
    """Refits of the ranker, and the guardrail. Times are event times."""

    every_hours: Duration = Field(24, alias="learn_every_hours", description="Time between two refits of the ranker")
    held_out_hours: Duration = Field(
        24, alias="learn_held_out_hours", description="Length of the newest period, on which a new ranker is judged"
    )
    drift_hours: Duration = Field(
        6, alias="learn_drift_hours", description="Length of the newest period that is compared with the time before it"
    )
    half_life_days: Duration = Field(
        14, alias="learn_half_life_days", description="Half-life of a list's weight in a refit"
    )
    lists_per_day: Count = Field(5000, alias="learn_lists_per_day", description="Lists gathered in a day, at most")
    lists_kept: Count = Field(30_000, alias="learn_lists_kept", description="Newest lists kept on disk")
    least_lists: Count = Field(
        200, alias="learn_least_lists", description="Fewest lists with an action, both to fit and to judge a ranker"
    )
    margin: float = Field(
        0.01, ge=0, le=1, alias="learn_margin", description="Least gain in NDCG@20, as a share of the present ranker's"
    )
    confidence: float = Field(
        0.95, gt=0.5, lt=1, alias="learn_confidence",
        description="Confidence required for a gain, for drift, and for a drop of the click rate",
    )  # fmt: skip
    versions_kept: int = Field(
        5, ge=1, le=1000, alias="learn_versions_kept", description="Newest published versions that stay in the folder"
    )
    guard_hours: Duration = Field(
        48, alias="learn_guard_hours", description="Time after a publication in which the click rate is observed"
    )
    guard_drop: float = Field(
        0.1, ge=0, lt=1, alias="learn_guard_drop", description="Relative drop of the click rate that is accepted"
    )
