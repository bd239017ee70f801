"""The steady load: a catalogue whose items change, and shoppers who search, view, click, choose and buy.

The contents depend on the seed only. Each shopper has a clock of its own that began days ago, with sessions and the
pauses between them, so that shoppers look like people and everything that decays over days decays.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import NamedTuple

from tests.chaos.hostile import SECRET, encoded

CATEGORIES = {
    "Dairy": ("milk", "yoghurt", "butter", "cheddar", "kefir"),
    "Bakery": ("loaf", "baguette", "bagels", "croissants", "toast"),
    "Coffee and tea": ("espresso beans", "green tea", "rooibos", "decaf", "chai"),
    "Kitchen": ("frying pan", "chef's knife", "kettle", "casserole", "milk frother"),
    "Running": ("trail shoes", "running shirt", "headlamp", "hydration vest", "socks"),
    "Garden": ("secateurs", "leaf rake", "watering can", "compost bin", "gloves"),
}
STYLES = ("organic", "small", "large", "classic", "light", "strong", "green", "basic")
BRANDS = ("Alpenhof", "Nordlicht", "Kettle & Co", "Terra")
ITEMS = len(CATEGORIES) * 5 * len(STYLES)
BASICS = 60
"""Items that shoppers buy: fewer than the 80 habits of a profile."""
TYPES = ("view",) * 10 + ("click",) * 5 + ("cart",) * 2 + ("purchase",) * 2 + ("search",) * 6
TICK_MS = 125
"""Times are multiples of it, which a float can hold exactly."""
NEW_SESSION, LATE = 0.2, 0.05
HOUR_TICKS = 3_600_000 // TICK_MS


class Message(NamedTuple):
    """A message to publish. `topic` is clicks, searches or items; `partition` is None for that of the key."""

    topic: str
    key: bytes | None
    value: bytes | None
    partition: int | None = None


class Shopper:
    """A shopper's actions in order, with some late ones. No two have the same time."""

    def __init__(self, name: str, seed: int, now: datetime, days: float) -> None:
        self.user_id = f"{SECRET}-{name}"
        self._random = Random(f"{seed} {name}")
        self._tick = int((now - timedelta(days=days)).timestamp()) * 1000 // TICK_MS
        self._now = int(now.timestamp()) * 1000 // TICK_MS
        self._used: set[int] = set()
        self._acted: set[tuple[int, date]] = set()
        self._session = self._number = 0
        self._likes = self._random.choice(list(CATEGORIES))
        self.last: Message | None = None

    def act(self) -> Message:
        """Return the next action."""
        random = self._random
        is_new = random.random() < NEW_SESSION
        self._session += is_new
        self._tick += random.randrange(HOUR_TICKS, 6 * HOUR_TICKS) if is_new else random.randrange(120, 960)
        # A shopper whose clock is ahead of the run acts late.
        at = self._tick if self._tick <= self._now and random.random() >= LATE else self._late()
        while at in self._used:
            at += 1
        self._used.add(at)
        fields = self.fields(random.choice(TYPES), at)
        self.last = Message("searches" if fields["type"] == "search" else "clicks", *self.keyed(fields))
        return self.last

    def _late(self) -> int:
        return min(self._tick, self._now) - self._random.randrange(HOUR_TICKS, 20 * HOUR_TICKS)

    def fields(self, action: str, tick: int | None = None) -> dict[str, object]:
        """Return an action's fields."""
        self._number += 1
        at = datetime.fromtimestamp((tick or self._now) * TICK_MS / 1000, UTC)
        fields: dict[str, object] = {
            "type": action,
            "event_id": f"{self.user_id}-e{self._number}",
            "user_id": self.user_id,
            "occurred_at": at.isoformat().replace("+00:00", "Z"),
        }
        if self._random.random() < 0.7:
            fields["session_id"] = f"{self.user_id}-s{self._session}"
        if action == "search":
            fields["query"] = f"{self._random.choice(STYLES)} {self._random.choice(CATEGORIES[self._likes])} {SECRET}"
        else:
            fields["item_id"] = self._item(BASICS if action == "purchase" else ITEMS, at.date())
            if self._random.random() < 0.3:
                fields |= {"price": self._random.randrange(1, 100), "quantity": self._random.randrange(1, 4)}
        return fields

    def _item(self, among: int, day: date) -> str:
        """Return an item that the shopper did not act on that day: further actions of a day need not teach others."""
        free = [number for number in range(among) if (number, day) not in self._acted]
        number = self._random.choice(free)
        self._acted.add((number, day))
        return item_id(number)

    @staticmethod
    def keyed(fields: dict[str, object]) -> tuple[bytes, bytes]:
        """Return the key and the value of an action."""
        return str(fields["user_id"]).encode(), encoded(fields)


class Catalogue:
    """Items that keep their ids, categories, brands and some price, while titles change. Other items come and go."""

    def __init__(self, seed: int) -> None:
        self._random = Random(f"{seed} catalogue")
        self._added: list[str] = []
        self._number = 0

    def first(self) -> list[Message]:
        """Return the items before the first event."""
        return [self._item(number) for number in range(ITEMS)]

    def change(self) -> Message:
        """Return a change: mostly of an item, or a new one, or the removal of one that was new."""
        draw = self._random.random()
        if draw < 0.7:
            return self._item(self._random.randrange(ITEMS))
        if draw < 0.9 or not self._added:
            return self.new()
        removed = self._added.pop(self._random.randrange(len(self._added)))
        return Message("items", removed.encode(), None)

    def new(self, name: str = "new") -> Message:
        """Return a new item, which no shopper acts on."""
        self._number += 1
        added = f"{SECRET}-{name}-{self._number}"
        if name == "new":
            self._added.append(added)
        fields = {"item_id": added, "title": f"New {self._random.choice(STYLES)} thing {SECRET}"}
        return Message("items", added.encode(), encoded(fields))

    def _item(self, number: int) -> Message:
        category, place = list(CATEGORIES)[number % len(CATEGORIES)], number // len(CATEGORIES)
        style, noun = STYLES[place % len(STYLES)], CATEGORIES[category][place // len(STYLES)]
        fields = {
            "item_id": item_id(number),
            "title": f"{style.capitalize()} {noun} {SECRET} {self._random.randrange(1000)}",
            "category": ["Shop", category],
            "brand": BRANDS[number % len(BRANDS)],
            "price": self._random.randrange(1, 200) / 4,
            "in_stock": self._random.random() < 0.9,
        }
        return Message("items", item_id(number).encode(), encoded(fields))


def item_id(number: int) -> str:
    """Return the id of an item of the catalogue."""
    return f"{SECRET}-item-{number}"
