"""A catalogue of eight items and random events of four shoppers, for whole evaluations."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np

from inference.types import Item
from streams.contracts.messages import Interaction, Purchase, Search, View

TITLES = ("Green tea", "Black tea", "Espresso beans", "Oat milk", "Milk chocolate", "Sea salt", "Bananas", "Apples")
ITEMS = [Item(item_id=f"i{n}", title=title, category=("Shop", title.split()[-1])) for n, title in enumerate(TITLES)]
START = datetime(2026, 1, 1, tzinfo=UTC)


def random_events(seed: int, length: int, *, start: int = 0) -> list[Interaction]:
    """Return searches, views and purchases of four shoppers, five minutes apart, with a pause after every tenth."""
    draw = np.random.default_rng(seed)
    events: list[Interaction] = []
    for number in range(start, start + length):
        at = START + timedelta(minutes=5 * number + 60 * (number // 10))
        user, item, kind = f"u{draw.integers(4)}", int(draw.integers(len(ITEMS))), draw.random()
        event_id = f"e{number}"
        if kind < 0.3:
            query = TITLES[item].split()[-1].lower()
            events.append(Search(event_id=event_id, user_id=user, occurred_at=at, query=query))
        else:
            action = View if kind < 0.7 else Purchase
            events.append(action(event_id=event_id, user_id=user, occurred_at=at, item_id=f"i{item}"))
    return events
