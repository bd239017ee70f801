"""How well word search finds Chinese titles, by how Chinese text is split: `python -m benchmarks.chinese FOLDER`.

FOLDER has the files of two public data sets, of which none is in this repository:

- `ner_*.txt`: titles of Taobao with tagged products and brands, `data/ecommerce` of allanj/ner_incomplete_annotation on
  GitHub, without a licence (Jie et al. 2019, doi:10.18653/v1/N19-1079). A tagged product, or a brand followed by a
  product of the same title, is a search; the titles that are tagged so are its targets.
- `qbqtc_dev.json`: `dataset/dev.json` of CLUEbenchmark/QBQTC on GitHub, without a licence. Web searches with titles of
  grade 0 to 2. A search has all titles of the file to find its own in.

Columns are NDCG@10 over all titles with a 95% interval, the paired difference to the first row, the precision and the
recall of the titles that match (half the weight of the search, as for `items[].matches`), and the time of a search with
its splitting. `jieba` is optional. So is `opencc`, which converts searches into traditional characters: with it, the
last table compares them as typed and as `inference.chinese` converts them.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import numpy as np
import numpy.typing as npt

from inference.chinese import simplified
from inference.ranking.occlusion import MATCHING_WORDS
from inference.retrieval import tokens
from inference.retrieval.tokens import Word
from inference.retrieval.word_index import FIELD_WEIGHTS, SparseIndex, document
from training.distillation.chinese_texts import BRAND, PRODUCT, tagged_titles

SAMPLE, K, MOST_TARGETS = 1500, 10, 200
Vector = npt.NDArray[np.float64]
Split = Callable[[str], list[Word]]
"""Returns the words of a run of Chinese characters."""


class Task(NamedTuple):
    """Titles, and searches with the grades of titles by their places."""

    name: str
    titles: Sequence[str]
    searches: Sequence[tuple[str, Mapping[int, int]]]


def taobao(folder: Path) -> list[Task]:
    """Return the searches for products, and those for products of a brand."""
    tagged = dict(title for path in sorted(folder.glob("ner_*.txt")) for title in tagged_titles(path))
    titles = [*tagged]
    products, branded = defaultdict[str, dict[int, int]](dict), defaultdict[str, dict[int, int]](dict)
    for place, spans in enumerate(tagged.values()):
        for product in (text for text, tag in spans if tag == PRODUCT and len(text) > 1):
            products[product][place] = 1
            for brand in (text for text, tag in spans if tag == BRAND and len(text) > 1):
                branded[brand + product][place] = 1
    return [
        Task("product", titles, _sample([each for each in products.items() if 2 <= len(each[1]) <= MOST_TARGETS])),
        Task("brand and product", titles, _sample([*branded.items()])),
    ]


def qbqtc(path: Path) -> Task:
    """Return the graded web searches."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    places = {title: place for place, title in enumerate(dict.fromkeys(row["title"] for row in rows))}
    graded = defaultdict[str, dict[int, int]](dict)
    for row in rows:
        graded[row["query"]][places[row["title"]]] = int(row["label"])
    return Task("web search", [*places], _sample([each for each in graded.items() if any(each[1].values())]))


def _sample(searches: Sequence[tuple[str, Mapping[int, int]]]) -> list[tuple[str, Mapping[int, int]]]:
    drawn = sorted(searches, key=lambda search: search[0])
    return random.Random(7).sample(drawn, min(SAMPLE, len(drawn)))


def splits() -> dict[str, Split]:
    """Return the ways to split a run of Chinese characters, the shipped one first."""
    ways: dict[str, Split] = {
        "pairs and characters (shipped)": tokens.unspaced_words,
        "pairs": lambda run: _words(["".join(pair) for pair in pairwise(run)] or [run]),
        "one word of pairs": lambda run: [(tuple("".join(pair) for pair in pairwise(run)) or (run,),)],
        "characters": _words,
    }
    try:
        jieba = import_module("jieba")
    except ImportError:
        return ways
    ways["jieba, search mode"] = lambda run: _words(jieba.cut_for_search(run))
    ways["jieba, search mode, without HMM"] = lambda run: _words(jieba.cut_for_search(run, HMM=False))
    jieba.initialize()
    return ways


