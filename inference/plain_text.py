"""Plain text: texts of a shop and of its shoppers without markup and invisible characters, and their keys. No I/O.

Control characters count as invisible. The encoder, the word index, labels, reasons and terminals use the same
functions.
"""

from __future__ import annotations

import re
import unicodedata
from hashlib import blake2b
from html import unescape

_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|(?:\x1b\]|\x9d)[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?|\x1b[ -~]?"
)
"""Sequences that control a terminal: of colours and the cursor, of its title, and shorter ones."""
_INLINE_TAG = re.compile(r"</?(?:a|b|em|font|i|mark|small|span|strong|sub|sup|u|wbr)(?:\s[^<>]*)?/?>", re.IGNORECASE)
_TAG = re.compile(r"<[!/?]?[A-Za-z-][^<>]*>")
_AMPERSAND = re.compile(r"&(?:amp;)+", re.IGNORECASE)
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
"""An HTML entity with its semicolon. Without one, the name may be a word: `silver&copper` begins with `&cop`."""
_LONE_JOINER = re.compile(r"(?<![^\x00-\x7f\s])[\u200c\u200d]|[\u200c\u200d](?![^\x00-\x7f\s])")
"""Joiners that join nothing. Persian words and emojis of several parts need the others."""
_JOINERS = "\u200c\u200d"
_BLANK_LETTERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
"""Characters that show nothing, although Unicode counts them as letters or symbols."""
_PASSES = 4
"""Most times that a text is cleaned: markup can be escaped within markup."""


class _Visible(dict[int, str | None]):
    """Table for `str.translate`: white space becomes a space; control, format and blank characters are removed."""

    def __missing__(self, code: int) -> str | None:
        char = chr(code)
        if char.isspace():
            self[code] = " "
        elif char in _JOINERS:
            self[code] = char
        elif char in _BLANK_LETTERS or unicodedata.category(char) in ("Cc", "Cf", "Cs"):
            self[code] = None
        else:
            self[code] = char
        return self[code]


_visible = _Visible()


def printable(text: str) -> str:
    r"""Return a text that a terminal can show: one line without control and invisible characters.

    >>> printable("red\x1b[31m\x07 tea\u200b")
    'red tea'
    """
    if not text.isprintable() or not (text.isascii() or _BLANK_LETTERS.isdisjoint(text)):
        text = _LONE_JOINER.sub("", _ESCAPES.sub("", text).translate(_visible))
    return text


def printable_lines(text: str) -> str:
    """Return a text whose lines are printable."""
    return "\n".join(map(printable, text.split("\n")))


def readable(text: str) -> str:
    r"""Return a text as people read it: printable, without HTML, with single spaces.

    >>> readable("  <b>Green</b> tea&nbsp;&amp; gin\u00adger ")
    'Green tea & ginger'
    """
    for _ in range(_PASSES):
        before = text
        text = printable(text)
        if "&" in text:
            text = _ENTITY.sub(lambda entity: unescape(entity[0]), _AMPERSAND.sub("&", text))
        if "<" in text:
            text = _TAG.sub(" ", _INLINE_TAG.sub("", text))
        if text == before:
            break
    return " ".join(text.split())


def without_joiners(text: str) -> str:
    """Return a text without the joiners that `readable` keeps, for matching: shoppers may type them or not."""
    return text.replace("\u200c", "").replace("\u200d", "")


def has_words(text: str) -> bool:
    """Return whether a text has a letter or a digit that people can see.

    >>> [has_words(text) for text in ("tea", "3", "茶", " ", ".", "🎁", "&nbsp;")]
    [True, True, True, False, False, False, False]
    """
    if "&" in text or "<" in text or not (text.isascii() and text.isprintable()):
        text = readable(text)
    return any(map(str.isalnum, text))


def stable_key(text: str) -> int:
    """Return 64 bits of BLAKE2b of `text`: the same in every process, on every machine, for ever."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")


def label_key(label: str | None) -> int:
    """Return the stable key of a category or brand in its readable form; 0 for none and for a blank one."""
    return stable_key(readable(label)) if label is not None and has_words(label) else 0
