"""The demo's shops: what is published and replayed, one shop for each language."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from inference.types import Item
from streams.contracts.messages import Interaction, Purchase, Search
from streams.demo.catalogue import best_sellers
from streams.demo.chinese import shoppers
from streams.demo.chinese.goods import read_kinds
from streams.demo.data import busiest_households, most_faithful, shopping
from streams.demo.purchases import read_purchases
from streams.errors import ConfigurationError


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoShop:
    """A shop: its catalogue, its events in the order of publication, and the shopper to show.

    `is_real` says whether the purchases were made by people. `searches` are some to try in the console.
    """

    items: tuple[Item, ...]
    events: Sequence[Interaction]
    shopper: str
    is_real: bool
    searches: tuple[str, ...] = ()


def grocer(size: int, events: int, wanted: int | None) -> DemoShop:
    """Return the English shop: real purchases at a grocer's. Raises ConfigurationError.

    Args:
        size: most items, the best-selling ones.
        events: most events, from the first on.
        wanted: shopper to show, None for one that shops often.
    """
    purchases = read_purchases()
    catalogue = best_sellers(purchases, size)
    households = busiest_households(purchases.lines)
    if wanted is not None:
        if wanted not in purchases.lines.household:
            raise ConfigurationError(f"--shopper: required a household of the data (1 to 2500), got {wanted}")
        households = list(dict.fromkeys([wanted, *households]))
    interactions = shopping(purchases.lines, catalogue, households, events)
    shopper = most_faithful(interactions) if wanted is None else str(wanted)
    return DemoShop(items=catalogue.items, events=interactions, shopper=shopper, is_real=True)


def general_shop(size: int, events: int, wanted: int | None) -> DemoShop:
    """Return the Chinese shop: simulated shoppers of a general shop. Arguments and errors are those of `grocer`."""
    if wanted is not None and not 1 <= wanted <= shoppers.SHOPPERS:
        raise ConfigurationError(f"--shopper: required a shopper of the data (1 to {shoppers.SHOPPERS}), got {wanted}")
    kinds = read_kinds()
    interactions = shoppers.shopping(kinds)
    items = {item.item_id: item for kind in kinds.values() for item in kind.items}
    sales = Counter(event.item_id for event in interactions if isinstance(event, Purchase))
    sold = sorted(items, key=lambda item_id: (-sales[item_id], item_id))[:size]
    known = frozenset(sold)
    kept = [event for event in interactions if isinstance(event, Search) or event.item_id in known][:events]
    shopper = shoppers.shown(kept) if wanted is None else str(wanted)
    return DemoShop(
        items=tuple(items[item_id] for item_id in sold),
        events=kept,
        shopper=shopper,
        is_real=False,
        searches=("鸡蛋", "綠茶", "长高补钙", "phone case"),
    )


SHOPS = {"en": grocer, "zh": general_shop}
"""The shop of each language."""
