"""The cases of each protocol: the moments of the lists, and the items that the shopper acted on next. No I/O."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from streams.errors import ConfigurationError
from training.evaluation.metrics import Targets
from training.log import SEARCH, Act, Log

POSITIONS = 10
"""Positions of a session after which the next item is predicted."""
GRADES = {"view": 1.0, "click": 1.0, "cart": 2.0, "purchase": 3.0}
"""The grade of an item by the action that follows a search."""

Integers = npt.NDArray[np.int64]


class Case(NamedTuple):
    """A list at an interaction, and its targets, each with its grade.

    `arrival`: the list is made before the interaction is known, otherwise directly after it.
    """

    at: int
    arrival: bool
    targets: dict[int, float]
    position: int


@dataclass(frozen=True, slots=True, eq=False)
class Cases:
    """n cases in order of time.

    Attributes:
        at: the interaction of the list, (n,).
        arrival: whether the list is made before this interaction is known; the same for all cases of a protocol.
        targets: the items that count as hits.
        position: items of the session so far, (n,).
        user, session: numbers of the shopper and the session, (n,).
        known: interactions of the shopper before this session, (n,).
        seen: earlier actions of all shoppers on each target, (m,).
    """

    at: Integers
    arrival: bool
    targets: Targets
    position: Integers
    user: Integers
    session: Integers
    known: Integers
    seen: Integers

    def __len__(self) -> int:
        return len(self.at)

    def take(self, chosen: Integers) -> Cases:
        """Return some of the cases, in their order."""
        # `seen` has no starts of its own, so it is cut by a mark of its cases. This keeps the order of the cases, so
        # `chosen` must ascend: otherwise `seen` and `targets` would belong to different cases.
        sizes = np.diff(self.targets.starts)
        marked = np.zeros(len(self), dtype=np.bool_)
        marked[chosen] = True
        return Cases(
            at=self.at[chosen],
            arrival=self.arrival,
            targets=self.targets.take(chosen),
            position=self.position[chosen],
            user=self.user[chosen],
            session=self.session[chosen],
            known=self.known[chosen],
            seen=self.seen[np.repeat(marked, sizes)],
        )


class _Latest(NamedTuple):
    """The latest items of a session: their time, the number of items so far, and the case that they answer."""

    at_ms: int
    items: int
    end: int
    case: Case | None


def next_item(acts: Sequence[Act], start: int) -> list[Case]:
    """Return the cases of next-item: after each of a session's first POSITIONS items, its next new item is the target.

    An item that the session already has is no discovery, and no list shows it. Items of one time have no order: they
    are targets together, and the next list is made after all of them.
    """
    latest: dict[int, _Latest] = {}
    found = []
    for act in acts:
        if not act.first:
            continue
        before = latest.get(act.session)
        if before is None:
            latest[act.session] = _Latest(act.at_ms, 1, act.end, None)
        # Another item of the same time is a further target of the case before it, and no list lies between the two.
        elif before.at_ms == act.at_ms:
            if before.case is not None:
                before.case.targets[act.item] = 1.0
            latest[act.session] = before._replace(items=before.items + 1)
        else:
            case = None
            # The list is made after the last interaction of the time before, which must be in the test period.
            if start <= before.end and before.items <= POSITIONS:
                case = Case(before.end, arrival=False, targets={act.item: 1.0}, position=before.items)
                found.append(case)
            latest[act.session] = _Latest(act.at_ms, before.items + 1, act.end, case)
    return sorted(found, key=lambda case: case.at)


def next_basket(acts: Sequence[Act], start: int) -> list[Case]:
    """Return the cases of next-basket: at the arrival of a known shopper, the items of the session are the targets.

    If the log has purchases, only the purchased items are targets, and sessions without a purchase do not count.
    """
    only_bought = any(act.bought for act in acts)
    baskets: defaultdict[int, dict[int, float]] = defaultdict(dict)
    for act in acts:
        if act.item != SEARCH and (act.bought or not only_bought):
            # Collected for the whole log first: a case is found at the first act of its session.
            baskets[act.session][act.item] = 1.0
    known: set[int] = set()
    begun: set[int] = set()
    found = []
    for number, act in enumerate(acts):
        if act.session not in begun and act.user in known and number >= start and baskets.get(act.session):
            found.append(Case(number, arrival=True, targets=baskets[act.session], position=0))
        begun.add(act.session)
        known.add(act.user)
    return found


def search(acts: Sequence[Act], start: int, kinds: Sequence[str]) -> list[Case]:
    """Return the cases of search: the items acted on before the session's next search, by their strongest action.

    `kinds` are the types of the interactions. Items that the session already had before do not count, nor those of the
    same time as the search.
    """
    latest: dict[int, Case] = {}
    seen: defaultdict[int, set[int]] = defaultdict(set)
    found = []
    for number, (act, kind) in enumerate(zip(acts, kinds, strict=True)):
        if act.item == SEARCH:
            latest[act.session] = Case(number, arrival=False, targets={}, position=len(seen[act.session]))
            if number >= start:
                found.append(latest[act.session])
            continue
        case = latest.get(act.session)
        is_later = case is not None and act.at_ms > acts[case.at].at_ms
        if case is not None and is_later and (act.item in case.targets or act.item not in seen[act.session]):
            case.targets[act.item] = max(GRADES[kind], case.targets.get(act.item, 0.0))
        seen[act.session].add(act.item)
    return [case for case in found if case.targets]


PROTOCOLS: dict[str, Callable[[Log, Sequence[Act], int], Iterable[Case]]] = {
    "next-item": lambda _, acts, start: next_item(acts, start),
    "next-basket": lambda _, acts, start: next_basket(acts, start),
    "search": lambda log, acts, start: search(acts, start, [each.type for each in log.interactions]),
}


def cases(log: Log, acts: Sequence[Act], protocol: str, start: int) -> Cases:
    """Return the cases of a protocol from the interaction `start` on.

    Raises:
        ConfigurationError: there are no cases.
    """
    found = list(PROTOCOLS[protocol](log, acts, start))
    if not found:
        wanted = {
            "next-item": "a session with at least two items at different times",
            "next-basket": "a shopper with a second session",
            "search": "a search followed by a later action on an item",
        }
        tested = len(log) - start
        raise ConfigurationError(f"{protocol}: required {wanted[protocol]} among the {tested} events tested, got none")
    sizes = [len(case.targets) for case in found]
    at = np.array([case.at for case in found], dtype=np.int64)
    return Cases(
        at=at,
        arrival=found[0].arrival,
        targets=Targets(
            starts=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
            items=np.array([item for case in found for item in case.targets], dtype=np.int32),
            grades=np.array([grade for case in found for grade in case.targets.values()], dtype=np.float32),
        ),
        position=np.array([case.position for case in found], dtype=np.int64),
        user=log.user[at].astype(np.int64),
        session=log.session[at].astype(np.int64),
        known=_earlier(acts, found),
        seen=_seen(acts, found),
    )


def sampled(found: Cases, most: int | None, seed: int) -> Cases:
    """Return at most `most` of the cases, drawn at random, in their order."""
    if most is None or most >= len(found):
        return found
    return found.take(np.sort(np.random.default_rng(seed).choice(len(found), most, replace=False)))


def _earlier(acts: Sequence[Act], found: Sequence[Case]) -> Integers:
    """Count the interactions of each case's shopper before the session."""
    before: dict[int, int] = {}
    done: defaultdict[int, int] = defaultdict(int)
    # The first act of a session fixes the number: a session that goes on adds nothing to what was known before it.
    for act in acts:
        before.setdefault(act.session, done[act.user])
        done[act.user] += 1
    return np.array([before[acts[case.at].session] for case in found], dtype=np.int64)


def _seen(acts: Sequence[Act], found: Sequence[Case]) -> Integers:
    """Count the actions of all shoppers on each target before its case."""
    counts: defaultdict[int, int] = defaultdict(int)
    seen: list[int] = []
    number = 0
    for case in found:
        end = case.at if case.arrival else case.at + 1
        # The cases are in order of time, so each act is counted once, and only before the cases that come after it.
        for act in acts[number:end]:
            counts[act.item] += 1
        number = end
        seen += [counts[item] for item in case.targets]
    return np.array(seen, dtype=np.int64)
