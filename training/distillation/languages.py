"""Measures how well encoders understand Chinese and English: one score for each search, by task.

Each task is a list of scores in [0, 1], so that encoders can be compared search by search.

graded      NDCG@10 of the graded titles of a search
retrieval   reciprocal rank of the first right title among all titles, 0 beyond the tenth
purity      share of a title's five nearest titles that have one of its product words
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inference.types import Vector
from training.distillation.graded import ndcg

Scores = npt.NDArray[np.float64]
Encode = Callable[[Sequence[str]], Vector]
K, NEAR = 10, 5


@dataclass(frozen=True, slots=True)
class Model:
    """An encoder to compare: functions from texts to L2-normalised vectors."""

    name: str
    queries: Encode
    items: Encode


@dataclass(frozen=True, slots=True)
class Graded:
    """Searches with the titles that people graded for them."""

    name: str
    searches: Sequence[tuple[str, Sequence[tuple[str, int]]]]

    def scores(self, model: Model) -> Scores:
        """Return NDCG@10 of each search by the cosine of its graded titles, (n,)."""
        titles = list(dict.fromkeys(title for _, graded in self.searches for title, _ in graded))
        place = {title: at for at, title in enumerate(titles)}
        items, queries = model.items(titles), model.queries([query for query, _ in self.searches])
        return np.array(
            [
                ndcg(items[[place[title] for title, _ in graded]] @ query, np.array([grade for _, grade in graded]))
                for query, (_, graded) in zip(queries, self.searches, strict=True)
            ]
        )


@dataclass(frozen=True, slots=True)
class Retrieval:
    """Searches, each with its right titles among `titles`, by place."""

    name: str
    searches: Sequence[tuple[str, frozenset[int]]]
    titles: Sequence[str]

    def scores(self, model: Model) -> Scores:
        """Return the reciprocal rank of the first right title of each search, (n,)."""
        items, queries = model.items(self.titles), model.queries([query for query, _ in self.searches])
        found = []
        for query, (_, right) in zip(queries, self.searches, strict=True):
            cosines = items @ query
            best = max(cosines[place] for place in right)
            # Of equal cosines, the wrong titles come first.
            better = int((cosines >= best).sum()) - sum(bool(cosines[place] == best) for place in right)
            found.append(1 / (better + 1) if better < K else 0.0)
        return np.array(found)


@dataclass(frozen=True, slots=True)
class Purity:
    """Titles with their product words. A title of which no other one shares a word is left out."""

    name: str
    titles: Sequence[str]
    products: Sequence[frozenset[str]]

    def scores(self, model: Model) -> Scores:
        """Return the share of each title's nearest titles that have one of its product words, (n,)."""
        items = model.items(self.titles)
        holders: dict[str, set[int]] = defaultdict(set)
        for at, words in enumerate(self.products):
            for word in words:
                holders[word].add(at)
        cosines = items @ items.T
        # A title is not its own neighbour.
        np.fill_diagonal(cosines, -2.0)
        nearest = np.argsort(-cosines, axis=1, kind="stable")[:, :NEAR]
        found = []
        for at, words in enumerate(self.products):
            same = set().union(*(holders[word] for word in words)) - {at}
            if same:
                found.append(sum(int(near) in same for near in nearest[at]) / NEAR)
        return np.array(found)


Task = Graded | Retrieval | Purity


def table(tasks: Sequence[Task], models: Sequence[Model], log: Callable[[str], None] = lambda _: None) -> str:
    """Return a Markdown table: the mean of each task by model with the half width of its 95% interval."""
    rows = ["| | searches | " + " | ".join(model.name for model in models) + " |", "|---" * (2 + len(models)) + "|"]
    for task in tasks:
        log(task.name)
        found = [task.scores(model) for model in models]
        cells = (f"{each.mean():.4f} ± {half_width(each):.3f}" for each in found)
        rows.append(f"| {task.name} | {len(found[0]):,} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def half_width(scores: Scores) -> float:
    """Return half the width of the 95% interval of the mean, by the normal distribution."""
    return float(1.96 * scores.std() / max(len(scores), 1) ** 0.5)
