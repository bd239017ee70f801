"""Precision and recall of derived attributes on Chorus electronics, whose own attributes are hidden."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from math import sqrt
from typing import Final, NamedTuple

from inference.attributes.brands import Brands
from inference.attributes.derive import derive
from inference.attributes.names import BRAND, LEXICON, NAMES, RULE, Derived
from training.attributes.hidden import Hidden, is_in_text, is_right, part_of

TEST_PART: Final = 1
"""Half of the items. The rules were written with a view of the other half."""
RULES: Final = "rules"
WORDS: Final = "rules, word lists"
CATALOGUE: Final = "rules, word lists, brands of the catalogue"


class Score(NamedTuple):
    """Counts of one attribute.

    Items with a label, with a label that the texts contain, with a label and a derived value, with a right one, and
    with any derived value.
    """

    name: str
    labelled: int
    in_text: int
    derived: int
    right: int
    all_derived: int

    @property
    def precision(self) -> float:
        """Share of right values among the derived ones of items with a label."""
        return self.right / self.derived if self.derived else 0.0

    @property
    def recall(self) -> float:
        """Share of right values among the labels that the texts contain."""
        return min(1.0, self.right / self.in_text) if self.in_text else 0.0

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0

    @property
    def margin(self) -> float:
        """Half of the 95% interval of the precision (Wilson 1927, doi:10.2307/2276774)."""
        n, z = max(1, self.derived), 1.96
        return z / (1 + z * z / n) * sqrt(self.precision * (1 - self.precision) / n + z * z / (4 * n * n))


class Measured(NamedTuple):
    """The scores of one way to derive attributes, and its cost in microseconds an item."""

    way: str
    scores: tuple[Score, ...]
    microseconds: float


def measure(items: Sequence[Hidden]) -> list[Measured]:
    """Return the scores on half of the items. The brands come from the other half: its items keep their brand."""
    test = [each for each in items if part_of(each.item.item_id, 2) == TEST_PART]
    brands = Brands()
    for each in items:
        if part_of(each.item.item_id, 2) != TEST_PART:
            for _, values in each.labels.get(BRAND, ()):
                brands.add(values[0])
    return [
        _measured(RULES, test, lambda each: [value for value in derive(each.item) if value.source == RULE]),
        _measured(WORDS, test, lambda each: [value for value in derive(each.item) if value.source in (RULE, LEXICON)]),
        _measured(CATALOGUE, test, lambda each: derive(each.item, NAMES, brands)),
    ]


def _measured(way: str, test: Sequence[Hidden], found_in: Callable[[Hidden], Sequence[Derived]]) -> Measured:
    began = time.perf_counter()
    found = [found_in(each) for each in test]
    cost = (time.perf_counter() - began) / max(1, len(test)) * 1e6
    return Measured(way, tuple(_score(name, test, found) for name in NAMES), cost)


def _score(name: str, test: Sequence[Hidden], found: Sequence[Sequence[Derived]]) -> Score:
    labelled = in_text = derived = right = everything = 0
    for each, values in zip(test, found, strict=True):
        value = next((value.value for value in values if value.name == name), None)
        everything += value is not None
        label = each.labels.get(name)
        if label is not None:
            labelled += 1
            is_good = value is not None and is_right(name, value, label)
            # A value that the simple search for the label overlooks, such as an abbreviation, is in the text too.
            in_text += is_good or is_in_text(name, each.item, label)
            derived += value is not None
            right += is_good
    return Score(name, labelled, in_text, derived, right, everything)
