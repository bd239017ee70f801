"""The batches of training, drawn from (seed, stage, step) alone, so that a resumed run gets the same ones. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training.distillation.corpus import Corpus, Grades, Ids
from training.distillation.plan import Stage

SEED_SHARE = 4
"""One pair in SEED_SHARE is drawn at random. The others are its neighbours by the teacher's vectors: hard negatives."""
_NEAR = 16
_LOOKED_AT = 4096
"""Number of random rows that are searched for neighbours: near enough, and fast."""

Places = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Graded:
    """A graded query: its place in the batch, the places of its items and their grades, (n,)."""

    query: int
    items: Places
    grades: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Batch:
    """The texts of a training step, each once. The other attributes are places among them.

    Attributes:
        texts: numbers in the corpus, (m,).
        left, right: pairs that belong together, (p,).
        anchors, negatives: hard negatives of a left side: places among the pairs and the texts, (k,).
        graded: graded queries.
    """

    texts: Ids
    left: Places
    right: Places
    anchors: Places
    negatives: Places
    graded: tuple[Graded, ...]


class Sampler:
    """A sampler of batches from a corpus; `vectors` are the teacher's, float16 (texts, dim)."""

    def __init__(self, corpus: Corpus, vectors: npt.NDArray[np.float16], graded: Sequence[Grades], seed: int) -> None:
        self._corpus = corpus
        self._graded = tuple(graded)
        self._seed = seed
        self._sides = {name: vectors[pairs.left] for name, pairs in corpus.pairs.items()}

    def batch(self, stage: Stage, index: int, step: int) -> Batch:
        """Return the batch of step `step` of stage number `index`."""
        # The 2 keeps these draws apart from those of the corpus, which has 1 in this place.
        generator = np.random.default_rng([self._seed, 2, index, step])
        left: list[int] = []
        right: list[int] = []
        anchors: list[int] = []
        negatives: list[int] = []
        for name, size in stage.pairs.items():
            pairs = self._corpus.pairs.get(name)
            if pairs is None:
                continue
            rows = self._rows(name, size, generator)
            for row in rows.tolist():
                a, b = int(pairs.left[row]), int(pairs.right[row])
                # Negatives are known for either side, so both sides become the anchor.
                if generator.random() < 0.5 and pairs.negatives:
                    a, b = b, a
                known = pairs.negatives.get(a)
                if known is not None:
                    anchors.append(len(left))
                    negatives.append(int(generator.choice(known)))
                left.append(a)
                right.append(b)
        return self._numbered(left, right, anchors, negatives, self._lists(stage, generator))

    def _rows(self, name: str, size: int, generator: np.random.Generator) -> Places:
        """Return `size` rows of a source: random ones and their neighbours."""
        sides = self._sides[name]
        seeds = generator.choice(len(sides), min(max(1, size // SEED_SHARE), len(sides)), replace=False)
        looked_at = generator.choice(len(sides), min(_LOOKED_AT, len(sides)), replace=False)
        closeness = sides[looked_at].astype(np.float32) @ sides[seeds].astype(np.float32).T
        near = min(_NEAR, len(looked_at))
        # One column for each seed: its `near` closest rows among those looked at, in no order.
        nearest = looked_at[np.argpartition(-closeness, near - 1, axis=0)[:near]]
        rows = [generator.choice(each, min(SEED_SHARE - 1, near), replace=False) for each in nearest.T]
        return np.unique(np.concatenate([seeds, *rows]))

    def _lists(self, stage: Stage, generator: np.random.Generator) -> list[tuple[int, Ids, npt.NDArray[np.int64]]]:
        if not self._graded or not stage.lists:
            return []
        chosen = generator.choice(len(self._graded), min(stage.lists, len(self._graded)), replace=False)
        lists = []
        for each in chosen:
            graded = self._graded[each]
            rows = generator.permutation(len(graded.items))[: stage.list_items]
            lists.append((graded.query, graded.items[rows], graded.grades[rows]))
        return lists

    @staticmethod
    def _numbered(
        left: list[int],
        right: list[int],
        anchors: list[int],
        negatives: list[int],
        lists: list[tuple[int, Ids, npt.NDArray[np.int64]]],
    ) -> Batch:
        # A text of several pairs is encoded once. `np.unique` sorts, so the batch does not depend on the order of its
        # parts.
        parts = [left, right, negatives, [query for query, _, _ in lists], *(items.tolist() for _, items, _ in lists)]
        texts = np.unique(np.array([each for part in parts for each in part], dtype=np.int32))
        place = {int(text): at for at, text in enumerate(texts)}

        def places(ids: Sequence[int]) -> Places:
            return np.array([place[int(each)] for each in ids], dtype=np.int64)

        return Batch(
            texts=texts,
            left=places(left),
            right=places(right),
            anchors=np.array(anchors, dtype=np.int64),
            negatives=places(negatives),
            graded=tuple(Graded(place[query], places(items.tolist()), grades) for query, items, grades in lists),
        )