def _words(found: Iterable[str]) -> list[Word]:
    return [((token,),) for token in found]


def measured(task: Task) -> tuple[Vector, tuple[float, float], float]:
    """Return NDCG@K of each search, (n,), mean precision and recall of matches, and the microseconds of a search."""
    index = SparseIndex()
    for place, title in enumerate(task.titles):
        index.add(place, document([(FIELD_WEIGHTS["title"], tokens.words(title))]))
    index.search(tokens.words(task.titles[0]))
    found, precisions, recalls, seconds = list[float](), list[float](), list[float](), 0.0
    for text, grades in task.searches:
        started = time.perf_counter()
        matches = index.search(tokens.words(text))
        seconds += time.perf_counter() - started
        # Ties go by a fixed permutation, so that the order of the file decides nothing.
        order = np.lexsort((matches.documents * 7919 % 10007, -matches.shares))
        found.append(_ndcg(matches.documents[order[:K]].tolist(), grades))
        matching = matches.documents[matches.shares >= MATCHING_WORDS].tolist()
        right = sum(grades.get(place, 0) > 0 for place in matching)
        recalls.append(right / sum(grade > 0 for grade in grades.values()))
        if matching:
            precisions.append(right / len(matching))
    quality = float(np.mean(precisions or [0.0])), float(np.mean(recalls))
    return np.array(found), quality, seconds / len(task.searches) * 1e6


def _ndcg(ranked: Sequence[int], grades: Mapping[int, int]) -> float:
    def gain(listed: Iterable[int]) -> float:
        return float(sum((2**grade - 1) / np.log2(place + 2) for place, grade in enumerate(listed)))

    return gain(grades.get(place, 0) for place in ranked) / gain(sorted(grades.values(), reverse=True)[:K])


def in_traditional(task: Task) -> Task | None:
    """Return the searches in Taiwan's characters, None without opencc."""
    try:
        converter = import_module("opencc").OpenCC("s2tw")
    except ImportError:
        return None
    converted = [(converter.convert(text), text, grades) for text, grades in task.searches]
    changed = [(text, grades) for text, typed, grades in converted if text != typed]
    return Task(f"{task.name}, in traditional characters", task.titles, changed)


def main(folder: Path) -> None:
    """Print a table for each task."""
    tasks = [*taobao(folder), qbqtc(folder / "qbqtc_dev.json")]
    for task in tasks:
        _print(task, {name: ("unspaced_words", split) for name, split in splits().items()})
    traditional = in_traditional(tasks[0])
    if traditional is not None and traditional.searches:
        ways = {"converted (shipped)": simplified, "as typed": str}
        _print(traditional, {name: ("simplified", convert) for name, convert in ways.items()})


def _print(task: Task, ways: Mapping[str, tuple[str, object]]) -> None:
    """Print the table of a task. Each way replaces one function of `tokens`."""
    print(f"\n{task.name}: {len(task.searches):,} searches, {len(task.titles):,} titles")
    first = None
    for name, (function, replacement) in ways.items():
        with patch.object(tokens, function, replacement):
            ndcg, (precision, recall), micros = measured(task)
        first = ndcg if first is None else first
        margins = [1.96 * each.std() / len(each) ** 0.5 for each in (ndcg, ndcg - first)]
        means = f"{ndcg.mean():.4f} ± {margins[0]:.4f}  {(ndcg - first).mean():+.4f} ± {margins[1]:.4f}"
        print(f"{name:32s} {means}  {precision:.3f} {recall:.3f}  {micros:4.0f} µs")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
