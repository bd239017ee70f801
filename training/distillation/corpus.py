"""The training corpus: every text once, by number, and the pairs of texts that belong together. No I/O.

Pseudo-queries are parts of titles and descriptions that a shopper might type to find the item. Texts that derive
from a held-out title are in no pair. `held_out` has these titles for validation.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from hashlib import blake2b
from itertools import combinations

import numpy as np
import numpy.typing as npt

from inference.encoding.text import normalise_query
from inference.types import stable_key

Ids = npt.NDArray[np.int32]

PSEUDO_QUERIES, DESCRIPTIONS, MATCHES, TOGETHER, SEARCHES, LINES, WORDS, TRANSLATIONS = (
    "spans", "descriptions", "matches", "together", "searches", "lines", "words", "translations",
)  # fmt: skip
"""The sources of pairs. Checkpoints and reports of earlier runs contain these names, so `spans` keeps its own."""
HELD_OUT_ONE_IN = 40
_BASKET = 40
_TOGETHER_LEAST = 8
_TOGETHER_EACH = 5
_PHRASES_PER_WORD = 1.0
LONGEST = 8
_SHARES = np.array([5, 8, 6, 4, 2, 2, 1, 1], dtype=np.float64)
"""Relative frequency of pseudo-queries of 1, 2, ... LONGEST words. Most are short, like those that people type."""
_ADJACENT = 0.7
"""Share of the pseudo-queries whose words are adjacent in the title. In the others words are left out, as people do."""
_BETWEEN_CHINESE = re.compile("(?<=[\u4e00-\u9fff]) (?=[\u4e00-\u9fff])")
_EDGES = "\"'.,;:!?()[]{}<>|/\\-–*+&@#"

Split = Callable[[str], list[str]]
GradedQuery = tuple[str, tuple[tuple[str, int], ...]]
"""A query, and titles with the grades that people gave them for it, 0 for an irrelevant title."""


@dataclass(frozen=True, slots=True)
class TrainingTexts:
    """The texts that a student is trained on, cleaned, as the readers return them.

    Attributes:
        titles: titles of items.
        lines: (title, the item as `item_text` writes it, with brand, category, description).
        descriptions: (title, short description) of the same item.
        matches: (title, title, whether both are the same product).
        baskets: titles of items that were bought together.
        searches: (query, title of an item that the shopper acted on afterwards).
        graded: queries with graded titles.
        words: other texts, for which the student only imitates the teacher.
        translations: (text, its translation).
    """

    titles: tuple[str, ...] = ()
    lines: tuple[tuple[str, str], ...] = ()
    descriptions: tuple[tuple[str, str], ...] = ()
    matches: tuple[tuple[str, str, bool], ...] = ()
    baskets: tuple[tuple[str, ...], ...] = ()
    searches: tuple[tuple[str, str], ...] = ()
    graded: tuple[GradedQuery, ...] = ()
    words: tuple[str, ...] = ()
    translations: tuple[tuple[str, str], ...] = ()

    def __add__(self, other: TrainingTexts) -> TrainingTexts:
        return TrainingTexts(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))


@dataclass(frozen=True, slots=True)
class Pairs:
    """Texts that belong together, ids of shape (n,); `negatives` are hard negatives of a text.

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


def build_corpus(
    texts: TrainingTexts, words: Sequence[str], seed: int, split: Split | None = None, spans: int = 2
) -> Corpus:
    """Return the corpus of `texts`, with sampled pseudo-queries and phrases of `words`, and co-occurring items.

    `split` returns the words of a title; without it they are those between spaces. `spans` is the number of
    pseudo-queries of each title.
    """
    return _CorpusBuilder(seed, split or words_of, spans).build(texts, words)


def words_of(title: str) -> list[str]:
    """Return the words of a title without the punctuation around them and without lone signs.

    >>> words_of('Roller - "Coaster", (black)')
    ['Roller', 'Coaster', 'black']
    """
    return [word for word in (each.strip(_EDGES) for each in title.split()) if any(map(str.isalnum, word))]


def joined(words: Sequence[str]) -> str:
    """Return the words as one text, with spaces, but with none between Chinese characters.

    >>> joined(["Apple", "无线", "耳机", "Pro"])
    'Apple 无线耳机 Pro'
    """
    return _BETWEEN_CHINESE.sub("", " ".join(words))


