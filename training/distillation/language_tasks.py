"""The tasks of `python -m training.distillation languages`: searches and titles in Chinese, in English and in both.

No student is trained on these data, apart from Chorus: `shop-minilm-l3` is trained on it, and `shop-multilingual-l3`
imitates that student. docs/model.md has the origin of the data.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from inference.chinese import is_chinese
from inference.encoding.text import item_text, normalise_query
from inference.errors import DataError
from inference.types import Item
from training.distillation.chinese_texts import PRODUCT, read_chinese_shops, tagged_titles
from training.distillation.corpus import is_held_out
from training.distillation.dictionaries import read_dictionaries
from training.distillation.judge import read_graded
from training.distillation.languages import Graded, Purity, Retrieval, Task
from training.distillation.public_texts import CHINESE, CHORUS, DICTIONARIES, read_datasets

WEB, TAGGED, CATEGORIES = "chinese_graded/qbqtc_dev.json", "chinese_tagged", "categories"
LANGUAGES = {"Chinese": "zh-CN", "German": "de-DE", "French": "fr-FR", "Spanish": "es-ES"}
ENGLISH = "en-US"
SAMPLE = 2000


def tasks_in(data: Path, demo: Path | None) -> list[Task]:
    """Return the tasks whose data are in the folder `data`, and those of the bilingual catalogue `demo`.

    Raises:
        DataError: a file is damaged, or the folder has no task.
    """
    tasks: list[Task] = []
    if (data / WEB).is_file():
        tasks.append(web_searches(data / WEB))
    if (data / TAGGED).is_dir():
        tasks.append(tagged(sorted((data / TAGGED).glob("*.txt"))))
    if demo is not None:
        tasks += shop_searches(demo)
    if (data / DICTIONARIES).is_dir():
        pairs = held_out_translations(data)
        tasks += [translations(pairs, back=False), translations(pairs, back=True)]
    if (data / CATEGORIES).is_dir():
        tasks += [categories(data / CATEGORIES, language) for language in LANGUAGES]
        tasks += [within(data / CATEGORIES, language) for language in LANGUAGES]
    if (data / CHORUS).is_dir():
        tasks.append(Graded("Chorus, English, NDCG@10", read_graded(data).queries))
    if not tasks:
        raise DataError(f"{data}: required the data of docs/model.md, got none")
    return tasks


def web_searches(path: Path) -> Graded:
    """Read the searches of QBQTC whose titles differ in their grades. Raises DataError."""
    graded: dict[str, list[tuple[str, int]]] = defaultdict(list)
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            graded[normalise_query(row["query"])].append((_title(row["title"]), int(row["label"])))
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{path}: required a line of JSON for each graded title, got: {error}") from error
    mixed = [each for each in graded.items() if each[0] and len({grade for _, grade in each[1]}) > 1]
    return Graded("QBQTC dev, NDCG@10", mixed)


def tagged(paths: Sequence[Path]) -> Purity:
    """Read titles with tagged product words."""
    titles = dict(each for path in paths for each in tagged_titles(path))
    products = [frozenset(text for text, tag in spans if tag == PRODUCT and len(text) > 1) for spans in titles.values()]
    return Purity("Taobao titles, purity@5", [_title(title) for title in titles], products)


def categories(folder: Path, language: str) -> Retrieval:
    """Return the names of Google's product categories in `language` as searches for the English names."""
    names = {code: _names(folder / f"{code}.txt") for code in (LANGUAGES[language], ENGLISH)}
    english = {key: name for key, name in names[ENGLISH].items() if key in names[LANGUAGES[language]]}
    pairs = [(normalise_query(names[LANGUAGES[language]][key]), _title(name)) for key, name in english.items()]
    return _paired(f"{language} category → English, MRR@10", pairs)


def within(folder: Path, language: str) -> Retrieval:
    """Return the last name of each category as a search for the two names above it, both in `language`."""
    paths = [path.split(" > ") for path in _lines(folder / f"{LANGUAGES[language]}.txt").values()]
    pairs = [(normalise_query(path[-1]), _title(" ".join(path[:-1][-2:]))) for path in paths if len(path) > 1]
    return _paired(f"{language} category → its parent, MRR@10", pairs)


