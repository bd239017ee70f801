"""Chorus electronics: 19,406 products, and 135 searches with results that people graded from 0 to 3.

The data of the Chorus reference search by Querqy (Apache-2.0; products under the Icecat Open Content License).
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile, ZipFile

from inference.types import Item
from streams.errors import ConfigurationError
from training.datasets.files import TITLE_CHARS, rows_of

JUDGEMENTS = "Broad_Query_Set_rated.csv"
PRODUCTS = "products_*.json.zip"


class Judgement(NamedTuple):
    """A person's grade of a product as an answer to a query."""

    query: str
    item_id: str
    grade: int


def items(folder: Path, *, titles_only: bool) -> list[Item]:
    """Return the products, by id, with their title alone or with all texts of the shop's page.

    Raises:
        ConfigurationError: the files are missing or have another format.
    """
    found = {str(each["id"]): each for each in products(folder)}
    return [_item(item_id, product, titles_only=titles_only) for item_id, product in sorted(found.items())]


def judgements(folder: Path) -> list[Judgement]:
    """Return the grades, in the order of the file. Raises ConfigurationError."""
    rows = rows_of(folder / JUDGEMENTS, ("query", "docid", "rating"))
    try:
        return [Judgement(row["query"], row["docid"], int(row["rating"])) for row in rows]
    except (ValueError, TypeError) as error:
        raise ConfigurationError(f"{folder / JUDGEMENTS}: required whole numbers as ratings, got: {error}") from error


def write_judgements(path: Path, graded: list[Judgement]) -> None:
    """Write a CSV file for `intentstream evaluate --judgements`."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("query", "item_id", "grade"))
        writer.writerows(graded)


def products(folder: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the products as they are published, with all their attributes. Raises ConfigurationError."""
    archives = sorted(folder.glob(PRODUCTS))
    if not archives:
        raise ConfigurationError(f"{folder}: required the files {PRODUCTS}, got none")
    for archive in archives:
        try:
            with ZipFile(archive) as opened:
                for name in opened.namelist():
                    yield from json.loads(opened.read(name))
        except (OSError, BadZipFile, ValueError) as error:
            raise ConfigurationError(f"{archive}: required a zip of JSON files, got: {error}") from error


def _item(item_id: str, product: Mapping[str, Any], *, titles_only: bool) -> Item:
    title = str(product.get("title") or product.get("name") or item_id)[:TITLE_CHARS]
    if titles_only:
        return Item(item_id=item_id, title=title)
    kind = product.get("attr_t_product_type")
    return Item(
        item_id=item_id,
        title=title,
        description=product.get("short_description") or None,
        category=(str(kind),) if kind else (),
        brand=product.get("supplier") or None,
    )
