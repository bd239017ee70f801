"""Compiles kernels with numba: each once for a processor and a version of the code, and kept on disk from then on.

A kernel is a plain function over arrays and scalars. It is compiled when it is first called, or beforehand by
`compile_all`, for the one signature that it declares. Kernels run without the GIL, in IEEE arithmetic and in one
thread: the same input gives the same bits. With NUMBA_DISABLE_JIT=1 they run as Python, for a debugger.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from hashlib import blake2b
from importlib import import_module
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple, TypeVar, cast

import numba
from llvmlite import binding as llvm
from numba.extending import register_jitable

log = logging.getLogger(__name__)

F = TypeVar("F", bound=Callable[..., Any])
Report = Callable[[int, int, float], None]
"""Called with the number of a kernel, from 1 on, how many there are, and the seconds that its compilation took."""

BESIDE_SOURCES = Path(__file__).parent / "__pycache__"

PREFER_512 = "-prefer-256-bit"

check_types = False
"""Whether the types of arguments are found out at every call: in tests, where a wrong one has to be told."""

_kernels: list[_Kernel] = []
_given = Path(os.environ["NUMBA_CACHE_DIR"]) if os.environ.get("NUMBA_CACHE_DIR") else None
_fallback: Path | None = None


class _Kernel:
    """A function, compiled at the first call.

    Numba finds out the types of all arguments at each call, which costs more than a small batch's work: about 0.3 µs an
    array. Here it does so at the first call of a kernel, which is refused where the types are others than declared;
    later calls go straight to the compiled code. They come from the same lines, so their types are the same.
    """

    __slots__ = ("__wrapped__", "_allocates", "_compiled", "_entry", "_signature", "module", "qualname")

    def __init__(self, function: Callable[..., Any], signature: object, *, allocates: bool) -> None:
        self.__wrapped__ = function
        self.module, self.qualname = function.__module__, function.__qualname__
        self._signature = signature
        self._allocates = allocates
        self._compiled: Callable[..., Any] | None = None
        self._entry: Callable[..., Any] | None = None

    def __call__(self, *arguments: Any) -> Any:
        entry = self._entry
        if entry is not None:
            return entry(*arguments)
        compiled = self.compile()
        result = compiled(*arguments)
        if not check_types:
            # Without NUMBA_DISABLE_JIT it is a dispatcher, and has the one signature that it was compiled for.
            self._entry = next((each.entry_point for each in getattr(compiled, "overloads", {}).values()), compiled)
        return result

    def is_cold(self) -> bool:
        """Tell whether another process can compile it into the cache, where no version of it lies yet."""
        if self._compiled is not None or numba.config.DISABLE_JIT or "." in self.qualname or not self._use_cache():
            return False
        return not any(Path(numba.config.CACHE_DIR).glob(f"*/*.{self.qualname}-*.nbi"))

    def _use_cache(self) -> bool:
        return use_cache(Path(self.__wrapped__.__code__.co_filename).parent)

    def compile(self) -> Callable[..., Any]:
        """Compile, or load what was compiled before; nothing happens the second time."""
        if self._compiled is None:
            cached = self._use_cache()
            # `numpy`: a division by zero gives infinity, as in NumPy, so that loops need no branch for it.
            # Without numba's runtime no array is counted when a helper gets it: what `allocates` is about.
            options = {} if self._allocates else {"_nrt": False}
            compile_it = numba.njit(self._signature, nogil=True, cache=cached, error_model="numpy", **options)
            self._compiled = compile_it(self.__wrapped__)
        return self._compiled


def use_wide_registers() -> None:
    """Let LLVM use 512-bit registers where they pay.

    It avoids them because processors before Ice Lake slow down for them. Those that have VNNI do not: there a search of
    the nearest items takes half the time.
    """
    if numba.config.CPU_FEATURES is None and numba.config.CPU_NAME is None:
        features = llvm.get_host_cpu_features()
        if features.get("avx512vnni"):
            numba.config.CPU_FEATURES = f"{features.flatten()},{PREFER_512}"


use_wide_registers()


def has_vnni() -> bool:
    """Tell whether kernels are compiled for a processor that has VNNI with registers of 512 bits."""
    return not numba.config.DISABLE_JIT and "+avx512vnni" in str(numba.config.CPU_FEATURES).split(",")


def kernel(signature: object, *, allocates: bool = True) -> Callable[[F], F]:
    """Declare a kernel of this numba signature: `@kernel(void(float32[::1], int64))`.

    A kernel that makes no arrays itself says so: then arrays that it hands to helpers by the dozen are not
    reference-counted, which else costs more than its loops.
    """

    def declare(function: F) -> F:
        declared = _Kernel(function, signature, allocates=allocates)
        _kernels.append(declared)
        return cast("F", declared)

    return declare


def helper(function: F) -> F:
    """Declare a function that kernels call. It is compiled into each of them."""
    return cast("F", register_jitable(function))


class Compilation(NamedTuple):
    """What `compile_all` did: how many kernels it compiled, how many the cache had, and the seconds that it took."""

    compiled: int
    cached: int
    seconds: float


def compile_all(report: Report | None = None) -> Compilation:
    """Compile every kernel whose module was imported, or load it from the cache.

    Where the cache has nothing of this version, as many processes as there are cores fill it: numba compiles one kernel
    at a time in each. `report` is called after each kernel that had to be compiled.
    """
    began = perf_counter()
    compiled = 0
    cold = [each for each in _kernels if each.is_cold()]
    if len(cold) > 1:
        # Spawned, not forked: a program that compiles may have threads.
        context, workers = multiprocessing.get_context("spawn"), min(len(os.sched_getaffinity(0)), len(cold))
        with ProcessPoolExecutor(workers, context, initializer=_cache_like, initargs=(_fallback,)) as processes:
            for seconds in processes.map(_compile_one, [(each.module, each.qualname) for each in cold]):
                compiled += 1
                if report is not None:
                    report(compiled, len(cold), seconds)
    for number, each in enumerate(_kernels, start=1):
        started = perf_counter()
        if sum(_misses(each.compile())):
            compiled += 1
            if report is not None:
                report(number, len(_kernels), perf_counter() - started)
    return Compilation(compiled, len(_kernels) - compiled, perf_counter() - began)


def _cache_like(fallback: Path | None) -> None:
    if fallback is not None:
        cache_in(fallback)


def _compile_one(place: tuple[str, str]) -> float:
    """Compile one kernel in a process of its own, into the cache; return the seconds that it took."""
    module, qualname = place
    declared = getattr(import_module(module), qualname)
    began = perf_counter()
    declared.compile()
    return perf_counter() - began


def _misses(function: Any) -> Iterable[int]:
    """Return how often each signature of a compiled function was not in the cache."""
    stats = getattr(function, "stats", None)  # none where NUMBA_DISABLE_JIT left the function as it was
    return () if stats is None else stats.cache_misses.values()


def cache_in(directory: Path) -> None:
    """Set where compiled kernels are kept if neither NUMBA_CACHE_DIR nor the sources' own directory can be written."""
    global _fallback
    _fallback = directory


