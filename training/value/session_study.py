"""The sessions of a log before its test period, their values, and the parts of the log that measure them. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from training.evaluation.cases import cases
from training.log import Log
from training.phases import StartPhase
from training.value.session_kernels import Floats, Tally
from training.value.session_log import SessionLog, session_log
from training.value.session_pass import leave_one_out, values_of

VALUED_AFTER = 0.3
"""Sessions are valued by the lists of the learning period, without this share of it at the beginning."""
MOST_VALUED, MOST_TESTED = 20_000, 10_000
"""Lists that are drawn from the two periods at most."""
OFTEN = 5
"""Uses from which on a session counts in a rank correlation."""

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class SessionStudy:
    """Sessions and lists.

    Attributes:
        log: the log, with its messages.
        whole: all its sessions and lists.
        valued: the lists that sessions are valued by.
        tested: the lists of the test period.
        known: numbers of the sessions with at least two items before the test, (n,).
        owner: the shopper of each session, (sessions,).
        valued_ms, tested_ms: times at which the two periods begin.
        start_phase: starts the progress display of a phase.
        seed: seed of all draws.
    """

    log: Log
    whole: SessionLog
    valued: SessionLog
    tested: SessionLog
    known: Integers
    owner: Integers
    valued_ms: int
    tested_ms: int
    start_phase: StartPhase
    seed: int

    @cached_property
    def tally(self) -> Tally:
        """The Shapley values of all sessions."""
        return values_of(self.valued, progress=self._phase("Values of sessions"))

    @cached_property
    def left_out(self) -> Floats:
        """The leave-one-out values of all sessions."""
        return leave_one_out(self.valued, progress=self._phase("Leaving sessions out"))

    def agreement(self) -> float:
        """Return the rank correlation between both kinds of values, over the sessions that were used OFTEN."""
        often = self.tally.uses >= OFTEN
        return rank_correlation(self.tally.values[often], self.left_out[often])

    def stability(self) -> Mapping[str, float]:
        """Return the rank correlations between the values from the lists of either half of the shoppers."""
        often = self.tally.uses >= OFTEN
        is_even = np.random.default_rng(self.seed).random(int(self.log.user.max()) + 1)[self.valued.shoppers] < 0.5
        halves = [self.valued.take(np.flatnonzero(part)) for part in (is_even, ~is_even)]
        advance = self._phase("Both halves", 2)
        found: dict[str, float] = {}
        for name in ("Shapley", "leave-one-out"):
            one, two = (
                (values_of(half, progress=advance).values if name == "Shapley" else leave_one_out(half, advance))[often]
                for half in halves
            )
            found[name] = rank_correlation(one, two)
        return found

    def _phase(self, name: str, times: int = 1) -> Callable[[int], None]:
        return self.start_phase(name, len(self.valued.shoppers) * times)


def session_study(
    log: Log, protocol: str, test_start: int, start_phase: StartPhase, seed: int, most: int = MOST_VALUED
) -> SessionStudy:
    """Return the study of a log.

    Args:
        log: the log.
        protocol: next-item or next-basket.
        test_start: the first interaction of the test period.
        start_phase: starts the progress display of a phase.
        seed: seed of all draws.
        most: lists of either period at most, if fewer than MOST_VALUED and MOST_TESTED.

    Raises:
        ConfigurationError: there are no cases.
    """
    first = round(VALUED_AFTER * test_start)
    whole = session_log(log, cases(log, log.acts(), protocol, first))
    valued_ms, tested_ms = int(log.at_ms[first]), int(log.at_ms[test_start])
    owner = np.zeros(whole.sessions, dtype=np.int64)
    owner[log.session[::-1]] = log.user[::-1]
    known = np.unique([record.key for record in whole.records if record.at_ms < tested_ms]).astype(np.int64)
    return SessionStudy(
        log=log,
        whole=whole,
        valued=whole.lists(valued_ms, tested_ms).sampled(min(MOST_VALUED, most), seed),
        tested=whole.lists(tested_ms, int(log.at_ms[-1]) + 1).sampled(min(MOST_TESTED, most), seed),
        known=known,
        owner=owner,
        valued_ms=valued_ms,
        tested_ms=tested_ms,
        start_phase=start_phase,
        seed=seed,
    )


def rank_correlation(one: Floats, two: Floats) -> float:
    """Return Spearman's rank correlation; equal values share their mean rank. 0 if one is constant."""
    first, second = _ranks(one), _ranks(two)
    if len(one) < 2 or not first.std() or not second.std():
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])


def _ranks(values: Floats) -> Floats:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return np.asarray((ends - (counts - 1) / 2)[inverse], dtype=np.float64)
