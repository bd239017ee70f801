"""Compilation of the kernels before the program calls them."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from inference.kernels.compiler import Begin, Compilation, Report, cache_in, compile_all
from inference.retrieval.sources import SOURCES

MODULES = (
    "inference.loading",
    "inference.pipeline",
    "streams.engine",
    "streams.items.trending",
    "streams.behaviour.cooccurrence",
    "streams.kafka.producer",
    *dict.fromkeys(source.module_path for source in SOURCES),
)
"""Modules that import every kernel of an event's path."""


def prepare(data_dir: Path, report: Report | None = None, begin: Begin | None = None) -> Compilation:
    """Compile the kernels that are not yet compiled for this processor and this version of the code.

    `begin` is called before, if there are any, and `report` after each of them. The cache is the first writable
    directory of NUMBA_CACHE_DIR, the sources' own directory and `data_dir`.
    """
    cache_in(data_dir / "kernels")
    for module in MODULES:
        import_module(module)
    return compile_all(report, begin)
