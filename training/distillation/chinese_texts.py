"""Readers of Chinese shop texts for the student's training; docs/model.md describes their origin.

The texts pass through `normalise_query` and `item_text`, so they are in simplified characters, as for a worker.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from inference.encoding.text import item_text, normalise_query
from inference.errors import DataError
from inference.types import Item
from training.distillation.corpus import TrainingTexts

QUERIES, TAGGED = "mcpr_train.query.txt", "ner_train.txt"
LITEMALL, NEWBEE = "litemall.sql", "newbee.sql"
MOST_QUERIES = 30_000
PRODUCT, BRAND = "HCCX", "HPPX"
"""Tags of product words and of brands."""
# A value of a row: in single quotes, with \ or a doubled quote as escapes, or plain; then a comma, or the bracket that
# ends the row.
_VALUE = re.compile(r"\s*(?:'((?:[^'\\]|\\.|'')*)'|([^,()']+))\s*([,)])", re.DOTALL)

Span = tuple[str, str]
"""A tagged part of a title: its text and its tag."""


def read_chinese_shops(folder: Path) -> TrainingTexts:
    """Read searches, tagged titles and the goods of two shops, of the files that are in `folder`.

    A product word of a title is a search that leads to the title. Searches without titles are only imitated.

    Raises:
        DataError: a file is damaged.
    """
    readers = {QUERIES: _searches, TAGGED: _tagged, LITEMALL: _litemall, NEWBEE: _newbee}
    texts = TrainingTexts()
    for name, read in readers.items():
        path = folder / name
        if path.is_file():
            try:
                texts += read(path)
            except (OSError, UnicodeDecodeError, ValueError, IndexError) as error:
                raise DataError(f"{path}: required the file of docs/model.md, got: {error}") from error
    return texts


def tagged_titles(path: Path) -> Iterator[tuple[str, list[Span]]]:
    """Yield each title of a file of one tagged character a line, with its tagged parts."""
    for block in path.read_text(encoding="utf-8").split("\n\n"):
        letters = [(line[:1], line[2:]) for line in block.split("\n") if line]
        spans = list[Span]()
        for letter, tag in letters:
            if tag.startswith("B-"):
                spans.append((letter, tag[2:]))
            elif tag.startswith("I-") and spans:
                spans[-1] = (spans[-1][0] + letter, spans[-1][1])
        if letters:
            yield "".join(letter for letter, _ in letters), spans


def sql_rows(text: str, table: str) -> Iterator[list[str]]:
    r"""Yield the rows that the statements of a MySQL dump insert into `table`, each value as text.

    >>> list(sql_rows("INSERT INTO `a` VALUES (1,'x, (y)\\'s'),(2,NULL);", "a"))
    [['1', "x, (y)'s"], ['2', 'NULL']]
    """
    for statement in re.finditer(rf"INSERT INTO `{table}`[^;']*?VALUES", text):
        at = statement.end()
        while (opened := re.compile(r"[\s,]*\(").match(text, at)) is not None:
            at, row = opened.end(), list[str]()
            while (value := _VALUE.match(text, at)) is not None:
                quoted, plain, end = value.groups()
                row.append(plain.strip() if quoted is None else re.sub(r"\\(.)|'(')", r"\1\2", quoted))
                at = value.end()
                if end == ")":
                    break
            else:
                raise ValueError(f"required the rows of {table}, got {text[at : at + 40]!r}")
            yield row


def _searches(path: Path) -> TrainingTexts:
    lines = path.read_text(encoding="utf-8").splitlines()
    queries = (normalise_query(line.partition("\t")[2]) for line in lines[:MOST_QUERIES])
    return TrainingTexts(words=tuple(dict.fromkeys(query for query in queries if query)))


def _tagged(path: Path) -> TrainingTexts:
    searches, titles = list[tuple[str, str]](), list[str]()
    for title, spans in tagged_titles(path):
        line = item_text(Item(item_id="1", title=title))
        titles.append(line)
        products = [text for text, tag in spans if tag == PRODUCT and len(text) > 1]
        brands = [text for text, tag in spans if tag == BRAND and len(text) > 1]
        chosen = [*products, *(brand + product for brand in brands[:1] for product in products[:1])]
        searches += [(normalise_query(text), line) for text in dict.fromkeys(chosen)]
    return TrainingTexts(titles=tuple(titles), searches=tuple(each for each in searches if each[0]))


def _litemall(path: Path) -> TrainingTexts:
    text = path.read_text(encoding="utf-8")
    categories = {row[0]: row[1] for row in sql_rows(text, "litemall_category")}
    return _goods((row[2], row[7], categories.get(row[3])) for row in sql_rows(text, "litemall_goods"))


def _newbee(path: Path) -> TrainingTexts:
    text = path.read_text(encoding="utf-8")
    categories = {row[0]: row[3] for row in sql_rows(text, "tb_newbee_mall_goods_category")}
    return _goods((row[1], row[2], categories.get(row[3])) for row in sql_rows(text, "tb_newbee_mall_goods_info"))


def _goods(goods: Iterable[tuple[str, str, str | None]]) -> TrainingTexts:
    """Return the texts of goods, each its title, description and category."""
    titles, lines, descriptions, searches = [], [], [], []
    for title, description, category in goods:
        line = item_text(Item(item_id="1", title=title))
        if not line:
            continue
        titles.append(line)
        names = (category,) if category else ()
        lines.append((line, item_text(Item(item_id="1", title=title, category=names, description=description))))
        if told := item_text(Item(item_id="1", title=description)):
            descriptions.append((line, told))
        if category and (query := normalise_query(category)):
            searches.append((query, line))
    return TrainingTexts(
        titles=tuple(titles), lines=tuple(lines), descriptions=tuple(descriptions), searches=tuple(searches)
    )
