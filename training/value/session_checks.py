"""Checks of the values of sessions: planted bad sessions, and later lists without the worst and the best sessions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from inference.types import SessionItems
from streams.replay import Replay
from streams.value.sessions import WORST, Planted, Removal
from training.evaluation.metrics import at_k, gains
from training.evaluation.system_pass import item_numbers
from training.phases import Progress
from training.value.lists import ListPass, full_ranking, moments
from training.value.sections import RunContext
from training.value.session_kernels import Floats, Integers
from training.value.session_log import SHOPPER_MARK, SessionLog
from training.value.session_study import SessionStudy, leave_one_out, mean_of, ranks_of, reciprocal_ranks, values_of
from training.value.study import Part, Scope
from training.value.variants import RemainingEvents

WORST_SHARE = 0.01
"""Share of the sessions that are named as candidates for removal."""
REPLAYED_SHARE = 0.4
"""Share of the time that is left in which the whole system may be replayed without the worst sessions."""
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
    # Each item of the pool is dealt once, so each keeps its number of sessions, up to repeats within one.
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


LEFT_OUT, RANDOM, BEST = "worst by leave-one-out", "random", "best by Shapley value"
SHARES = (0.01, 0.05)
"""Shares of the sessions that are removed."""


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
        yield removal((by, share), len(sessions), Ranks(before, after, study.tested.shoppers), study.seed)


class Ranks(NamedTuple):
    """Reciprocal ranks of the same lists with all sessions and without some, (n,), and the shoppers of the lists."""

    before: Floats
    after: Floats
    shoppers: Integers


def removal(row: tuple[str, float], sessions: int, ranks: Ranks, seed: int, *, whole: bool = False) -> Removal:
    """Return the effect of one removal of `sessions` sessions: the order that they are from, and their share."""
    change = mean_of(ranks.after - ranks.before, ranks.shoppers, seed)
    level = float(ranks.before.mean())
    return Removal(
        by=row[0],
        share=row[1],
        sessions=sessions,
        whole=whole,
        lists=len(ranks.before),
        before=level,
        change=change,
        relative=change.value / level if level > 0 else None,
    )


def whole_system_removals(context: RunContext, study: SessionStudy) -> Iterator[Removal]:
    """Yield the effects on the lists of the whole system of removing all events of the worst and of random sessions."""
    scope = context.full_scope
    part = context.study.part(scope)
    needed_s = 3 * context.costs.seconds(Scope(len(part.log), len(part.cases)))
    if needed_s > REPLAYED_SHARE * context.remaining_s():
        context.note("The whole system was not replayed without the worst sessions: it takes too long (--minutes)")
        return
    advance = context.start_phase("Replays without sessions", 3 * len(part.log))
    nothing = np.zeros(0, dtype=np.int64)
    before = _reciprocal_ranks(context, part, nothing, advance)
    for by in (WORST, RANDOM):
        sessions = chosen(study, by, WORST_SHARE)
        after = _reciprocal_ranks(context, part, sessions, advance)
        ranks = Ranks(before, after, part.cases.user)
        yield removal((by, WORST_SHARE), len(sessions), ranks, study.seed, whole=True)


def _reciprocal_ranks(context: RunContext, part: Part, sessions: Integers, advance: Progress) -> Floats:
    """Replay the system without the events of some sessions, and return the reciprocal rank of each case."""
    study, log = context.study, part.log
    numbers = np.flatnonzero(~np.isin(log.session, sessions))
    events = RemainingEvents([log.interactions[number] for number in numbers.tolist()], numbers)
    replay = Replay(study.settings, study.bundle, study.records())
    listed = ListPass(replay, item_numbers(replay, log), study.options.k, full_ranking).run(
        events, moments(log, part.cases, events), 0, advance
    )
    targets = part.cases.targets
    return at_k(gains(listed.lists[""], targets), targets, study.options.k)["mrr"]
