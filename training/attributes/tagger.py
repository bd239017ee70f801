"""A linear tagger of title words on the encoder's states, trained on weak labels, and what it adds to rules.

The weak labels are the values of a catalogue's own attributes where its titles contain them. Workers do not use the
tagger: docs/attributes.md has the reasons.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from inference.attributes.derive import derive
from inference.attributes.names import BRAND, COLOUR, MATERIAL, MODEL
from inference.encoding.text import MAX_TITLE_CHARS, clean
from training.attributes.hidden import Hidden, Label, is_in_text, is_right, part_of
from training.attributes.measure import TEST_PART, Score
from training.distillation.token_states import Span, TokenStates

TAGGED: Final = (BRAND, COLOUR, MATERIAL, MODEL)
PENALTY: Final = 1.0
LEAST: Final = 0.8
"""Least mean probability of a value's words."""
_WORD: Final = re.compile(r"[^\s,;()\[\]]+")
_STATE_SCALE: Final = 3.0

Floats = npt.NDArray[np.float32]


class Read(NamedTuple):
    """A title, its words, their features (words, features), and their weak tags (words,), 0 for none."""

    item: Hidden
    title: str
    words: list[Span]
    features: Floats
    tags: npt.NDArray[np.int64]


class Outcome(NamedTuple):
    """The scores of a tagger, and of the rules with the tagger where they find nothing."""

    way: str
    tagger: tuple[Score, ...]
    rules: tuple[Score, ...]
    both: tuple[Score, ...]


def measure_tagger(items: Sequence[Hidden], bundle: Path, most: int) -> list[Outcome]:
    """Return the scores on at most `most` items of the tested half, with a tagger trained on as many of the other half.

    The second outcome is that on brands of which the tagger saw no item. Raises BundleError.
    """
    parts = [[each for each in items if (part_of(each.item.item_id, 2) == TEST_PART) == test] for test in (False, True)]
    states = TokenStates.of(bundle)
    known, tested = (_read(part[:most], states) for part in parts)
    first, second = (
        [each for each in part if _brand_part(each.item) == half] for half, part in ((0, known), (1, tested))
    )
    return [_outcome("same brands", known, tested), _outcome("other brands", first, second)]


def weak_tags(title: str, words: Sequence[Span], labels: Mapping[str, Label]) -> npt.NDArray[np.int64]:
    """Return the place in TAGGED, from 1 on, of the attribute whose value contains each word of a title; 0 for none."""
    tags = np.zeros(len(words), dtype=np.int64)
    folded = title.casefold()
    for tag, name in enumerate(TAGGED, start=1):
        values = {value.casefold().partition(" (")[0] for _, given in labels.get(name, ()) for value in given}
        for value in sorted(values, key=len, reverse=True):
            for found in re.finditer(rf"(?<!\w){re.escape(value)}(?!\w)", folded) if len(value) > 1 else ():
                for place, (begin, end) in enumerate(words):
                    if begin < found.end() and found.start() < end and not tags[place]:
                        tags[place] = tag
    return tags


def fit(features: Floats, tags: npt.NDArray[np.int64], classes: int) -> Floats:
    """Return the weights (features + 1, classes) of a softmax regression with an L2 penalty, by L-BFGS."""
    inputs = np.column_stack([features, np.ones(len(features), dtype=np.float32)]).astype(np.float64)
    wanted = np.eye(classes)[tags]

    def loss(flat: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        weights = flat.reshape(inputs.shape[1], classes)
        likely = _softmax(inputs @ weights)
        value = -np.log(np.maximum(likely[np.arange(len(tags)), tags], 1e-12)).sum() + PENALTY / 2 * (weights**2).sum()
        return float(value), (inputs.T @ (likely - wanted) + PENALTY * weights).ravel()

    start = np.zeros(inputs.shape[1] * classes)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 120})
    return np.asarray(found.x.reshape(inputs.shape[1], classes), dtype=np.float32)


def values_of(read: Read, weights: Floats) -> dict[str, str]:
    """Return the likeliest run of words of each attribute, if it is likely enough."""
    if not read.words:
        return {}
    likely = _softmax(np.column_stack([read.features, np.ones(len(read.features), dtype=np.float32)]) @ weights)
    tags = likely.argmax(axis=1)
    best: dict[str, tuple[float, str]] = {}
    at = 0
    while at < len(tags):
        end = at + 1
        while end < len(tags) and tags[end] == tags[at]:
            end += 1
        tag = int(tags[at])
        if tag:
            value = (float(likely[at:end, tag].mean()), read.title[read.words[at][0] : read.words[end - 1][1]])
            best[TAGGED[tag - 1]] = max(best.get(TAGGED[tag - 1], (LEAST, "")), value)
        at = end
    return {name: value for name, (_, value) in best.items() if value}


def _outcome(way: str, known: Sequence[Read], tested: Sequence[Read]) -> Outcome:
    features = np.concatenate([each.features for each in known])
    tags = np.concatenate([each.tags for each in known])
    weights = fit(features, tags, len(TAGGED) + 1)
    tagged = [values_of(each, weights) for each in tested]
    rules = [{value.name: value.value for value in derive(each.item.item)} for each in tested]
    both = [{**found, **own} for found, own in zip(tagged, rules, strict=True)]
    items = [each.item for each in tested]
    return Outcome(way, *(tuple(_score(name, items, found) for name in TAGGED) for found in (tagged, rules, both)))


def _score(name: str, items: Sequence[Hidden], found: Iterable[dict[str, str]]) -> Score:
    pairs = [(each, values.get(name)) for each, values in zip(items, found, strict=True) if name in each.labels]
    good = [value is not None and is_right(name, value, each.labels[name]) for each, value in pairs]
    in_text = sum(
        right or is_in_text(name, each.item, each.labels[name]) for (each, _), right in zip(pairs, good, strict=True)
    )
    derived = sum(value is not None for _, value in pairs)
    return Score(name, len(pairs), in_text, derived, sum(good), derived)


def _read(items: Sequence[Hidden], states: TokenStates) -> list[Read]:
    titles = [clean(each.item.title, MAX_TITLE_CHARS) for each in items]
    words = [[found.span() for found in _WORD.finditer(title)] for title in titles]
    return [
        Read(
            item, title, spans, np.column_stack([found / _STATE_SCALE, _shapes(title, spans)]).astype(np.float32),
            weak_tags(title, spans, item.labels),
        )
        for item, title, spans, found in zip(items, titles, words, states.of_words(titles, words), strict=True)
    ]  # fmt: skip


def _shapes(title: str, words: Sequence[Span]) -> Floats:
    """Return the place and the shape of each word, (words, 10)."""
    shapes = np.zeros((len(words), 10), dtype=np.float32)
    for place, (begin, end) in enumerate(words):
        word = title[begin:end]
        digits, letters = sum(map(str.isdigit, word)), sum(map(str.isalpha, word))
        shapes[place] = (
            place == 0, place == 1, min(place, 10) / 10, place == len(words) - 1, digits > 0 and letters > 0,
            digits > 0 and not letters, word[:1].isupper(), word.isupper() and letters > 1,
            digits / len(word), "-" in word,
        )  # fmt: skip
    return shapes


def _brand_part(item: Hidden) -> int:
    return part_of(item.labels[BRAND][0][1][0], 2)


def _softmax(logits: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), dtype=np.float64)
