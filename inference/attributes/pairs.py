"""Compares the titles and attributes of two items: the features of pairs that may be the same product. No I/O.

The features need no vectors. Their weights are fitted to pairs of the public product-matching benchmarks, by
`python -m training.attributes fit` (docs/attributes.md).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from math import exp, log
from typing import Final, NamedTuple

import msgspec

from inference.attributes.brands import brand_words
from inference.attributes.derive import CHARS_READ, derive, normal_value
from inference.attributes.lexicons import colours
from inference.attributes.models import model_key, model_numbers
from inference.attributes.names import BRAND, CAPACITY, COLOUR, MODEL, QUANTITY, SIZE, standard_name
from inference.attributes.units import NUMBER, amounts, counts, dimensions
from inference.encoding.text import MAX_TITLE_CHARS, clean
from inference.plain_text import readable
from inference.records import Item

VARYING: Final = (COLOUR, SIZE, CAPACITY, QUANTITY)
"""The attributes in which variants of a product differ."""
FEATURES: Final = (
    "words", "rare_words", "rare_words_of_shorter", "model_equal", "model_differs", "numbers", "rarest_shared",
    "rarest_unshared", "letters_of_shorter", "code_shared", "both_have_more", "both_have_more_numbers",
    *(f"{name}_{relation}" for name in VARYING for relation in ("equal", "differs")),
)  # fmt: skip
_WORD: Final = re.compile(r"[^\W_]+")
_NUMBER: Final = re.compile(NUMBER)
_LETTERS: Final = 3


class Facts(NamedTuple):
    """What is compared of an item.

    Attributes:
        words: the words of its title.
        weight: the sum of their weights.
        models: keys of its model numbers.
        numbers: the numbers in the title.
        letters: the runs of three letters of the title.
        values: the shop's or the derived values of VARYING.
        brand: the words of the shop's brand, empty without one.
        core: the words of the title that are no amount, colour, model number or brand.
    """

    words: frozenset[str]
    weight: float
    models: frozenset[str]
    numbers: frozenset[str]
    letters: frozenset[str]
    values: Mapping[str, str]
    brand: tuple[str, ...]
    core: frozenset[str]


class Weights(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A logistic model of FEATURES. Pairs with a score of at least `threshold` are the same product."""

    bias: float
    weights: Mapping[str, float]
    threshold: float
    fitted_to: str

    def score(self, features: Sequence[float]) -> float:
        """Return the probability that a pair is the same product."""
        logit = self.bias + sum(self.weights[name] * value for name, value in zip(FEATURES, features, strict=True))
        # Beyond ±50 the probability is 0 or 1 in float64, and `exp` would overflow above 709.
        return 1 / (1 + exp(-max(-50.0, min(50.0, logit))))


class TitleWords:
    """The weights of words: rare ones count more, log((n + 1) / (items with the word + ½)) / log(n + 1)."""

    def __init__(self, titles: Iterable[str]) -> None:
        self.counts: Counter[str] = Counter()
        number = 0
        for title in titles:
            number += 1
            self.counts.update(set(_WORD.findall(_folded(title))))
        self._number = number

    def weight(self, word: str) -> float:
        """Return the weight of a word, from 0 to about 1."""
        return max(0.0, log((self._number + 1) / (self.counts[word] + 0.5)) / log(self._number + 2))

    def facts_of(self, item: Item) -> Facts:
        """Return the facts of an item."""
        title = clean(item.title[:CHARS_READ], MAX_TITLE_CHARS)
        folded = title.lower()
        words = frozenset(_WORD.findall(folded))
        joined = "".join(_WORD.findall(folded))
        models = model_numbers(title)
        own_models = [value for name, value in item.attributes.items() if standard_name(name) == MODEL]
        brand = brand_words(readable(item.brand or ""))
        return Facts(
            words=words,
            weight=sum(map(self.weight, sorted(words))),
            models=frozenset(map(model_key, (*own_models, *models))) - {""},
            numbers=frozenset(_NUMBER.findall(folded)),
            letters=frozenset(joined[at : at + _LETTERS] for at in range(len(joined) - _LETTERS + 1)),
            values=_values(item),
            brand=brand,
            core=_core(folded, models) - set(brand),
        )

    def features(self, one: Facts, other: Facts) -> list[float]:
        """Return FEATURES of a pair; the order of the two does not matter."""
        shared, more, others = one.words & other.words, one.words - other.words, other.words - one.words
        # Sums go over sorted words: the order of a set differs between processes, and with it the rounding.
        weight = sum(map(self.weight, sorted(shared)))
        numbers, own = one.numbers | other.numbers, one.numbers & other.numbers
        found = [
            len(shared) / max(1, len(one.words | other.words)),
            weight / max(1e-9, one.weight + other.weight - weight),
            weight / max(1e-9, min(one.weight, other.weight)),
            float(not one.models.isdisjoint(other.models)),
            float(bool(one.models) and bool(other.models) and one.models.isdisjoint(other.models)),
            len(own) / len(numbers) if numbers else 0.5,
            max(map(self.weight, shared), default=0.0),
            max(map(self.weight, more), default=0.0) * max(map(self.weight, others), default=0.0),
            len(one.letters & other.letters) / max(1, min(len(one.letters), len(other.letters))),
            float(any(map(_is_code, shared))),
            float(bool(more) and bool(others)),
            float(bool(one.numbers - other.numbers) and bool(other.numbers - one.numbers)),
        ]
        for name in VARYING:
            first, second = one.values.get(name), other.values.get(name)
            found += [
                float(first is not None and first == second),
                float(None not in (first, second) and first != second),
            ]
        return found


CONFLICTS: Final = tuple(name for name in FEATURES if name.endswith("_differs") or name == "both_have_more_numbers")
"""Features of pairs that are hardly ever the same product within one catalogue: other models, colours or numbers."""
_CONFLICT_PLACES: Final = tuple(map(FEATURES.index, CONFLICTS))


def has_conflict(features: Sequence[float]) -> bool:
    """Return whether one of CONFLICTS is set."""
    return any(features[place] for place in _CONFLICT_PLACES)


def differing(one: Facts, other: Facts) -> tuple[str, ...]:
    """Return the attributes of VARYING in which two items differ."""
    return tuple(
        name
        for name in VARYING
        if name in one.values and name in other.values and one.values[name] != other.values[name]
    )


def _values(item: Item) -> dict[str, str]:
    found = {each.name: each.value for each in derive(item, VARYING)}
    for name, value in item.attributes.items():
        standard = standard_name(name)
        if standard in VARYING and value.strip():
            found.setdefault(standard, normal_value(standard, value))
    return found


def _core(folded: str, models: Sequence[str]) -> frozenset[str]:
    # Cut everything in which variants differ out of the title. Parts may overlap, so `at` never goes back.
    spans = [(each.start, each.end) for each in (*amounts(folded), *counts(folded))]
    spans += [(each.start, each.end) for each in colours(folded)]
    sides = dimensions(folded)
    if sides is not None:
        spans.append(sides[1:])
    rest, at = [], 0
    for start, end in sorted(spans):
        rest.append(folded[at:start])
        at = max(at, end)
    text = " ".join((*rest, folded[at:]))
    for number in models:
        text = text.replace(number.lower(), " ")
    return frozenset(_WORD.findall(text)) - {BRAND}


def _folded(title: str) -> str:
    return clean(title[:CHARS_READ], MAX_TITLE_CHARS).lower()


def _is_code(word: str) -> bool:
    return len(word) > 3 and any(map(str.isdigit, word)) and any(map(str.isalpha, word))
