"""Which kernels a program needs, compiled before it needs them."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from inference.kernels.compiler import Compilation, Report, cache_in, compile_all

MODULES = (
    "inference.loading",
    "inference.pipeline",
    "streams.engine",
    "streams.items.trending",
    "streams.behaviour.pairs",
)
"""They import every kernel of an event's path."""


def prepare(data_dir: Path, report: Report | None = None) -> Compilation:
    """Compile what is not compiled yet for this processor and this version of the code.

    Compiled kernels are kept in NUMBA_CACHE_DIR, else beside the sources, else under `data_dir`, whichever comes first
    that can be written.
    """
    cache_in(data_dir / "kernels")
    for module in MODULES:
        import_module(module)
    return compile_all(report)
