"""Online Retail: the purchases from a British gift retailer in one year. An invoice is a session.

Chen, Sain & Guo 2012, doi:10.1057/dbm.2012.17 (UCI data set 352, CC BY 4.0). Rows count if they have a CustomerID, a
positive Quantity and UnitPrice, and an InvoiceNo that does not begin with C (a cancellation).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import NamedTuple

from inference.types import Item
from streams.contracts.messages import Purchase
from streams.errors import ConfigurationError
from training.datasets.files import rows_of

COLUMNS = ("InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID")


class Sale(NamedTuple):
    """A line of an invoice that counts as a purchase."""

    invoice: str
    item_id: str
    description: str
    quantity: float
    at: datetime
    price: float
    customer: str


def read(path: Path) -> Iterator[dict[str, str]]:
    """Yield the rows of the CSV file. Raises ConfigurationError."""
    return rows_of(path, COLUMNS)


def sales(rows: Iterable[dict[str, str]]) -> list[Sale]:
    """Return the purchases in the order given. Raises ConfigurationError if a row is invalid."""
    found = []
    for number, row in enumerate(rows, start=2):
        try:
            sale = _sale(row)
        except (ValueError, TypeError, AttributeError) as error:
            raise ConfigurationError(f"line {number}: required a line of an invoice, got: {error}") from error
        if sale is not None:
            found.append(sale)
    return found


def _sale(row: dict[str, str]) -> Sale | None:
    quantity, price = float(row["Quantity"]), float(row["UnitPrice"])
    if not row["CustomerID"].strip() or not quantity > 0 or not price > 0 or row["InvoiceNo"].startswith("C"):
        return None
    # The time is on the shop's own clock. The data do not state its time zone.
    at = datetime.fromisoformat(row["InvoiceDate"]).replace(tzinfo=UTC)
    customer = row["CustomerID"].strip().removesuffix(".0")
    title = " ".join(row["Description"].split())
    return Sale(row["InvoiceNo"], row["StockCode"].strip(), title, quantity, at, price, customer)


def items(lines: Iterable[Sale]) -> list[Item]:
    """Return one item for each stock code, with its most frequent description, ties by alphabet, and median price."""
    titles: defaultdict[str, Counter[str]] = defaultdict(Counter)
    prices: defaultdict[str, list[float]] = defaultdict(list)
    for line in lines:
        titles[line.item_id][line.description or line.item_id] += 1
        prices[line.item_id].append(line.price)
    return [
        Item(
            item_id=item_id,
            title=min(counts, key=lambda title: (-counts[title], title)),
            price=round(median(prices[item_id]), 2),
            currency="GBP",
        )
        for item_id, counts in sorted(titles.items())
    ]


def interactions(lines: Iterable[Sale]) -> list[Purchase]:
    """Return one purchase for each line. An invoice's lines are one second apart, to keep their order."""
    started: dict[str, datetime] = {}
    written: Counter[str] = Counter()
    bought = []
    for line in lines:
        number = written[line.invoice]
        written[line.invoice] += 1
        at = started.setdefault(line.invoice, line.at) + timedelta(seconds=number)
        bought.append(
            Purchase(
                event_id=f"{line.invoice}-{number}",
                user_id=line.customer,
                session_id=line.invoice,
                occurred_at=at,
                item_id=line.item_id,
                quantity=line.quantity,
                price=line.price,
            )
        )
    return bought
