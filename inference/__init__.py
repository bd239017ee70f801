"""Ranking as a function: (query, candidates) -> ranked list. It does not depend on Kafka, time or state."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inference.bundle import load_bundle

__all__ = ["load_bundle"]

# From 1.29 on, ONNX Runtime's Linux builds report opened models to Microsoft unless this is set before the import.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


def __getattr__(name: str) -> Any:
    # Imported on first use: the contracts import `inference.types`, and must not load a tokenizer and a runtime.
    if name == "load_bundle":
        from inference.bundle import load_bundle

        return load_bundle
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
