"""`python -m streams.demo.chinese.bilingual FOLDER`: writes the Chinese demo's goods with titles in both languages.

`python -m training.distillation languages --catalogue FOLDER/items.jsonl` measures encoders with them. A search has the
words, or the need, of a kind of goods. It finds the goods of this kind before the others of the same group.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec

from streams.demo.chinese.goods import Kind, read_kinds


@click.command(epilog="Example: python -m streams.demo.chinese.bilingual build/bilingual")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
def main(folder: Path) -> None:
    """Write FOLDER/items.jsonl and FOLDER/queries.jsonl."""
    kinds = list(read_kinds().values())
    goods = [
        {"item_id": item.item_id, "title": item.title, "title_en": english}
        for kind in kinds
        for item, english in zip(kind.items, kind.english_titles, strict=True)
    ]
    searches = list(graded_searches(kinds))
    folder.mkdir(parents=True, exist_ok=True)
    encoder = msgspec.json.Encoder()
    (folder / "items.jsonl").write_bytes(encoder.encode_lines(goods))
    (folder / "queries.jsonl").write_bytes(encoder.encode_lines(searches))
    click.echo(f"{len(goods)} items and {len(searches)} searches in {folder}")


def graded_searches(kinds: list[Kind]) -> Iterator[dict[str, Any]]:
    """Yield each search of each kind, with the ids of the kind's goods and of the other goods of its group."""
    groups: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for kind in kinds:
        groups[kind.items[0].category[:-1]] += [item.item_id for item in kind.items]
    for kind in kinds:
        own = [item.item_id for item in kind.items]
        related = [each for each in groups[kind.items[0].category[:-1]] if each not in own]
        for language, queries in (("zh", (*kind.words, *kind.needs)), ("en", kind.english)):
            for query in queries:
                yield {"language": language, "query": query, "item_ids": own, "related_ids": related}


if __name__ == "__main__":
    main()
