"""A function: (query, candidates) -> ranked list. Knows neither Kafka nor time nor state."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inference.bundle import load_bundle

__all__ = ["load_bundle"]

# From 1.29 on, ONNX Runtime's Linux builds report the models they open to their maker unless told before its import.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


def __getattr__(name: str) -> Any:
    # The contracts import `inference.types`: they must not pay for a tokenizer and a runtime.
    if name == "load_bundle":
        from inference.bundle import load_bundle

        return load_bundle
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