def use_cache(sources: Path) -> bool:
    """Choose the cache's directory; False where none can be written, and kernels are compiled in each process.

    NUMBA_CACHE_DIR comes first, then the directory beside the sources (a checkout), then what `cache_in` was given
    (a container whose file system is read-only). Numba itself fails where it finds no directory.

    Numba compiles a kernel again when the kernel's own file changes. It does not notice changes in other files,
    although their helpers, layouts and constants are compiled into the kernel. Each version of the sources therefore
    gets its own directory in the cache. `sources` is the directory of the kernel's file.
    """
    for directory in (_given, BESIDE_SOURCES, _fallback):
        if directory is not None and _is_writable(directory):
            numba.config.CACHE_DIR = str(directory / f"kernels-{_digest(sources)}")
            return True
    _warn()
    return False


@cache
def _digest(sources: Path) -> str:
    """Return a hash of all source files that kernels may use.

    These are the files of this package, of `inference` and `inference.retrieval`, and of the kernel's own directory.
    """
    here = Path(__file__).parent
    digest = blake2b(digest_size=6)
    for directory in dict.fromkeys((here, here.parent, here.parent / "retrieval", sources)):
        for file in sorted(directory.glob("*.py")):
            digest.update(file.read_bytes())
    return digest.hexdigest()


@cache
def _warn() -> None:
    log.warning(
        "no directory for compiled kernels can be written: they are compiled again at every start. "
        "Set NUMBA_CACHE_DIR to a directory that can"
    )


def _is_writable(directory: Path) -> bool:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            return True
    except OSError:
        return False
