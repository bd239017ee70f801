"""A shop's log as numbers, in order of time: the input of the cases and the baselines. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from inference.types import Item
from streams.contracts.messages import Interaction, ItemAction, Purchase, Search, occurred_ms
from streams.errors import ConfigurationError
from streams.event_log import ends_of_ties
from training.ranker.gather import SessionName, session_names

SEARCH = -1
"""The item number of a search."""

Numbers = npt.NDArray[np.int32]


class Act(NamedTuple):
    """One interaction as numbers. `item` is SEARCH for a search. `first`: the item is new to the session.

    `end` is the last interaction of the shopper at the same time, whose list is made from all of them.
    """

    item: int
    user: int
    session: int
    at_ms: int
    bought: bool
    first: bool
    end: int


@dataclass(frozen=True, slots=True, eq=False)
class Log:
    """n interactions in order of time, with the numbers of their items, shoppers and sessions.

    Attributes:
        interactions: the original messages; none of them if only the numbers are needed.
        item_ids: the id of each item number: first the catalogue's items in their order, then items of events only.
        catalogue: number of items in the catalogue.
        available: whether an item can be recommended, bool (items,).
        item: int32 (n,); SEARCH for a search.
        user, session: numbers in order of appearance, int32 (n,).
        at_ms: int64 (n,).
        bought: whether the interaction is a purchase, bool (n,).
        first: whether the item is new to the session, bool (n,); never for a search.
        end: the last interaction of the shopper at the same time, int64 (n,).
        queries: the text of each search, by the number of its interaction.
    """

    interactions: Sequence[Interaction]
    item_ids: Sequence[str]
    catalogue: int
    available: npt.NDArray[np.bool_]
    item: Numbers
    user: Numbers
    session: Numbers
    at_ms: npt.NDArray[np.int64]
    bought: npt.NDArray[np.bool_]
    first: npt.NDArray[np.bool_]
    end: npt.NDArray[np.int64]
    queries: Mapping[int, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.item)

    def without_messages(self) -> Log:
        """Return the log without its messages, which is small."""
        return replace(self, interactions=())

    def acts(self) -> list[Act]:
        """Return the log row by row, as Python numbers, which are fastest in a loop."""
        columns = (self.item, self.user, self.session, self.at_ms, self.bought, self.first, self.end)
        return list(map(Act, *(column.tolist() for column in columns)))

    @property
    def unknown_share(self) -> float:
        """The share of the actions on items that are not in the catalogue."""
        acted = self.item != SEARCH
        return float((self.item[acted] >= self.catalogue).mean()) if acted.any() else 0.0


def read_log(interactions: Sequence[Interaction], items: Sequence[Item], session_gap_ms: int) -> Log:
    """Return the log in order of time, with all numbers. Interactions of the same moment keep their order.

    Raises:
        ConfigurationError: there are no interactions, or two items have the same id.
    """
    if not interactions:
        raise ConfigurationError("events: required at least one interaction, got none")
    ordered = sorted(interactions, key=occurred_ms)
    numbers = {item.item_id: number for number, item in enumerate(items)}
    if len(numbers) != len(items):
        raise ConfigurationError(f"catalogue: required each item id once, got {len(items) - len(numbers)} repeated ids")
    item = [
        numbers.setdefault(each.item_id, len(numbers)) if isinstance(each, ItemAction) else SEARCH for each in ordered
    ]
    users: dict[str, int] = {}
    sessions: dict[SessionName, int] = {}
    session = [sessions.setdefault(name, len(sessions)) for name in session_names(ordered, session_gap_ms)]
    available = np.zeros(len(numbers), dtype=np.bool_)
    available[: len(items)] = [each.in_stock for each in items]
    return Log(
        interactions=ordered,
        item_ids=tuple(numbers),
        catalogue=len(items),
        available=available,
        item=np.array(item, dtype=np.int32),
        user=np.array([users.setdefault(each.user_id, len(users)) for each in ordered], dtype=np.int32),
        session=np.array(session, dtype=np.int32),
        at_ms=np.array([occurred_ms(each) for each in ordered], dtype=np.int64),
        bought=np.array([isinstance(each, Purchase) for each in ordered], dtype=np.bool_),
        first=_firsts(session, item),
        end=np.array(ends_of_ties(ordered), dtype=np.int64),
        queries={number: each.query for number, each in enumerate(ordered) if isinstance(each, Search)},
    )


def _firsts(session: Sequence[int], item: Sequence[int]) -> npt.NDArray[np.bool_]:
    # Session and item in one integer: items are from SEARCH (-1) to the greatest, which leaves greatest + 2 numbers.
    # `unique` then returns the first position of each pair.
    pairs = np.array(session, dtype=np.int64) * (max(item, default=0) + 2) + np.array(item, dtype=np.int64) + 1
    _, positions = np.unique(pairs, return_index=True)
    first = np.zeros(len(item), dtype=np.bool_)
    first[positions] = True
    return np.asarray(first & (np.array(item) != SEARCH), dtype=np.bool_)


def first_tested(log: Log, share: float, since: datetime | None) -> int:
    """Return the first interaction of the test period: the first one from a date on, or of the last `share` of the log.

    Raises:
        ConfigurationError: no event is in the test period.
    """
    if since is None:
        return min(max(round(len(log) * (1 - share)), 0), len(log) - 1)
    start = int(np.searchsorted(log.at_ms, int(since.timestamp() * 1000)))
    if start == len(log):
        last = log.interactions[-1].occurred_at
        raise ConfigurationError(f"--test-from: required events from {since} on, got the last event at {last}")
    return start
