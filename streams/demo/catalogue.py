"""The demo's catalogue: the best-selling products, with readable names.

The data contain no product names, only a type, a size, and whether the brand is national or the shop's own. Products
that agree in all of these and in their category would have the same title. They become one item, with the id of the
best-selling of them. Otherwise a list would show the same title several times. The manufacturer of
that product stands for the seller.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from inference.types import Item
from streams.demo.purchases import Lines, Product, Purchases
from streams.demo.titles import FIELD_WIDTH, label, package, product_name

_NOT_GOODS = frozenset(
    {"CNTRL/STORE SUP", "COUPON", "FUEL", "MISCELLANEOUS", "POSTAL CENTER", "PROD-WHS SALES", "TRAVEL & LEISURE"}
)
_NOT_GOODS_EITHER = frozenset(
    {
        "BOTTLE DEPOSITS", "COUPON/MISC ITEMS", "COUPONS/STORE & MFG", "DELI SUPPLIES", "J-HOOKS", "MEAT SUPPLIES",
        "MISCELLANEOUS", "PREPAID WIRELESS&ACCESSORIES", "PROD SUPPLIES", "TICKETS",
    }
)  # fmt: skip
_MAKERS = {"National": "National brand", "Private": "Private label"}


@dataclass(frozen=True, slots=True)
class Kind:
    """The readable attributes of a product: they identify an item."""

    name: str
    size: str | None
    category: tuple[str, ...]
    brand: str

    @property
    def title(self) -> str:
        """The item's title."""
        return self.name if self.size is None else f"{self.name}, {self.size}"


@dataclass(frozen=True, slots=True)
class DemoCatalogue:
    """The items by falling sales, the item id of each product, and the name of each item without its size."""

    items: tuple[Item, ...]
    item_of: Mapping[int, str]
    names: Mapping[str, str]


def best_sellers(purchases: Purchases, size: int) -> DemoCatalogue:
    """Return the catalogue of the `size` best-selling kinds of product."""
    kinds = _kinds(purchases.products)
    products, sales = np.unique(purchases.lines.product, return_counts=True)
    members: dict[Kind, list[tuple[int, int]]] = {}
    for product, sold in zip(products.tolist(), sales.tolist(), strict=True):
        if (kind := kinds.get(product)) is not None:
            members.setdefault(kind, []).append((-sold, product))
    # By falling sales. Ties are decided by the number of the best-selling product.
    ranked = sorted((sum(sold for sold, _ in group), min(group)[1], kind) for kind, group in members.items())[:size]
    item_of = {product: str(first) for _, first, kind in ranked for _, product in members[kind]}
    prices = _median_prices(purchases.lines, item_of)
    makers = {product.product_id: f"manufacturer-{product.manufacturer}" for product in purchases.products}
    items = tuple(_item(str(first), kind, prices.get(str(first)), makers[first]) for _, first, kind in ranked)
    return DemoCatalogue(items, item_of, {str(first): kind.name for _, first, kind in ranked})


def _kinds(products: Sequence[Product]) -> dict[int, Kind]:
    types = {product.kind for product in products if product.kind}
    whole = frozenset(word for kind in types if len(kind) < FIELD_WIDTH for word in kind.replace("/", " ").split())
    name = cache(lambda kind, category: product_name(kind, category, whole))
    plain, sized = cache(label), cache(package)
    return {
        product.product_id: Kind(
            name(product.kind, product.category),
            sized(product.size, produce=product.department == "PRODUCE"),
            (plain(product.department), plain(product.category)),
            _MAKERS.get(product.brand, product.brand),
        )
        for product in products
        if product.kind and product.category
        if product.department not in _NOT_GOODS and product.category not in _NOT_GOODS_EITHER
    }


def _median_prices(lines: Lines, item_of: Mapping[int, str]) -> dict[str, float]:
    """Return the median list price of one piece of each item, without a loyalty card, in USD."""
    numbers = np.array(sorted(item_of), dtype=np.int64)
    place = np.minimum(np.searchsorted(numbers, lines.product), len(numbers) - 1)
    known = (numbers[place] == lines.product) & np.isfinite(lines.list_price)
    ids, item_at = np.unique([item_of[number] for number in numbers.tolist()], return_inverse=True)
    item, price = item_at[place[known]], lines.list_price[known]
    order = np.lexsort((price, item))
    present, first, count = np.unique(item[order], return_index=True, return_counts=True)
    medians = price[order][first + count // 2]
    return {str(ids[each]): round(float(median), 2) for each, median in zip(present, medians, strict=True)}


def _item(item_id: str, kind: Kind, price: float | None, seller: str) -> Item:
    return Item(
        item_id=item_id,
        title=kind.title,
        category=kind.category,
        brand=kind.brand,
        price=price,
        currency=None if price is None else "USD",
        seller=seller,
    )
