"""Compiles kernels with numba, once for each processor and version of the code, and caches them on disk.

A kernel is a plain function over arrays and scalars with one declared signature. It is compiled at its first call, or
beforehand by `compile_all`. Kernels run without the GIL, in IEEE arithmetic and in one thread, so the same input gives
the same bits. With NUMBA_DISABLE_JIT=1 they run as Python, for a debugger.
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
"""Callback with the number of a kernel, from 1 on, the number of kernels, and the seconds that its compilation took."""
Begin = Callable[[int], object]
"""Callback with the number of kernels that have to be compiled. It is not called if there are none."""

BESIDE_SOURCES = Path(__file__).parent / "__pycache__"

PREFER_512 = "-prefer-256-bit"

check_types = False
"""Whether the types of arguments are checked at every call. Tests set it, so that a wrong type is an error."""

_kernels: list[_Kernel] = []
_given = Path(os.environ["NUMBA_CACHE_DIR"]) if os.environ.get("NUMBA_CACHE_DIR") else None
_fallback: Path | None = None


class _Kernel:
    """A function that is compiled at its first call.

    By default numba determines the types of all arguments at each call: about 0.3 µs for each array, more than the work
    of a small batch. Here numba does so only at the first call of a kernel, which fails if the types are not those
    declared. Later calls go straight to the compiled code. They come from the same lines, so their types are the same.
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
            # A dispatcher with the one compiled signature, or with NUMBA_DISABLE_JIT the plain function.
            self._entry = next((each.entry_point for each in getattr(compiled, "overloads", {}).values()), compiled)
        return result

    def is_missing(self) -> bool:
        """Return whether the kernel has to be compiled: the cache has no version of it, or there is no cache."""
        if self._compiled is not None or numba.config.DISABLE_JIT:
            return False
        return not self._use_cache() or not self._cache_files("nbi")

    def is_shared(self) -> bool:
        """Return whether another process can compile the kernel into the cache."""
        return "." not in self.qualname and self._use_cache()

    def _use_cache(self) -> bool:
        return use_cache(Path(self.__wrapped__.__code__.co_filename).parent)

    def _cache_files(self, kind: str) -> list[Path]:
        # Numba's names are `<folder>/<module>.<qualname>-<line>.<python>.nbi` for the index of a function, and `.nbc`
        # for its code.
        return list(Path(numba.config.CACHE_DIR).glob(f"*/*.{self.qualname}-*.{kind}"))

    def compile(self) -> Callable[..., Any]:
        """Compile the kernel, or load it from the cache. A second call returns the same function."""
        if self._compiled is None:
            cached = self._use_cache()
            # `numpy`: a division by zero gives infinity, as in NumPy, so that loops need no branch for it.
            # `_nrt`: without numba's runtime, arrays that helpers receive are not reference-counted; see `kernel`.
            options = {} if self._allocates else {"_nrt": False}
            compile_it = numba.njit(self._signature, nogil=True, cache=cached, error_model="numpy", **options)
            try:
                self._compiled = compile_it(self.__wrapped__)
            except OSError:
                raise  # the cache cannot be read or written, for example on a full disk
            except Exception as error:
                # Numba does not check its files. A truncated or changed one raises whatever its unpickling raises.
                files = self._cache_files("nb[ic]") if cached else []
                if not files:
                    raise
                log.warning("the compiled kernel %s is damaged, it is compiled again: %r", self.qualname, error)
                for file in files:
                    file.unlink(missing_ok=True)
                self._compiled = compile_it(self.__wrapped__)
        return self._compiled


def use_wide_registers() -> None:
    """Let LLVM use 512-bit registers on processors with VNNI.

    LLVM avoids these registers by default, because processors before Ice Lake slow down for them. On processors with
    VNNI they halve the time of a search of the nearest items.
    """
    if numba.config.CPU_FEATURES is None and numba.config.CPU_NAME is None:
        features = llvm.get_host_cpu_features()
        if features.get("avx512vnni"):
            numba.config.CPU_FEATURES = f"{features.flatten()},{PREFER_512}"


