"""The cases of each protocol: when a list is asked for, and what the shopper then turned to. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from inference.evaluation.lists import Targets
from streams.errors import ConfigurationError
from streams.evaluation.log import SEARCH, Act, Log

POSITIONS = 10
"""Places of a session after which the next item is asked for."""
GRADES = {"view": 1.0, "click": 1.0, "cart": 2.0, "purchase": 3.0}
"""How much an action after a search says about the search."""

Integers = npt.NDArray[np.int64]


class Case(NamedTuple):
    """A list that is asked for at an interaction, and the items that count, each with its grade.

    `arrival`: it is asked for before the interaction is known, else right after it.
    """

    at: int
    arrival: bool
    targets: dict[int, float]
    position: int


@dataclass(frozen=True, slots=True, eq=False)
class Cases:
    """n cases in order of time.

    Attributes:
        at: the interaction at which the list is asked for, (n,).
        arrival: whether that is before it is known, bool: of the protocol as a whole.
        targets: what counts.
        position: items that the session had come to, (n,).
        user, session: of the shopper, (n,).
        known: interactions of the shopper before this session, (n,).
        seen: how often each target was acted on before, by anybody, (m,).
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


def next_item(acts: Sequence[Act], start: int) -> list[Case]:
    """After each of a session's first POSITIONS items: the next item that the session comes to is the target.

    What it had come to before is no discovery, and no list shows it.
    """
    latest: dict[int, tuple[int, int]] = {}
    found = []
    for number, act in enumerate(acts):
        if not act.first:
            continue
        before, position = latest.get(act.session, (-1, 0))
        if start <= before and position <= POSITIONS:
            found.append(Case(before, arrival=False, targets={act.item: 1.0}, position=position))
        latest[act.session] = (number, position + 1)
    return sorted(found, key=lambda case: case.at)


def next_basket(acts: Sequence[Act], start: int) -> list[Case]:
    """When a known shopper comes again, before he does anything: the items of his session are the targets.

    In a log with purchases those that he bought, and sessions without a purchase do not count.
    """
    only_bought = any(act.bought for act in acts)
    baskets: defaultdict[int, dict[int, float]] = defaultdict(dict)
    for act in acts:
        if act.item != SEARCH and (act.bought or not only_bought):
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
    """After each search: what the session turns to before the next search counts, by its strongest action.

    `kinds` are the types of the interactions. Items that the session had come to before do not count.
    """
    asked: dict[int, Case] = {}
    seen: defaultdict[int, set[int]] = defaultdict(set)
    found = []
    for number, (act, kind) in enumerate(zip(acts, kinds, strict=True)):
        if act.item == SEARCH:
            asked[act.session] = Case(number, arrival=False, targets={}, position=len(seen[act.session]))
            if number >= start:
                found.append(asked[act.session])
            continue
        case = asked.get(act.session)
        if case is not None and (act.item in case.targets or act.item not in seen[act.session]):
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
        ConfigurationError: there are none.
    """
    found = list(PROTOCOLS[protocol](log, acts, start))
    if not found:
        wanted = {
            "next-item": "a session of two items or more",
            "next-basket": "a shopper who comes back",
            "search": "a search that an action on an item follows",
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
    """Count what each case's shopper did before the session began."""
    before: dict[int, int] = {}
    done: defaultdict[int, int] = defaultdict(int)
    for act in acts:
        before.setdefault(act.session, done[act.user])
        done[act.user] += 1
    return np.array([before[acts[case.at].session] for case in found], dtype=np.int64)


def _seen(acts: Sequence[Act], found: Sequence[Case]) -> Integers:
    """Count what was done with each target before its case, by anybody."""
    counts: defaultdict[int, int] = defaultdict(int)
    seen: list[int] = []
    number = 0
    for case in found:
        end = case.at if case.arrival else case.at + 1
        for act in acts[number:end]:
            counts[act.item] += 1
        number = end
        seen += [counts[item] for item in case.targets]
    return np.array(seen, dtype=np.int64)