def held_out_translations(data: Path) -> list[tuple[str, str]]:
    """Return the pairs of a Chinese word and its translation that no student is trained on."""
    texts = read_datasets(data)
    texts += read_chinese_shops(data / CHINESE)
    used = (*texts.titles, *texts.words, *(query for query, _ in texts.searches))
    pairs = read_dictionaries(data / DICTIONARIES, used)
    return [each for each in pairs if is_held_out(each[0]) and is_chinese(each[0])]


def translations(pairs: Sequence[tuple[str, str]], *, back: bool) -> Retrieval:
    """Return pairs of a Chinese word and its translation as searches for the other side."""
    name = "English word → Chinese" if back else "Chinese word → English"
    turned = [(b, a) if back else (a, b) for a, b in pairs]
    return _paired(f"{name}, dictionary, MRR@10", turned)


def shop_searches(items: Path) -> list[Task]:
    """Return the tasks of a catalogue in JSON Lines with `title` and `title_en`, and of `queries.jsonl` beside it.

    A search finds its own items (grade 2) before those of the same kind (grade 1), among all titles of one language.
    """
    try:
        goods = [json.loads(line) for line in items.read_text(encoding="utf-8").splitlines()]
        rows = [json.loads(line) for line in (items.parent / "queries.jsonl").read_text(encoding="utf-8").splitlines()]
        titles = [(_title(each["title"]), _title(each["title_en"])) for each in goods]
        place = {each["item_id"]: at for at, each in enumerate(goods)}
        searches: dict[str, list[tuple[str, dict[int, int]]]] = defaultdict(list)
        for row in rows:
            grades = {place[each]: 1 for each in row["related_ids"]} | {place[each]: 2 for each in row["item_ids"]}
            searches[row["language"]].append((normalise_query(row["query"]), grades))
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{items}: required items in two languages and queries.jsonl, got: {error}") from error
    tasks: list[Task] = [
        _among(f"demo, {query} search, {name} titles, NDCG@10", searches[code], [pair[side] for pair in titles])
        for query, code in (("Chinese", "zh"), ("English", "en"))
        for side, name in enumerate(("Chinese", "English"))
    ]
    forth = [(normalise_query(chinese), english) for chinese, english in titles]
    back = [(normalise_query(english), chinese) for chinese, english in titles]
    return [
        *tasks,
        _paired("demo, Chinese title → English, MRR@10", forth),
        _paired("demo, English title → Chinese, MRR@10", back),
    ]


def _among(name: str, searches: Iterable[tuple[str, Mapping[int, int]]], titles: Sequence[str]) -> Graded:
    return Graded(name, [(q, [(title, g.get(at, 0)) for at, title in enumerate(titles)]) for q, g in searches])


def _paired(name: str, pairs: Sequence[tuple[str, str]]) -> Retrieval:
    """Return pairs as searches for their title among all titles: no empty ones, and at most SAMPLE."""
    titles = list(dict.fromkeys(title for _, title in pairs))
    place = {title: at for at, title in enumerate(titles)}
    right: dict[str, set[int]] = defaultdict(set)
    for query, title in pairs:
        right[query].add(place[title])
    searches = sorted((query, frozenset(places)) for query, places in right.items() if query)
    chosen = np.random.default_rng(7).permutation(len(searches))[:SAMPLE]
    return Retrieval(name, [searches[each] for each in chosen], titles)


def _title(text: str) -> str:
    return item_text(Item(item_id="1", title=text))


def _names(path: Path) -> dict[str, str]:
    return {key: path.rpartition(" > ")[2] for key, path in _lines(path).items()}


def _lines(path: Path) -> Mapping[str, str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: required the categories of docs/model.md, got: {error}") from error
    return {key: name for key, _, name in (line.partition(" - ") for line in lines) if key.isdigit()}
