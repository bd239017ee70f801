"""The producers of the demo, and the wrong data that one of them sends late in the replay. No I/O.

The shoppers use the shop's pages or its app. Late in the replay the app sends wrong data beside its events. Neither the
shoppers' lists nor the demo's counts follow it:

- Purchases come again with the price in cents, under the same event id. The service counts such duplicates as nothing.
- Views and carts have item ids that the catalogue lacks. They are of guests, each of whom acts once.
- Every few events, a message breaks off in the middle. The service refuses it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from streams.contracts import serde
from streams.contracts.messages import Interaction, Purchase, Search
from streams.demo.data import share

WEB, APP, CATALOGUE = "shop-web", "shop-app", "shop-catalogue"
"""Names of the producers."""
GUEST = "guest-"
"""Start of the user ids of wrong messages. Shoppers of the demo have numbers."""
LEAST_SECONDS = 30.0
"""Shortest replay with wrong data: in a shorter one it would not be found."""
BEGINS_AT = 0.5
"""Share of the events before the wrong data."""
BROKEN_EVERY = 6
"""Events of the app for each message that breaks off."""


class WrongMessage(NamedTuple):
    """A message of the topic of views and purchases."""

    key: bytes
    value: bytes


def producer_of(event: Interaction) -> str:
    """Return the producer of an event: some shoppers use the app, the others the shop's pages."""
    return APP if share("app", event.user_id) < 0.5 else WEB


def is_wrong(key: bytes | None) -> bool:
    """Return whether a refused message with this key was sent as a wrong one."""
    return (key or b"").startswith(GUEST.encode())


@dataclass(slots=True)
class WrongData:
    """The wrong data beside the events of a replay.

    Attributes:
        begins_at: number of events before it.
        app_events: events of the app since then.
        has_begun: whether some was made.
    """

    begins_at: int
    app_events: int = 0

    @classmethod
    def of(cls, events: int, rate: float) -> WrongData | None:
        """Return the wrong data of a replay, None for one that is too short to find it."""
        return cls(round(BEGINS_AT * events)) if events / rate >= LEAST_SECONDS else None

    @property
    def has_begun(self) -> bool:
        """Whether some was made."""
        return self.app_events > 0

    def beside(self, number: int, event: Interaction) -> list[WrongMessage]:
        """Return the wrong messages to send after event `number` of the replay."""
        if number < self.begins_at or producer_of(event) != APP or isinstance(event, Search):
            return []
        self.app_events += 1
        guest = f"{GUEST}{self.app_events}"
        if isinstance(event, Purchase):
            cents = msgspec.structs.replace(event, price=100 * (event.price or 0.0))
            wrong = [WrongMessage(event.user_id.encode(), serde.encode_json(cents))]
        else:
            names = {"item_id": f"app/{event.item_id}", "user_id": guest, "event_id": guest, "session_id": guest}
            wrong = [WrongMessage(guest.encode(), serde.encode_json(msgspec.structs.replace(event, **names)))]
        if self.app_events % BROKEN_EVERY == 0:
            value = serde.encode_json(msgspec.structs.replace(event, user_id=guest, event_id=guest))
            wrong.append(WrongMessage(guest.encode(), value[: len(value) // 2]))
        return wrong


def expectations(events: Sequence[Interaction]) -> str:
    """Return the shop's own expectations as a file: the prices of purchases, and that views are of known items.

    A minute is too short to learn what is usual. A shop can also state it.
    """
    prices = [event.price for event in events if isinstance(event, Purchase) and event.price is not None]
    return f"""\
[[expectation]]
type = "purchase"
field = "price"
kind = "range"
low = 0
high = {max(prices, default=1.0):g}
tolerance = 0.02

[[expectation]]
type = "view"
kind = "unknown_items"
tolerance = 0.05
"""