use_wide_registers()


def has_vnni() -> bool:
    """Return whether kernels are compiled for a processor that has VNNI with registers of 512 bits."""
    return not numba.config.DISABLE_JIT and "+avx512vnni" in str(numba.config.CPU_FEATURES).split(",")


def kernel(signature: object, *, allocates: bool = True) -> Callable[[F], F]:
    """Declare a kernel with this numba signature: `@kernel(void(float32[::1], int64))`.

    `allocates=False` declares that the kernel creates no arrays. The arrays that it passes to helpers are then not
    reference-counted, which otherwise costs more than its loops.
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
    """Result of `compile_all`: the kernels that it compiled, those that the cache had, and the seconds that it took."""

    compiled: int
    cached: int
    seconds: float


def compile_all(report: Report | None = None, begin: Begin | None = None) -> Compilation:
    """Compile every kernel whose module was imported, or load it from the cache.

    Kernels that the cache lacks are compiled by one process for each core, because numba compiles one kernel at a time
    in a process. `begin` is called before, and `report` after each kernel that had to be compiled.
    """
    began = perf_counter()
    compiled = 0
    missing = [each for each in _kernels if each.is_missing()]
    if missing and begin is not None:
        begin(len(missing))
    cold = [each for each in missing if each.is_shared()]
    if len(cold) > 1:
        # Spawned, not forked: the calling program may have threads.
        context, workers = multiprocessing.get_context("spawn"), min(len(os.sched_getaffinity(0)), len(cold))
        with ProcessPoolExecutor(workers, context, initializer=_cache_like, initargs=(_fallback,)) as processes:
            for seconds in processes.map(_compile_one, [(each.module, each.qualname) for each in cold]):
                compiled += 1
                if report is not None:
                    report(compiled, len(cold), seconds)
    # The other processes filled the cache. This one loads each kernel from it and compiles those that they could not.
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
    """Compile one kernel into the cache, in a worker process; return the seconds that it took."""
    module, qualname = place
    declared = getattr(import_module(module), qualname)
    began = perf_counter()
    declared.compile()
    return perf_counter() - began


def _misses(function: Any) -> Iterable[int]:
    """Return how often each signature of a compiled function was not in the cache."""
    stats = getattr(function, "stats", None)  # with NUMBA_DISABLE_JIT a plain function, without statistics
    return () if stats is None else stats.cache_misses.values()


def cache_in(directory: Path) -> None:
    """Set the cache directory for the case that neither NUMBA_CACHE_DIR nor the sources' directory is writable."""
    global _fallback
    _fallback = directory


def use_cache(sources: Path) -> bool:
    """Choose the cache directory. Return False if none is writable; then each process compiles its kernels.

    NUMBA_CACHE_DIR comes first, then the directory beside the sources (a checkout), then that of `cache_in` (a
    container whose file system is read-only). Numba itself fails if it finds no directory.

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
    """Return a hash of all source files that the kernels of a directory may use."""
    digest = blake2b(digest_size=6)
    for file in sources_of_kernels(sources):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def sources_of_kernels(directory: Path) -> list[Path]:
    """Return all source files that the kernels of a directory may use.

    These are the files of the directory itself, of this package, and of those parts of `inference` whose constants,
    layouts and helpers kernels import.
    """
    here = Path(__file__).parent
    inference = here.parent
    directories = dict.fromkeys((here, inference, inference / "encoding", inference / "retrieval", directory))
    return [file for each in directories for file in sorted(each.glob("*.py"))]


@cache
def _warn() -> None:
    log.warning(
        "no directory for compiled kernels can be written: they are compiled again at every start. "
        "Set NUMBA_CACHE_DIR to a writable directory"
    )


def _is_writable(directory: Path) -> bool:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            return True
    except OSError:
        return False
