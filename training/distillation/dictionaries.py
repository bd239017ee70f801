"""Readers of dictionaries: pairs of texts in two languages. docs/model.md has their origin."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from inference.chinese import is_chinese
from inference.encoding.text import normalise_query
from inference.errors import DataError

CEDICT = "cedict.txt.gz"
WORDNET = "data.noun"
TABLES = ("wn-data-cmn.tab", "wn-wikt-deu.tab", "wn-wikt-fra.tab", "wn-wikt-spa.tab")
"""Words of other languages by their place in the English WordNet 3.0."""
MOST_WORDS = 4
LONGEST_RUN = 6
# `traditional simplified [pinyin] /gloss/gloss/`, of which the simplified word and the glosses are used.
_ENTRY = re.compile(r"\S+ (\S+) \[[^\]]*\] /(.*)/")
_ASIDE = re.compile(r"\([^)]*\)|\[[^\]]*\]")
_GLOSS = re.compile(r"[a-z][a-z0-9' -]*")
_REFERS = re.compile(r"^(?:see|variant|old variant|abbr|surname|also written|erhua|same as)\b")
_RUN = re.compile("[\u4e00-\u9fff]+")

Translation = tuple[str, str]


def read_dictionaries(folder: Path, texts: Iterable[str]) -> list[Translation]:
    """Return pairs of a word and its English translation, of the words that `texts` use.

    Raises:
        DataError: a file is missing or damaged.
    """
    try:
        pairs = [*_cedict(folder / CEDICT), *_wordnet(folder)]
    except (OSError, EOFError, UnicodeDecodeError, ValueError, IndexError) as error:
        raise DataError(f"{folder}: required the dictionaries of docs/model.md, got: {error}") from error
    return in_use(pairs, texts)


def in_use(pairs: Sequence[Translation], texts: Iterable[str]) -> list[Translation]:
    """Return the pairs of a word in use, each pair once.

    A Chinese word is in use if `texts` have all its runs of Chinese characters, another one if they have all English
    words of its translation.

    >>> in_use([("咖啡", "coffee"), ("猫", "cat"), ("hund", "dog"), ("maus", "mouse")], ["速溶咖啡粉", "dog food"])
    [('咖啡', 'coffee'), ('hund', 'dog')]
    >>> in_use([("t恤", "tee"), ("卡拉ok", "karaoke"), ("k歌", "to sing"), ("ñ", "é")], ["纯棉T恤", "家用卡拉OK机"])
    [('t恤', 'tee'), ('卡拉ok', 'karaoke')]
    """
    runs, words = set[str](), set[str]()
    for text in texts:
        folded = text.casefold()
        words.update(re.findall(r"[a-z0-9]+", folded))
        for run in _RUN.findall(folded):
            # Chinese is written without spaces, so every part of a run may be a word.
            runs.update(run[at : at + size] for size in range(1, LONGEST_RUN + 1) for at in range(len(run) + 1 - size))

    def used(word: str, gloss: str) -> bool:
        if is_chinese(word):
            return all(run in runs for run in _RUN.findall(word))
        english = re.findall(r"[a-z0-9]+", gloss)
        return bool(english) and words.issuperset(english)

    return [each for each in dict.fromkeys(pairs) if used(*each)]


def _cedict(path: Path) -> Iterator[Translation]:
    """Yield the words of CC-CEDICT with their first short gloss."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            entry = _ENTRY.match(line)
            if entry is None:
                continue
            word, glosses = normalise_query(entry[1]), list[str]()
            for gloss in entry[2].split("/"):
                text = " ".join(_ASIDE.sub(" ", gloss).split())
                if not _REFERS.match(text) and _GLOSS.fullmatch(text) and len(text.split()) <= MOST_WORDS:
                    glosses.append(re.sub("^(?:to|a|an|the) ", "", text))
            if word:
                yield from ((word, gloss) for gloss in glosses[:1])


def _wordnet(folder: Path) -> Iterator[Translation]:
    """Yield nouns of other languages with the first English word of their synset."""
    english = dict[str, str]()
    for line in (folder / WORDNET).read_text(encoding="utf-8").splitlines():
        if line[:1].isdigit():
            # A line begins with the offset of the synset, its file, its type and the number of its words. The first
            # word follows. The tables name the synset by this offset.
            fields = line.split(" ")
            english[f"{fields[0]}-n"] = normalise_query(fields[4].replace("_", " "))
    for name in TABLES:
        for line in (folder / name).read_text(encoding="utf-8").splitlines():
            synset, _, word = line.partition("\t")
            if synset in english and (text := normalise_query(word.partition("\t")[2].replace("+", ""))):
                yield text, english[synset]
