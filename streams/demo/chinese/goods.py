"""The Chinese demo's catalogue: a general shop, written for this demo. All brands are invented.

`departments/*.txt` has one department a file. Its lines are:

    = department
    @ brand, and the brand in English
    # group/kind | words of searches | needs in words | in English | traditional | days | kinds it goes with
    brand|product|size|price in CNY|product and size in English|attribute=value;attribute=value

Needs are searches that name the purpose of a kind and none of its words. `days` is the usual interval between two
purchases of a shopper, 0 for goods that are seldom bought again. The English titles are for measuring searches across
languages: the catalogue does not contain them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from inference.types import Item

DEPARTMENTS = Path(__file__).with_name("departments")


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of goods, the last part of the category path: its searches, its habits, and its items, best-selling first.

    `english_titles` are those of `items`, in their order. `days` and `goes_with` are as in the files.
    """

    name: str
    words: tuple[str, ...]
    needs: tuple[str, ...]
    english: tuple[str, ...]
    traditional: tuple[str, ...]
    days: int
    goes_with: tuple[str, ...]
    items: tuple[Item, ...]
    english_titles: tuple[str, ...]


def read_kinds() -> dict[str, Kind]:
    """Read all kinds of goods, by name, in the order of the files."""
    files = sorted(DEPARTMENTS.glob("*.txt"))
    brands = dict(line[2:].split(" ", 1) for file in files for line in _lines(file) if line.startswith("@ "))
    return {kind.name: kind for number, file in enumerate(files, 1) for kind in _kinds(number, _lines(file), brands)}


def _lines(file: Path) -> list[str]:
    return file.read_text(encoding="utf-8").splitlines()


def _kinds(number: int, lines: Sequence[str], brands: dict[str, str]) -> Iterator[Kind]:
    """Yield the kinds of a department. The ids of its items begin with its number."""
    department = lines[0].removeprefix("= ")
    starts = [place for place, line in enumerate(lines) if line.startswith("# ")]
    items = 0
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        path, words, needs, english, traditional, days, goes_with = lines[start].removeprefix("# ").split(" | ")
        group, name = path.split("/")
        goods = [line.split("|") for line in lines[start + 1 : end]]
        yield Kind(
            name=name,
            words=_list(words),
            needs=_list(needs),
            english=_list(english),
            traditional=_list(traditional),
            days=int(days),
            goes_with=_list(goes_with),
            items=tuple(
                _item(f"{number:02}{place:03}", (department, group, name), good)
                for place, good in enumerate(goods, items + 1)
            ),
            english_titles=tuple(f"{brands[good[0]]} {good[4]}" for good in goods),
        )
        items += len(goods)


def _list(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


def _item(item_id: str, category: tuple[str, ...], good: Sequence[str]) -> Item:
    brand, product, size, price, _, attributes = good
    return Item(
        item_id=item_id,
        title=f"{brand} {product} {size}",
        category=category,
        brand=brand,
        price=float(price),
        currency="CNY",
        attributes=dict(each.split("=") for each in attributes.split(";")) if attributes else {},
    )
