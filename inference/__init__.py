"""A function: (query, candidates) -> ranked list. Knows neither Kafka nor time nor state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inference.bundle import load_bundle

__all__ = ["load_bundle"]


def __getattr__(name: str) -> Any:
    # The contracts import `inference.types`: they must not pay for a tokenizer and a runtime.
    if name == "load_bundle":
        from inference.bundle import load_bundle

        return load_bundle
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
