"""The exceptions of inference, as one tree.

InferenceError
├── BundleError      a model bundle is incomplete, damaged, or its outputs differ from those in its manifest
├── DataError        training data are missing or damaged
├── ProviderError    ONNX Runtime is missing, or the installed one cannot be used
└── ScoringError     a model failed on an input
"""

from __future__ import annotations


class InferenceError(Exception):
    """Base class of all errors that inference raises."""


class BundleError(InferenceError):
    """A model bundle is incomplete, damaged, or its outputs differ from those in its manifest."""


class DataError(InferenceError):
    """Training data are missing or damaged."""


class ProviderError(InferenceError):
    """ONNX Runtime is missing, or the installed one cannot be used."""


class ScoringError(InferenceError):
    """A model failed on an input."""
