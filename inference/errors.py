"""The exceptions of inference, as one tree.

InferenceError
├── BundleError      a model bundle is incomplete, damaged, or its outputs differ from those in its manifest
├── DataError        training data are missing or damaged
├── ProviderError    ONNX Runtime is missing, or the installed one cannot be used
└── ScoringError     a model failed on an input
"""

from __future__ import annotations

LONGEST_TEXT = 1000
"""Most characters of the text of a BundleError."""


def one_line(text: str) -> str:
    """Return a text without line breaks and control characters, for a log or a terminal, and not too long."""
    shown = "".join(each if each.isprintable() else " " for each in text)
    shown = " ".join(shown.split())
    return shown if len(shown) <= LONGEST_TEXT else f"{shown[:LONGEST_TEXT]}…"


class InferenceError(Exception):
    """Base class of all errors that inference raises."""


class BundleError(InferenceError):
    """A model bundle is incomplete, damaged, or its outputs differ from those in its manifest.

    The text is one line, although it may quote the bundle's files.
    """

    def __str__(self) -> str:
        return one_line(super().__str__())


class DataError(InferenceError):
    """Training data are missing or damaged."""


class ProviderError(InferenceError):
    """ONNX Runtime is missing, or the installed one cannot be used."""


class ScoringError(InferenceError):
    """A model failed on an input."""
