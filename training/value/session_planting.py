"""Plants bad sessions among the real ones, and looks for them among the lowest values. No I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from inference.types import SessionItems
from training.value.session_kernels import Floats
from training.value.session_log import SHOPPER_MARK, SessionLog
from training.value.session_pass import leave_one_out, values_of
from training.value.session_report import Planted
from training.value.session_study import Integers, SessionStudy

SHARE = 0.05
"""Planted sessions, as a share of those before the test."""
ROBOTS, PUSHED, FEWEST, MOST = 50, 10, 5, 15
"""Click spam: ROBOTS shoppers push PUSHED items, each session with FEWEST to MOST other items, which are popular."""
AT = (20, 50, 100, 200)
POINTS = 50
"""Points of the plot."""


def planted(study: SessionStudy) -> Iterator[Planted]:
    """Yield how well each kind of bad session is found."""
    lists = len(study.valued.shoppers)
    advance = study.start_phase("Looking for planted sessions", 4 * lists)
    for name, (log, bad) in {"shuffled sessions": shuffled(study), "click spam": click_spam(study)}.items():
        values, left_out = values_of(log, progress=advance).values, leave_one_out(log, progress=advance)
        every = np.union1d(study.known, bad)
        at = [k for k in AT if k < len(bad)] + [len(bad)]
        by_value, by_leaving_out = (precisions(order[every], every, bad) for order in (values, left_out))
        points = np.unique(np.linspace(1, min(2 * len(bad), len(every)), POINTS).astype(np.int64))
        yield Planted(
            name=name,
            sessions=len(bad),
            chance=len(bad) / len(every),
            precision={str(k): float(by_value[k - 1]) for k in at},
            by_leaving_out={str(k): float(by_leaving_out[k - 1]) for k in at},
            shown=by_value[points - 1].tolist(),
            shown_by_leaving_out=by_leaving_out[points - 1].tolist(),
        )


def precisions(values: Floats, sessions: Integers, bad: Integers) -> Floats:
    """Return the share of bad ones among the k sessions of the lowest values, for each k from 1 on."""
    found = np.isin(sessions[np.argsort(values, kind="stable")], bad)
    return np.asarray(np.cumsum(found) / np.arange(1, len(found) + 1), dtype=np.float64)


def shuffled(study: SessionStudy) -> tuple[SessionLog, Integers]:
    """Return the log with some sessions whose items were exchanged at random, and the numbers of these sessions.

    Items keep their popularity, and sessions their lengths, times and shoppers. Only what was bought together is lost.
    """
    random = np.random.default_rng(study.seed)
    final = _final(study.valued.records)
    bad = np.sort(random.choice(study.known, max(round(SHARE * len(study.known)), 1), replace=False))
    pool = [item for session in bad.tolist() for item in final[session].items]
    dealt = iter(random.permutation(len(pool)).tolist())
    changed = [
        SessionItems(
            key=session,
            at_ms=final[session].at_ms,
            items=tuple(dict.fromkeys(pool[next(dealt)] for _ in final[session].items)),
            shopper=final[session].shopper,
        )
        for session in bad.tolist()
    ]
    return study.valued.with_records([*study.valued.without(bad).records, *changed], study.valued.sessions), bad


def click_spam(study: SessionStudy) -> tuple[SessionLog, Integers]:
    """Return the log with sessions of robots that click an item to push beside popular ones, and their numbers.

    The pushed items are of the less popular half. The system's limit of events per minute does not stop these robots:
    each is slow.
    """
    random = np.random.default_rng(study.seed)
    final = _final(study.valued.records)
    counts = Counter(item for record in final.values() for item in record.items)
    items = [item for item, _ in counts.most_common()]
    shares = np.array([counts[item] for item in items]) / sum(counts.values())
    half = max(len(items) // 2, 1)
    pushed = [items[-1 - place] for place in random.choice(half, min(PUSHED, half), replace=False).tolist()]
    times = [final[session].at_ms for session in random.choice(study.known, round(SHARE * len(study.known)) or 1)]
    first, spam = study.valued.sessions, []
    for number, at_ms in enumerate(times):
        size = min(int(random.integers(FEWEST, MOST + 1)), len(items))
        own = [items[place] for place in random.choice(len(items), size, replace=False, p=shares).tolist()]
        own.insert(int(random.integers(size + 1)), pushed[number % len(pushed)])
        shopper = number % ROBOTS & SHOPPER_MARK
        spam.append(SessionItems(key=first + number, at_ms=at_ms, items=tuple(dict.fromkeys(own)), shopper=shopper))
    log = study.valued.with_records([*study.valued.records, *spam], first + len(spam))
    return log, np.arange(first, first + len(spam))


def _final(records: Sequence[SessionItems]) -> dict[int, SessionItems]:
    """Return the last state of each session."""
    return {record.key: record for record in records}
