"""Words and tokens of texts."""

from __future__ import annotations

import doctest

from inference.retrieval import tokens
from inference.retrieval.tokens import words


def forms(text: str) -> set[str]:
    return {token for word in words(text) for reading in word for token in reading}


def test_docstring_examples_run() -> None:
    assert doctest.testmod(tokens).failed == 0


def test_signs_and_underscores_are_not_words() -> None:
    assert words("™ — _ 'n' …") == words("n")
    assert words("") == []
    assert len(forms("x" * 500)) == 1
