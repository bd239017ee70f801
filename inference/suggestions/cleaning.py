"""Texts that must never be suggested: personal data, links, and words that the shop blocks. No I/O.

A search reaches other shoppers only if several distinct shoppers acted after it. These rules are the second barrier:
they refuse what looks like an address or a number of a person, also if many people have searched for it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from inference.encoding.text import written_query
from inference.suggestions.keys import is_unspaced, match_key, same_key

LONGEST = 64
"""Characters of the longest suggestion."""
LONGEST_WORD = 32
"""Characters of the longest word: longer ones are keys, tokens and hashes."""
DIGITS = 7
"""Digits in a row, with separators or brackets between them, that may be a telephone, card or account number."""

# An at sign, also a wide one; `(at)` in brackets; or `jo at shop dot example`.
_EMAIL = re.compile(r"[@＠]|[(\[{]\s*at\s*[)\]}]|\w\s+at\s+[\w.-]+\s*(?:\.|\sdot\s)\s*\w{2,}")
# A scheme, `www.`, a name with a common ending of domains, or a name with a path, such as `shop.example/sale`.
_URL = re.compile(
    r"://|\bwww\.|\b[\w-]+\.(?:com|net|org|info|biz|io|eu|uk|de|fr|es|it|nl|pl|ch|at|ru|cn|jp|in|br|us|ca|au|me|tv|shop)"
    r"(?![\w-])|\w\.\w{2,}/"
)
# Up to three signs or spaces, and an underscore, may stand between two digits.
_DIGITS = re.compile(rf"\d(?:[^\w]{{0,3}}_?\d){{{DIGITS - 1},}}")
# Unicode categories without a visible form: control, format, private use, surrogates, unassigned.
_UNSEEN = frozenset(("Cc", "Cf", "Co", "Cs", "Cn"))


class BlockList:
    """Words and phrases that no suggestion may contain, as whole words in singular or plural.

    Args:
        lines: one word or phrase each. Blank lines are ignored, and so are lines that begin with `#`.
    """

    def __init__(self, lines: Iterable[str] = ()) -> None:
        stripped = (line.strip() for line in lines)
        phrases = {same_key(match_key(line)) for line in stripped if line and not line.startswith("#")} - {""}
        # Words of an unspaced script have no borders, so they are looked for anywhere.
        self._anywhere = tuple(sorted(phrase for phrase in phrases if is_unspaced(phrase)))
        self._words = frozenset(phrase for phrase in phrases if not is_unspaced(phrase))
        self._longest = max((phrase.count(" ") + 1 for phrase in self._words), default=0)

    def blocks(self, text: str) -> bool:
        """Return whether a text contains a blocked word or phrase."""
        if not self._words and not self._anywhere:
            return False
        key = same_key(match_key(text))
        if any(phrase in key for phrase in self._anywhere):
            return True
        words = key.split()
        spans = ((at, at + length) for at in range(len(words)) for length in range(1, self._longest + 1))
        return any(" ".join(words[start:end]) in self._words for start, end in spans)


def publishable(text: str, blocked: BlockList) -> str | None:
    """Return a text as it may be suggested to everyone, as a query is shown; None if it may not.

    >>> [publishable(text, BlockList(["nude"])) for text in ("USB  Cable", "jo@shop.example", "Nude tights")]
    ['usb cable', None, None]
    """
    # The length is tested first, so that a huge text costs nothing.
    if len(text) > 4 * LONGEST:
        return None
    clean = written_query(text)
    if not clean or len(clean) > LONGEST or len(max(clean.split(), key=len)) > LONGEST_WORD:
        return None
    if _EMAIL.search(clean) or _URL.search(clean) or _DIGITS.search(clean):
        return None
    # Signs without a form would make two suggestions look alike, or hide the end of one.
    if not clean.isascii() and any(unicodedata.category(char) in _UNSEEN for char in clean):
        return None
    return None if not match_key(clean) or blocked.blocks(clean) else clean
