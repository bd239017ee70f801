"""Budget of ranked lists of each shopper, so that a burst of one shopper does not delay the others of its partition.

Ranking a list costs many times as much as folding an event. A shopper has at most `per_minute` ranked lists in a burst
and that many a minute afterwards, which is far more than a person needs. An event beyond the budget is folded like any
other and answered with the items of the shopper's last ranked list.

Time is the brokers' timestamp of the event, not the worker's clock, so the same messages are within the budget in any
batches.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from streams.contracts.messages import RecommendedItem

RATE_LIMITED = "rate_limited"
"""The `fallback` of a list that repeats the shopper's last one."""
MINUTE_MS = 60_000
SHOPPERS = 10_000
"""Shoppers in memory, the latest. One that drops out sends less than one event for 10,000 other shoppers."""

Items = tuple[RecommendedItem, ...]
ByPlacement = Mapping[str, Items]
"""A shopper's last ranked list at each placement."""
NO_ITEMS: ByPlacement = {}


@dataclass(slots=True)
class _Spent:
    """State of one shopper's budget.

    `until` is the time at which the budget is whole again and `now` the newest time of an event, both in milliseconds
    times `per_minute`. `items` are the last ranked lists, kept only while the budget is exhausted.
    """

    until: int
    now: int
    items: ByPlacement = field(default_factory=dict)


class ListBudgets:
    """Budgets of the latest shoppers. The same sequence of events always gives the same answers.

    `admit` is the generic cell rate algorithm (ITU-T I.371): a token bucket whose state is one time.

    Args:
        per_minute: ranked lists of a shopper in a burst, and in each minute after it; 0 for no limit.
    """

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._spent: OrderedDict[str, _Spent] = OrderedDict()

    def admit(self, user_id: str, timestamp_ms: int) -> bool:
        """Charge a shopper for one ranked list. Return False, without a charge, if the budget is exhausted."""
        if not self._per_minute:
            return True
        # Integers instead of fractions of a millisecond: one list costs exactly MINUTE_MS.
        now = timestamp_ms * self._per_minute
        spent = self._spent.get(user_id)
        if spent is None:
            spent = self._spent[user_id] = _Spent(now, now)
            if len(self._spent) > SHOPPERS:
                self._spent.popitem(last=False)
        self._spent.move_to_end(user_id)
        # The messages of two topics are not in the order of their time. Time never goes back here, so after a list
        # that leaves a part of the budget, the next one is always admitted.
        spent.now = max(spent.now, now)
        if self._is_exhausted(spent):
            return False
        spent.until = max(spent.until, spent.now) + MINUTE_MS
        return True

    def last_lists(self, user_id: str) -> ByPlacement:
        """Return the last ranked lists of a shopper whose budget was exhausted after them."""
        spent = self._spent.get(user_id)
        return spent.items if spent else NO_ITEMS

    def keep(self, lists: Mapping[str, ByPlacement]) -> None:
        """Keep the last ranked lists of each shopper whose budget is exhausted after them."""
        for user_id, items in lists.items():
            spent = self._spent.get(user_id)
            if spent is not None:
                spent.items = {**spent.items, **items} if self._is_exhausted(spent) else NO_ITEMS

    def forget(self, user_ids: Iterable[str]) -> None:
        """Drop the last ranked lists of shoppers. Their budgets stay as they are."""
        for user_id in user_ids:
            spent = self._spent.get(user_id)
            if spent is not None:
                spent.items = NO_ITEMS

    def _is_exhausted(self, spent: _Spent) -> bool:
        return spent.until + MINUTE_MS - spent.now > MINUTE_MS * self._per_minute
