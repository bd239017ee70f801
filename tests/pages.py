"""Fenced blocks of the repository's pages."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
FENCED = re.compile(r'^```(\w+)(?: title="([^"]*)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    language: str
    title: str
    text: str


def blocks(page: str, language: str = "", chapter: str = "") -> list[Block]:
    """Return a page's fenced blocks of a language, or all of them; with `chapter` only those under that heading."""
    text = (ROOT / page).read_text(encoding="utf-8")
    if chapter:
        (text,) = re.findall(rf"^## {re.escape(chapter)}$(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    found = FENCED.findall(text)
    return [Block(*each) for each in found if language in ("", each[0])]


def block(page: str, language: str, part: str) -> str:
    """Return the text of the one block that contains `part`."""
    (found,) = (each.text for each in blocks(page, language) if part in each.text)
    return found
