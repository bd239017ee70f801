"""The training corpus: every text once, by number, and the pairs of texts that belong together. No I/O.

Texts that derive from a held-out title are in no pair. `held_out` has these titles for validation.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import combinations

import numpy as np
import numpy.typing as npt

from inference.types import stable_key
from training.distillation.material import Material
from training.distillation.spans import sample_span

Ids = npt.NDArray[np.int32]

SPANS, DESCRIPTIONS, MATCHES, TOGETHER, SEARCHES, LINES, WORDS = (
    "spans", "descriptions", "matches", "together", "searches", "lines", "words",
)  # fmt: skip
SPANS_PER_TITLE = 2
HELD_OUT_ONE_IN = 40
_BASKET = 40
_TOGETHER_LEAST = 8
_TOGETHER_EACH = 5
_PHRASES_PER_WORD = 1.0


@dataclass(frozen=True, slots=True)
class Pairs:
    """Texts that belong together, ids of shape (n,); `negatives` are look-alikes of a text that do not belong to it.

    If `right` equals `left`, the text is not part of a pair: the student only imitates the teacher's vector of it.
    """

    left: Ids
    right: Ids
    negatives: Mapping[int, Ids]

    def __len__(self) -> int:
        return len(self.left)


@dataclass(frozen=True, slots=True)
class Grades:
    """A query's id and its graded items: ids and grades, (n,)."""

    query: int
    items: Ids
    grades: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Corpus:
    """Texts by number, pairs by source, graded queries, and the numbers of held-out titles."""

    texts: tuple[str, ...]
    pairs: Mapping[str, Pairs]
    graded: tuple[Grades, ...]
    held_out: Ids

    @property
    def digest(self) -> str:
        """The digest of the corpus: the same for the same texts in the same order."""
        found = blake2b(digest_size=8)
        for text in self.texts:
            found.update(text.encode() + b"\0")
        return found.hexdigest()


def build_corpus(material: Material, words: Sequence[str], seed: int) -> Corpus:
    """Return the corpus of `material`, with sampled pseudo-queries and phrases of `words`, and co-occurring items."""
    return _Builder(seed).build(material, words)


def together(baskets: Iterable[Sequence[str]], least: int = _TOGETHER_LEAST) -> list[tuple[str, str]]:
    """Return the pairs bought together at least `least` times that are among the nearest by cosine of either item.

    Cosine of two items: baskets with both / √(baskets with one · baskets with the other). Of large baskets the first
    40 items count: baskets of resellers are weak evidence of items that belong together.
    """
    single: Counter[str] = Counter()
    double: Counter[tuple[str, str]] = Counter()
    for basket in baskets:
        chosen = sorted(set(basket[:_BASKET]))
        single.update(chosen)
        double.update(combinations(chosen, 2))
    near: dict[str, list[tuple[float, str]]] = defaultdict(list)
    for (a, b), count in double.items():
        if count >= least:
            cosine = count / (single[a] * single[b]) ** 0.5
            near[a].append((-cosine, b))
            near[b].append((-cosine, a))
    return sorted({(min(a, b), max(a, b)) for a, others in near.items() for _, b in sorted(others)[:_TOGETHER_EACH]})


class _Builder:
    """A builder that numbers texts in the order in which they are added."""

    def __init__(self, seed: int) -> None:
        self._number: dict[str, int] = {}
        self._generator = np.random.default_rng([seed, 1])

    def build(self, material: Material, words: Sequence[str]) -> Corpus:
        titles = list(dict.fromkeys(title for title in material.titles if title))
        kept = [title for title in titles if not _is_held_out(title)]
        pairs = {
            SPANS: self._pairs((title, span) for title in kept for span in self._spans(title, SPANS_PER_TITLE)),
            DESCRIPTIONS: self._pairs(self._described(material.descriptions)),
            MATCHES: self._matches(material.matches),
            TOGETHER: self._pairs(together(material.baskets)),
            SEARCHES: self._pairs(dict.fromkeys(material.searches)),
            LINES: self._alone(line for title, line in material.lines if not _is_held_out(title)),
            WORDS: self._alone([*words, *self._phrases(words), *material.words]),
        }
        graded = tuple(
            Grades(self._id(query), self._ids(title for title, _ in items), np.array([grade for _, grade in items]))
            for query, items in material.graded
        )
        held_out = self._ids(title for title in titles if _is_held_out(title))
        found = {name: each for name, each in pairs.items() if len(each)}
        return Corpus(tuple(self._number), found, graded, held_out)

    def _described(self, descriptions: Iterable[tuple[str, str]]) -> Iterable[tuple[str, str]]:
        for title, description in descriptions:
            if not _is_held_out(title):
                yield title, description
                yield from ((title, span) for span in self._spans(description, 1))

    def _matches(self, matches: Iterable[tuple[str, str, bool]]) -> Pairs:
        known = [each for each in matches if not _is_held_out(each[0]) and not _is_held_out(each[1])]
        same = self._pairs((a, b) for a, b, match in known if match and a != b)
        others: dict[int, list[int]] = defaultdict(list)
        for a, b, match in known:
            if not match:
                others[self._id(a)].append(self._id(b))
                others[self._id(b)].append(self._id(a))
        return Pairs(same.left, same.right, {key: np.array(each, dtype=np.int32) for key, each in others.items()})

    def _spans(self, text: str, number: int) -> list[str]:
        return [span for span in (sample_span(text, self._generator) for _ in range(number)) if span]

    def _phrases(self, words: Sequence[str]) -> Iterable[str]:
        for _ in range(int(_PHRASES_PER_WORD * len(words))):
            chosen = self._generator.choice(len(words), int(self._generator.integers(2, 4)), replace=False)
            yield " ".join(words[each] for each in chosen)

    def _alone(self, texts: Iterable[str]) -> Pairs:
        ids = self._ids(text for text in dict.fromkeys(texts) if text)
        return Pairs(ids, ids, {})

    def _pairs(self, pairs: Iterable[tuple[str, str]]) -> Pairs:
        numbered = [(self._id(a), self._id(b)) for a, b in pairs]
        left, right = np.array(numbered, dtype=np.int32).reshape(-1, 2).T
        return Pairs(left, right, {})

    def _ids(self, texts: Iterable[str]) -> Ids:
        return np.array([self._id(text) for text in texts], dtype=np.int32)

    def _id(self, text: str) -> int:
        return self._number.setdefault(text, len(self._number))


def _is_held_out(title: str) -> bool:
    return stable_key(title) % HELD_OUT_ONE_IN == 0
