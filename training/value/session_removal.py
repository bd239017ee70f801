"""Removes sessions, and compares the lists of later days with those of all sessions. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from training.bootstrap import resampled_means
from training.evaluation.estimates import estimate
from training.value.session_kernels import Floats
from training.value.session_pass import ranks_of, reciprocal_ranks
from training.value.session_report import Removal
from training.value.session_study import Integers, SessionStudy

WORST, LEFT_OUT, RANDOM, BEST = "worst by Shapley value", "worst by leave-one-out", "random", "best by Shapley value"
SHARES = (0.01, 0.05)
"""Shares of the sessions that are removed."""

ReciprocalRanks = Callable[[Integers], Floats]
"""Returns the reciprocal rank of each list of the test without some sessions."""


def chosen(study: SessionStudy, by: str, share: float) -> Integers:
    """Return the sessions that are removed: a share of those known before the test, at least one."""
    number = max(round(share * len(study.known)), 1)
    if by == RANDOM:
        return np.sort(np.random.default_rng(study.seed).choice(study.known, number, replace=False))
    values = study.left_out if by == LEFT_OUT else study.tally.values
    order = study.known[np.argsort(values[study.known], kind="stable")]
    return order[-number:] if by == BEST else order[:number]


def removals(study: SessionStudy) -> Iterator[Removal]:
    """Yield the effects of removals on the lists of the source alone."""
    rows = [(by, share) for share in SHARES for by in (WORST, LEFT_OUT, RANDOM, BEST)]
    advance = study.start_phase("Removing sessions", (len(rows) + 1) * len(study.tested.shoppers))
    before = reciprocal_ranks(ranks_of(study.tested, progress=advance))
    for by, share in rows:
        sessions = chosen(study, by, share)
        after = reciprocal_ranks(ranks_of(study.tested.without(sessions), progress=advance))
        yield removal(study, (by, share), len(sessions), before, after, study.tested.shoppers)


def removal(
    study: SessionStudy, row: tuple[str, float], sessions: int, before: Floats, after: Floats, shoppers: Integers,
    *, whole: bool = False,
) -> Removal:  # fmt: skip
    """Return the effect of one removal, from the reciprocal ranks of the same lists."""
    change = estimate(
        float((after - before).mean()), resampled_means((after - before)[:, None], shoppers, study.seed)[:, 0]
    )
    level = float(before.mean())
    return Removal(
        by=row[0],
        share=row[1],
        sessions=sessions,
        whole=whole,
        lists=len(before),
        before=level,
        change=change,
        relative=change.value / level if level > 0 else None,
    )
