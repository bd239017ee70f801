"""A smaller wordpiece vocabulary: removes rows that a shop's texts never use from the table and the tokenizer. No I/O.

Special tokens, single characters and continuation pieces stay, so any text can still be tokenised. A word that is
removed is split into pieces.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

_CONTINUES = "##"
_WORD = re.compile("[a-z]{3,}")


def is_unused(token: str) -> bool:
    """Return whether a token is one of BERT's placeholders, which no text uses."""
    return token.startswith("[unused") and token.endswith("]")


def whole_words(tokenizer: bytes) -> list[str]:
    """Return the words of three Latin letters and more that are tokens of their own, in alphabetical order."""
    vocabulary: dict[str, int] = msgspec.json.decode(tokenizer)["model"]["vocab"]
    return sorted(token for token in vocabulary if _WORD.fullmatch(token))


def kept_tokens(tokenizer: bytes, occurring: Iterable[int] | None = None) -> npt.NDArray[np.int64]:
    """Return the ids to keep, rising: all but the placeholders, and with `occurring` only words that occur.

    The special tokens that the tokenizer adds are always kept.
    """
    parsed = msgspec.json.decode(tokenizer)
    vocabulary: dict[str, int] = parsed["model"]["vocab"]
    special = {int(each["id"]) for each in parsed["added_tokens"]}
    found = None if occurring is None else set(occurring)

    def stays(token: str, number: int) -> bool:
        if number in special:
            return True
        if is_unused(token):
            return False
        spelling = token.startswith(_CONTINUES) or len(token) == 1
        return found is None or spelling or number in found

    return np.array(sorted(number for token, number in vocabulary.items() if stays(token, number)), dtype=np.int64)


def pruned_tokenizer(tokenizer: bytes, kept: npt.NDArray[np.int64]) -> bytes:
    """Return tokenizer.json with only the tokens `kept`, with new numbers in their order, without its fixed padding."""
    parsed: dict[str, Any] = msgspec.json.decode(tokenizer)
    number = {int(old): new for new, old in enumerate(kept)}
    vocabulary: dict[str, int] = parsed["model"]["vocab"]
    parsed["model"]["vocab"] = {
        token: number[old] for token, old in sorted(vocabulary.items(), key=lambda each: each[1]) if old in number
    }
    for added in parsed["added_tokens"]:
        added["id"] = number[added["id"]]
    for token in parsed["post_processor"]["special_tokens"].values():
        token["ids"] = [number[each] for each in token["ids"]]
    parsed["padding"] = None
    parsed["truncation"] = None
    return msgspec.json.encode(parsed)
