"""Small lists of acts, for the tests of cases and baselines."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from training.evaluation.baseline_pass import Sessions
from training.evaluation.baselines.base import Baseline, Moment
from training.log import SEARCH, Act

MINUTE = 60_000


def acts_of(*rows: tuple[int, int, int], bought: bool = True) -> list[Act]:
    """Return acts from rows of (user, session, item), a minute apart."""
    seen: set[tuple[int, int]] = set()
    acts = []
    for number, (user, session, item) in enumerate(rows):
        first = item != SEARCH and (session, item) not in seen
        seen.add((session, item))
        acts.append(Act(item, user, session, number * MINUTE, bought and item != SEARCH, first, number))
    return acts


def train(baseline: Baseline, acts: Iterable[Act]) -> Baseline:
    """Train a baseline on acts in order, and return it."""
    sessions = Sessions()
    for act in acts:
        baseline.learn(act, sessions.of(act.session))
        sessions.add(act)
    return baseline


def moment(
    session: Sequence[int] = (), *, user: int = 99, at_ms: int = 0, hidden: Sequence[int] | None = None
) -> Moment:
    """Return a moment. By default the session's items are hidden."""
    return Moment(user, at_ms, session, session if hidden is None else hidden)