def sample_pseudo_query(title: str, generator: np.random.Generator, split: Split = words_of) -> str:
    """Return a normalised pseudo-query of 1 to LONGEST words of `title`, in their order; empty if it has no words."""
    words = split(title)
    if not words:
        return ""
    shares = _SHARES[: len(words)]
    size = 1 + int(generator.choice(len(shares), p=shares / shares.sum()))
    if generator.random() < _ADJACENT:
        start = int(generator.integers(len(words) - size + 1))
        chosen: Sequence[str] = words[start : start + size]
    else:
        chosen = [words[place] for place in np.sort(generator.choice(len(words), size, replace=False))]
    return normalise_query(joined(chosen))


def together(baskets: Iterable[Sequence[str]], least: int = _TOGETHER_LEAST) -> list[tuple[str, str]]:
    """Return the pairs bought together at least `least` times that are among the nearest by cosine of either item.

    Cosine of two items: baskets with both / √(baskets with one · baskets with the other). Of large baskets the first
    40 items count: baskets of resellers are weak evidence of items that belong together.
    """
    single: Counter[str] = Counter()
    double: Counter[tuple[str, str]] = Counter()
    for basket in baskets:
        # Sorted, so that a pair has one spelling as a key.
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


class _CorpusBuilder:
    """A builder that numbers texts in the order in which they are added."""

    def __init__(self, seed: int, split: Split, spans: int) -> None:
        self._number: dict[str, int] = {}
        self._split = split
        self._spans = spans
        self._generator = np.random.default_rng([seed, 1])

    def build(self, texts: TrainingTexts, words: Sequence[str]) -> Corpus:
        titles = list(dict.fromkeys(title for title in texts.titles if title))
        kept = [title for title in titles if not is_held_out(title)]
        # Texts get their numbers in this order. Another order would change the corpus's digest, and checkpoints would
        # not fit.
        pairs = {
            PSEUDO_QUERIES: self._pairs(
                (title, query) for title in kept for query in self._pseudo_queries(title, self._spans)
            ),
            DESCRIPTIONS: self._pairs(self._described(texts.descriptions)),
            MATCHES: self._matches(texts.matches),
            TOGETHER: self._pairs(together(texts.baskets)),
            SEARCHES: self._pairs(dict.fromkeys(texts.searches)),
            LINES: self._alone(line for title, line in texts.lines if not is_held_out(title)),
            WORDS: self._alone([*words, *self._phrases(words), *texts.words]),
            TRANSLATIONS: self._pairs(each for each in texts.translations if not is_held_out(each[0])),
        }
        graded = tuple(
            Grades(self._id(query), self._ids(title for title, _ in items), np.array([grade for _, grade in items]))
            for query, items in texts.graded
        )
        held_out = self._ids(title for title in titles if is_held_out(title))
        found = {name: each for name, each in pairs.items() if len(each)}
        return Corpus(tuple(self._number), found, graded, held_out)

    def _described(self, descriptions: Iterable[tuple[str, str]]) -> Iterable[tuple[str, str]]:
        for title, description in descriptions:
            if not is_held_out(title):
                yield title, description
                yield from ((title, query) for query in self._pseudo_queries(description, 1))

    def _matches(self, matches: Iterable[tuple[str, str, bool]]) -> Pairs:
        known = [each for each in matches if not is_held_out(each[0]) and not is_held_out(each[1])]
        same = self._pairs((a, b) for a, b, match in known if match and a != b)
        others: dict[int, list[int]] = defaultdict(list)
        for a, b, match in known:
            if not match:
                others[self._id(a)].append(self._id(b))
                others[self._id(b)].append(self._id(a))
        return Pairs(same.left, same.right, {key: np.array(each, dtype=np.int32) for key, each in others.items()})

    def _pseudo_queries(self, text: str, number: int) -> list[str]:
        found = (sample_pseudo_query(text, self._generator, self._split) for _ in range(number))
        return [query for query in found if query]

    def _phrases(self, words: Sequence[str]) -> Iterable[str]:
        for _ in range(int(_PHRASES_PER_WORD * len(words))):
            chosen = self._generator.choice(len(words), int(self._generator.integers(2, 4)), replace=False)
            yield joined([words[each] for each in chosen])

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


def is_held_out(title: str) -> bool:
    """Return whether a title is kept for validation, with all that derives from it."""
    return stable_key(title) % HELD_OUT_ONE_IN == 0
