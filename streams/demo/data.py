"""The demo's events: real purchases, and synthetic events that lead to them. No I/O.

The data are purchases of households at a grocer's in 2017 (84.51°, "The Complete Journey").

Real: households, baskets, quantities, prices and times of payment. A purchase has the time of its receipt, read as UTC.
The baskets of a household keep their dates. A receipt does not record the order of its lines, so the purchases follow
the order of the file.

Synthetic, and marked `context: {"synthetic": true}`: a view before each purchase, a cart event for half of the items,
and a search for the name of the item's type for a quarter, all in the minutes before the receipt. The choice of items
and the seconds between the events are a function of the ids: every run makes the same events.

Baskets are cut to their first `BASKET_ITEMS` items. Purchases of products outside the catalogue are omitted. The days
follow each other as in 2017. Within a day, the households' events are interleaved: in real time, each shopper would act
only during a fraction of a second of the replay. Each shopper's own events stay in order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby, islice
from operator import attrgetter, itemgetter

import msgspec
import numpy as np

from inference.types import stable_key
from streams.contracts.messages import Cart, Interaction, Purchase, Search, View
from streams.demo.catalogue import DemoCatalogue
from streams.demo.purchases import Lines
from streams.demo.titles import query_of

HOUSEHOLDS = 48
BASKET_ITEMS = 12
SEARCHED, CARTED = 0.25, 0.5
DAY = 86_400
_SELECTED_BY_DAYS = 31
_SYNTHETIC = {"synthetic": True}
_Events = list[Interaction]


@dataclass(frozen=True, slots=True)
class _Bought:
    """One line of a receipt: an item of the catalogue."""

    item_id: str
    quantity: int
    price: float


def busiest_households(lines: Lines, number: int = HOUSEHOLDS) -> list[int]:
    """Return the households that shopped on most days of the first month, busiest first, ties by number."""
    first_day = int(lines.seconds.min()) // DAY
    early = lines.where(lines.seconds // DAY < first_day + _SELECTED_BY_DAYS)
    visits = np.unique(np.stack([early.household, early.seconds // DAY]), axis=1)
    households, days = np.unique(visits[0], return_counts=True)
    return [int(household) for household in households[np.lexsort((households, -days))][:number]]


def most_faithful(events: Sequence[Interaction]) -> str:
    """Return the shopper with events on most days of the replay, ties by the number of events: the one to show."""
    days = Counter(user for user, _ in {(event.user_id, event.occurred_at.date()) for event in events})
    actions = Counter(event.user_id for event in events)
    return max(actions, key=lambda user: (days[user], actions[user], user))


def shopping(lines: Lines, catalogue: DemoCatalogue, households: Sequence[int], events: int) -> list[Interaction]:
    """Return the first `events` interactions of these households, in the order of publication."""
    mine = lines.where(np.isin(lines.household, households) & (lines.quantity > 0))
    days = (mine.seconds // DAY).tolist()
    rows = range(len(mine))
    by_day = (_day(mine, list(group), catalogue) for _, group in groupby(rows, key=days.__getitem__))
    return list(islice((event for day in by_day for event in day), events))


def bought_next(events: Sequence[Interaction]) -> dict[str, tuple[str, ...]]:
    """Return the items that the shopper buys in the same visit after each event, by event id."""
    bought: dict[tuple[str, str | None], dict[str, None]] = {}
    found: dict[str, tuple[str, ...]] = {}
    # Backwards, so that what is bought later is known at each event.
    for event in reversed(events):
        later = bought.setdefault((event.user_id, event.session_id), {})
        if later:
            found[event.event_id] = tuple(later)
        if isinstance(event, Purchase):
            later[event.item_id] = None
    return found


def interleaved(by_shopper: Iterable[Sequence[Interaction]]) -> list[Interaction]:
    """Interleave the events of a day's shoppers, with each shopper spread evenly over the day."""
    placed: list[tuple[float, str, Interaction]] = []
    for events in by_shopper:
        placed += [
            ((n + share("phase", event.user_id)) / len(events), event.user_id, event) for n, event in enumerate(events)
        ]
    return [event for _, _, event in sorted(placed, key=itemgetter(0, 1))]


def share(*ids: object) -> float:
    """Return a pseudo-random number in [0, 1) that is a function of the ids, so no seed is needed."""
    return stable_key("/".join(map(str, ids))) / 2**64


def _day(lines: Lines, rows: Sequence[int], catalogue: DemoCatalogue) -> list[Interaction]:
    """Return the interleaved events of a day's households."""
    household = lines.household[rows].tolist()
    by_household = []
    for user in sorted(set(household)):
        own = [row for row, owner in zip(rows, household, strict=True) if owner == user]
        # The synthetic events of a receipt can start before the previous receipt. The sort is stable, so events of
        # equal time keep their order.
        by_household.append(sorted(_visits(lines, own, catalogue), key=attrgetter("occurred_at")))
    return interleaved(by_household)


def _visits(lines: Lines, rows: Sequence[int], catalogue: DemoCatalogue) -> Iterator[Interaction]:
    """Yield one household's events of a day, basket by basket."""
    by_basket = sorted(rows, key=lambda row: (lines.seconds[row], lines.basket[row]))
    for basket, group in groupby(by_basket, key=lambda row: int(lines.basket[row])):
        lot = list(group)
        bought: dict[str, _Bought] = {}
        for row in lot:
            item_id = catalogue.item_of.get(int(lines.product[row]))
            if item_id is not None and item_id not in bought:
                bought[item_id] = _Bought(item_id, int(lines.quantity[row]), round(float(lines.paid[row]), 2))
        chosen = list(islice(bought.values(), BASKET_ITEMS))
        yield from _visit(
            str(lines.household[lot[0]]), str(basket), int(lines.seconds[lot[0]]), chosen, catalogue.names
        )


def _visit(user: str, basket: str, paid_at: int, bought: Sequence[_Bought], names: Mapping[str, str]) -> _Events:
    """Return the synthetic events before a receipt, item by item, and then the purchases of the receipt."""
    steps = [step for line in bought for step in _steps(basket, line)]
    # The receipt has one time, that of paying. The events before it are dated backwards from there.
    gaps = [8 + round(24 * share("gap", basket, n)) for n in range(len(steps))]
    events: _Events = []
    for n, (action, line) in enumerate(steps):
        event_id, at = f"{basket}-{n}", _time(paid_at - sum(gaps[n:]))
        base = {"event_id": event_id, "user_id": user, "session_id": basket, "occurred_at": at, "context": _SYNTHETIC}
        about = {"query": query_of(names[line.item_id])} if action is Search else {"item_id": line.item_id}
        events.append(msgspec.convert({**base, **about, "type": action.__struct_config__.tag}, action))
    for n, line in enumerate(bought, start=len(steps)):
        event_id, at = f"{basket}-{n}", _time(paid_at)
        events.append(
            Purchase(
                event_id=event_id,
                user_id=user,
                session_id=basket,
                occurred_at=at,
                item_id=line.item_id,
                quantity=line.quantity,
                price=line.price,
            )
        )
    return events


def _steps(basket: str, line: _Bought) -> Iterator[tuple[type[Search | View | Cart], _Bought]]:
    if share("search", basket, line.item_id) < SEARCHED:
        yield Search, line
    yield View, line
    if share("cart", basket, line.item_id) < CARTED:
        yield Cart, line


def _time(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
