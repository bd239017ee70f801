"""The actions of a shop's shoppers as arrays, and the examples that the sequence model learns from. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inference.queries import ACTIONS
from training.log import SEARCH, Log

WINDOW = 64
"""Actions of a training sequence."""
IN_BASKET = 20
"""Targets of one example at most: some baskets have hundreds of items at one time."""

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Histories:
    """n actions on items of the catalogue, shopper by shopper, each shopper's in order of time.

    Attributes:
        item: numbers of the items, int64 (n,).
        action: places in ACTIONS, int64 (n,).
        at_ms: times, int64 (n,).
        session: numbers of the sessions, int64 (n,).
        position: places of the actions in the log, int64 (n,), ascending for each shopper.
        starts: shopper u has the actions `starts[u]:starts[u + 1]`, int64 (shoppers + 1,).
        items: number of items in the catalogue.
    """

    item: Integers
    action: Integers
    at_ms: Integers
    session: Integers
    position: Integers
    starts: Integers
    items: int

    def __len__(self) -> int:
        return len(self.item)

    def before(self, end: int) -> Histories:
        """Return the actions before the interaction `end` of the log."""
        return self.where(self.position < end)

    def where(self, kept: npt.NDArray[np.bool_]) -> Histories:
        """Return some of the actions; `kept` says which, (n,)."""
        # `number[i]` counts the kept actions before i, so it maps the old starts to the new ones.
        number = np.concatenate([[0], np.cumsum(kept)]).astype(np.int64)
        return Histories(
            self.item[kept],
            self.action[kept],
            self.at_ms[kept],
            self.session[kept],
            self.position[kept],
            number[self.starts],
            self.items,
        )


def histories(log: Log) -> Histories:
    """Return the actions of a log. Searches, and items that the catalogue lacks, are left out."""
    known = np.flatnonzero((log.item != SEARCH) & (log.item < log.catalogue))
    # By shopper, then by place in the log, which is in order of time.
    order = known[np.lexsort((known, log.user[known]))]
    places = {name: place for place, name in enumerate(ACTIONS)}
    action = np.array([places[log.interactions[at].type] for at in order.tolist()], dtype=np.int64)
    sizes = np.bincount(log.user[order], minlength=int(log.user.max()) + 1)
    return Histories(
        item=log.item[order].astype(np.int64),
        action=action,
        at_ms=log.at_ms[order],
        session=log.session[order].astype(np.int64),
        position=order.astype(np.int64),
        starts=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        items=log.catalogue,
    )


@dataclass(frozen=True, slots=True, eq=False)
class Targets:
    """The items that each action's list should contain.

    Target j is `item[j]`, for the list after action `action[j]`, with weight `weight[j]`. The weights of an action have
    the sum 1. `pause_ms[a]` is the time from action a to the list: 0 if the list follows the action at once, more if
    the shopper arrives for the next session; int64 (n,).
    """

    action: Integers
    item: Integers
    weight: npt.NDArray[np.float32]
    pause_ms: Integers


def targets(given: Histories, horizon: int) -> Targets:
    """Return the targets of every action that is the last of its shopper at its time.

    They are the next `horizon` new items of the session, the first with weight 1, the second with 1/2 … Items of one
    time have no order and share their weights. After the last action of a session they are the first items of the next
    session, which may be items of earlier sessions.
    """
    actions: list[int] = []
    items: list[int] = []
    weights: list[float] = []
    pause_ms = np.zeros(len(given), dtype=np.int64)
    item, at_ms, session = given.item.tolist(), given.at_ms.tolist(), given.session.tolist()
    for start, end in zip(given.starts[:-1].tolist(), given.starts[1:].tolist(), strict=True):
        first = _first_places(session, item, start, end)
        for at in range(start, end - 1):
            # Actions of one time have no order, so only the last of them has a list: it comes after all of them.
            if at_ms[at + 1] == at_ms[at]:
                continue
            following = _following(at, end, (item, at_ms, session), first, horizon)
            if following and session[at + 1] != session[at]:
                pause_ms[at] = at_ms[at + 1] - at_ms[at]
            # Each list counts once, however many targets it has.
            total = sum(weight for _, weight in following)
            for target, weight in following:
                actions.append(at)
                items.append(target)
                weights.append(weight / total)
    return Targets(
        np.array(actions, dtype=np.int64),
        np.array(items, dtype=np.int64),
        np.array(weights, dtype=np.float32),
        pause_ms,
    )


def _first_places(session: Sequence[int], item: Sequence[int], start: int, end: int) -> set[int]:
    """Return the actions of a shopper that are the first of their session on their item."""
    seen: set[tuple[int, int]] = set()
    first = set()
    for at in range(start, end):
        key = session[at], item[at]
        if key not in seen:
            seen.add(key)
            first.add(at)
    return first


def _following(
    at: int, end: int, columns: tuple[Sequence[int], Sequence[int], Sequence[int]], first: set[int], horizon: int
) -> list[tuple[int, float]]:
    """Return the items that follow an action, with their weights."""
    item, at_ms, session = columns
    own = session[at + 1]
    found: list[tuple[int, float]] = []
    rank = 0
    last_ms = None
    for other in range(at + 1, end):
        if session[other] != own or len(found) == IN_BASKET:
            break
        if other not in first:
            continue
        # Items of one time share the rank of the first of them.
        if at_ms[other] != last_ms:
            rank = len(found) + 1
            last_ms = at_ms[other]
            if rank > horizon:
                break
        found.append((item[other], 1 / rank))
    return found
