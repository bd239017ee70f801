"""What can go wrong in inference, as one tree.

InferenceError
├── BundleError      a model bundle is incomplete, damaged, or does not compute what its manifest promises
├── DataError        training data are missing or damaged
├── ProviderError    the installed ONNX Runtime cannot give what was asked of it
└── ScoringError     a model failed on an input
"""

from __future__ import annotations


class InferenceError(Exception):
    """Anything that inference refuses or fails to do."""


class BundleError(InferenceError):
    """A model bundle is incomplete, damaged, or does not compute what its manifest promises."""


class DataError(InferenceError):
    """Training data are missing or damaged."""


class ProviderError(InferenceError):
    """The installed ONNX Runtime cannot give what was asked of it."""


class ScoringError(InferenceError):
    """A model failed on an input."""
