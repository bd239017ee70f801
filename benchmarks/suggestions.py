"""Times of query suggestions: `python -m benchmarks.suggestions`. Processor time, so that other work counts less."""

from __future__ import annotations

from time import thread_time_ns

import click
import numpy as np

from benchmarks.shop import open_shop
from inference.retrieval.catalogue import Catalogue
from inference.retrieval.clicked import Clicked
from inference.suggestions.build import ItemPart, Snapshot, SuggestionBuilder
from inference.types import Item, ItemNeighbours, stable_key

DIM, SOLD, SEED, SEARCHES_OF_ITEM = 384, 5_000, 1, 8


def make_items(count: int, rng: np.random.Generator) -> list[Item]:
    """Return items with titles of two real ones: half of the words of each."""
    sold = open_shop(SOLD, SEED).items
    words = [item.title.split() for item in sold]
    firsts, seconds = rng.integers(len(sold), size=(2, count)).tolist()
    return [
        Item(
            item_id=str(number),
            title=" ".join(words[first][: len(words[first]) // 2 + 1] + words[second][len(words[second]) // 2 :]),
            category=sold[first].category,
            brand=sold[first].brand,
        )
        for number, (first, second) in enumerate(zip(firsts, seconds, strict=True))
    ]


def make_records(items: list[Item], searches: int, rng: np.random.Generator) -> list[ItemNeighbours]:
    """Return the records of items to which `searches` distinct searches led, few of them often."""
    words = np.array(sorted({word.lower() for item in items for word in item.title.split() if word.isalpha()}))
    texts: dict[str, None] = {}
    while len(texts) < searches:
        texts[" ".join(rng.choice(words, rng.integers(1, 4)).tolist())] = None
    ranked = list(texts)
    records = []
    for number, item in enumerate(items):
        held = {ranked[(number * SEARCHES_OF_ITEM + at) % searches] for at in range(SEARCHES_OF_ITEM)}
        popular = ranked[min(int(rng.pareto(0.5)), searches - 1)]
        weights = {text: float(1 + rng.pareto(1.0)) for text in sorted({*list(held)[: SEARCHES_OF_ITEM - 1], popular})}
        records.append(ItemNeighbours(key=stable_key(item.item_id), as_of_ms=0, weight=99.0, queries=weights))
    return records


def measure(items: int, searches: int, completions: int) -> None:
    """Print the times for a catalogue of `items` and `searches` distinct searches."""
    rng = np.random.default_rng(SEED)
    catalogue = Catalogue(DIM, index_words=False)
    clicked = Clicked(catalogue.numbers)
    chosen = make_items(items, rng)
    for item in chosen:
        catalogue.upsert(item, rng.integers(-127, 128, DIM, dtype=np.int8))
    records = make_records(chosen, searches, rng)
    for at in range(0, items, 1000):
        clicked.learn(records[at : at + 1000])
    started = thread_time_ns()
    part, links = ItemPart.of(catalogue, range(catalogue.used)), clicked.copy_records()
    copied = thread_time_ns()
    snapshot = Snapshot.of([part], links)
    builder = SuggestionBuilder()
    builder.build(snapshot)
    first = thread_time_ns()
    suggestions = builder.build(snapshot)
    print(
        f"{items:,} items, {clicked.searches:,} searches: {len(suggestions):,} suggestions; copy "
        f"{(copied - started) / 1e6:.0f} ms, first build {(first - copied) / 1e9:.1f} s, "
        f"next builds {(thread_time_ns() - first) / 1e9:.1f} s"
    )
    intent = rng.standard_normal(DIM).astype(np.float32)
    texts = [suggestions.entries.texts[at] for at in rng.integers(len(suggestions), size=completions)]
    times: dict[str, list[int]] = {}
    for text in texts:
        typed = text[: rng.integers(1, 13)]
        at = int(rng.integers(len(typed)))
        for name, run in (
            ("complete", lambda typed=typed: suggestions.complete(typed)),
            ("complete, with intent", lambda typed=typed: suggestions.complete(typed, intent=intent)),
            (
                "complete, one letter less",
                lambda typed=typed, at=at: suggestions.complete(typed[:at] + typed[at + 1 :]),
            ),
            ("related", lambda text=text: suggestions.related(text)),
        ):
            began = thread_time_ns()
            run()
            times.setdefault(name, []).append(thread_time_ns() - began)
    for name, taken in times.items():
        p50, p99 = np.percentile(taken, (50, 99)) / 1e3
        print(f"  {name}: p50 {p50:.0f} µs, p99 {p99:.0f} µs")


@click.command()
@click.option("--items", type=click.IntRange(1), multiple=True, default=(5_000, 100_000), show_default=True)
@click.option("--searches", type=click.IntRange(1), default=20_000, show_default=True)
@click.option("--completions", type=click.IntRange(1), default=1_000, show_default=True)
def main(items: tuple[int, ...], searches: int, completions: int) -> None:
    """Measure the time of a build and of completions."""
    for count in items:
        measure(count, searches, completions)


if __name__ == "__main__":
    main()
