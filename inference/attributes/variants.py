"""Finds items of a catalogue that are the same product, and groups of variants of one product.

Two items are variants if their titles are equal apart from amounts, colours and model numbers, they differ in colour,
size, capacity or quantity, and their model numbers, if any, begin alike.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from importlib.resources import files
from itertools import pairwise
from typing import Final, Literal

import msgspec

from inference.attributes.pairs import Facts, TitleWords, Weights, differing, has_conflict
from inference.records import Item

WEIGHTS: Final = "pair_weights.json"
MOST_HOLDERS: Final = 60
"""A word that more items have leads to no candidates."""
MOST_CANDIDATES: Final = 20
"""Most items that an item is compared with: those that share the heaviest words."""
FEWEST_CORE_WORDS: Final = 2
LEAST_SCORE: Final = 0.9
"""Within one catalogue few similar titles are duplicates, so a pair needs a higher score than in the benchmarks."""

Kind = Literal["same", "variant"]


class Related(msgspec.Struct, frozen=True):
    """Items that are the same product, two and their score, or variants of one product and what they differ in."""

    kind: Kind
    items: tuple[str, ...]
    score: float | None = None
    differ_in: tuple[str, ...] = ()


@cache
def weights() -> Weights:
    """Return the weights that the program ships."""
    return msgspec.json.decode(files(__package__).joinpath(WEIGHTS).read_bytes(), type=Weights)


def find_related(
    items: Sequence[Item], progress: Callable[[int], None] | None = None, least_score: float = LEAST_SCORE
) -> Iterator[Related]:
    """Yield groups of variants, then pairs of the same product, each in the order of the catalogue.

    `progress` is called with a number of compared items. Items of two brands, with other model numbers, colours, sizes
    or capacities, or each with a number that the other lacks, are never the same.
    """
    words = TitleWords(item.title for item in items)
    facts = [words.facts_of(item) for item in items]
    for group in _variants(facts):
        differ_in = dict.fromkeys(
            name for one, other in pairwise(group) for name in differing(facts[one], facts[other])
        )
        yield Related("variant", tuple(items[at].item_id for at in group), differ_in=tuple(differ_in))
    model = weights()
    for one, others in enumerate(_candidates(facts, words)):
        for other in others:
            if not _may_be_same(facts[one], facts[other]):
                continue
            features = words.features(facts[one], facts[other])
            score = model.score(features)
            if score >= least_score and not has_conflict(features):
                yield Related("same", (items[one].item_id, items[other].item_id), score=round(score, 4))
        if progress is not None:
            progress(1)


def _variants(facts: Sequence[Facts]) -> Iterator[list[int]]:
    """Yield groups of at least two variants, by place."""
    blocks: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for at, each in enumerate(facts):
        if len(each.core) >= FEWEST_CORE_WORDS:
            blocks[each.brand, each.core].append(at)
    for block in blocks.values():
        # Model numbers that begin alike are neighbours in this order, so that neighbours are all that is compared.
        ordered = sorted(block, key=lambda at: (sorted(facts[at].models), sorted(facts[at].values.items()), at))
        group = ordered[:1]
        for last, at in pairwise(ordered):
            if not _begin_alike(facts[last], facts[at]):
                yield from _of_several(group, facts)
                group = []
            group.append(at)
        yield from _of_several(group, facts)


def _of_several(group: list[int], facts: Sequence[Facts]) -> Iterator[list[int]]:
    if any(differing(facts[one], facts[other]) for one, other in pairwise(group)):
        yield sorted(group)


def _begin_alike(one: Facts, other: Facts) -> bool:
    """Return whether two items have no model numbers, or some of which at least half is a common beginning."""
    if not one.models or not other.models:
        return not one.models and not other.models
    return any(
        2 * _shared_start(first, second) >= max(len(first), len(second))
        for first in one.models
        for second in other.models
    )


def _shared_start(first: str, second: str) -> int:
    pairs = enumerate(zip(first, second, strict=False))
    return next((at for at, (one, other) in pairs if one != other), min(len(first), len(second)))


def _may_be_same(one: Facts, other: Facts) -> bool:
    return not one.brand or not other.brand or one.brand == other.brand


def _candidates(facts: Sequence[Facts], words: TitleWords) -> Iterator[list[int]]:
    """Yield for each item the later items that share a word that few have, or the whole core of the title."""
    holders: dict[object, list[int]] = defaultdict(list)
    for at, each in enumerate(facts):
        for word in each.words:
            if 1 < words.counts[word] <= MOST_HOLDERS:
                holders[word].append(at)
        holders[each.brand, each.core].append(at)
    for at, each in enumerate(facts):
        shared: dict[int, float] = defaultdict(float)
        for word in sorted(each.words):
            # Only later items, so that each pair is compared once. The sum over sorted words has the same rounding in
            # every process.
            for other in holders.get(word, ()):
                if other > at:
                    shared[other] += words.weight(word)
        for other in holders[each.brand, each.core][:MOST_HOLDERS]:
            if other > at:
                shared[other] += 1.0
        yield sorted(sorted(shared, key=lambda other: (-shared[other], other))[:MOST_CANDIDATES])
