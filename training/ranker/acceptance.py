"""Whether a new ranker may replace the present one: their paired difference on held-out lists, by kind of list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np

from inference.errors import InferenceError
from inference.pipeline import ScoresFeatures
from training.bootstrap import interval, resampled_means
from training.ranker.examples import Examples
from training.ranker.quality import K, per_list
from training.ranker.tables import Figures

TOLERANCE = 0.005
"""A mean loss of NDCG@20 that is accepted. Rankers of two seeds differ by less."""
DETECTED = 0.02
"""The data are too few if a loss of NDCG@20 greater than this cannot be excluded."""
LEAST_LISTS = 30
"""Fewer lists say nothing: an interval by bootstrap is then too narrow."""


class WorseRanker(InferenceError):  # noqa: N818 - describes the outcome
    """A new ranker is worse than the present one."""


@dataclass(frozen=True, slots=True)
class Difference:
    """The new ranker minus the present one in NDCG@20, over the held-out lists of one kind with a relevant item.

    Attributes:
        kind: browsing, searching or arriving.
        lists: number of lists.
        present: mean NDCG@20 of the present ranker.
        value: mean difference.
        low, high: the ends of its 95% interval, by bootstrap over shoppers.
    """

    kind: str
    lists: int
    present: float
    value: float
    low: float
    high: float

    @property
    def is_worse(self) -> bool:
        """Whether the new ranker is certainly worse, and by more than the tolerance."""
        return self.lists >= LEAST_LISTS and self.high < 0 and self.value < -TOLERANCE

    @property
    def needed(self) -> int:
        """The number of lists that would exclude a loss of DETECTED. An interval shrinks with the root of its lists."""
        if self.lists < LEAST_LISTS:
            return LEAST_LISTS
        return ceil(self.lists * ((self.high - self.low) / 2 / DETECTED) ** 2)

    @property
    def is_uncertain(self) -> bool:
        """Whether the lists are too few to exclude a loss greater than DETECTED."""
        return not self.is_worse and (self.lists < LEAST_LISTS or self.low < -DETECTED) and self.needed > self.lists


def differences(late: Examples, present: ScoresFeatures, new: ScoresFeatures, seed: int = 0) -> list[Difference]:
    """Compare two rankers on held-out lists. `new` must not be fitted to them.

    Raises:
        ScoringError: a ranker fails.
    """
    found = []
    for kind, lists in late.kinds().items():
        judged = lists.relevant > 0
        features = np.asarray(lists.features, dtype=np.float32)
        before, after = (per_list(each.score(features), *lists.truth, k=K).ndcg[judged] for each in (present, new))
        change = after - before
        low, high = interval(resampled_means(change[:, None], lists.clusters[judged], seed)[:, 0])
        found.append(Difference(kind, len(change), float(before.mean()), float(change.mean()), low, high))
    return found


def comparison(found: Sequence[Difference]) -> Figures:
    """Return the differences, with a line for each kind with too few lists."""
    rows: list[tuple[str, ...]] = []
    for each in found:
        verdict = "worse" if each.is_worse else "too few lists" if each.is_uncertain else ""
        verdict = verdict or ("better" if each.low > 0 else "no worse")
        change = f"{each.value:+.4f} [{each.low:+.4f}, {each.high:+.4f}]"
        rows.append((each.kind, f"{each.lists:,}", f"{each.present:.4f}", change, verdict))
    return Figures(
        note=f"NDCG@{K} on the held-out lists, minus the present ranker, paired, 95%.",
        header=("", "lists", "present", "difference", ""),
        rows=rows,
        lines=[
            f"{each.kind}: too few data. {each.lists:,} held-out lists cannot exclude a loss above {DETECTED:g}; that "
            f"needs about {each.needed:,}."
            for each in found
            if each.is_uncertain
        ],
    )


def refusal(found: Sequence[Difference], *, is_known: bool = False) -> str | None:
    """Return why the new ranker must not replace the present one, None if it may.

    `is_known`: the present ranker was fitted to some of the events, so it may know the held-out lists.
    """
    worse = [f"{each.kind} {each.value:+.4f} [{each.low:+.4f}, {each.high:+.4f}]" for each in found if each.is_worse]
    if not worse:
        return None
    known = ". The present ranker was fitted to events of this log, so its figures may be too high" if is_known else ""
    return f"required a ranker that is no worse than the present one, got NDCG@{K} {', '.join(worse)}{known}"
