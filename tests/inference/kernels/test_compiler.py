"""Kernels are compiled once and cached. Without a writable directory, each process compiles them."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import numba
import pytest

import inference
from inference.kernels import compiler

HELPER = """@compiler.helper
def double(x):
    return 2.0 * x
"""
PROGRAM = f"""
from pathlib import Path
from numba import float64
from inference.kernels import compiler

compiler.BESIDE_SOURCES = Path("/proc/nowhere")

{HELPER}
@compiler.kernel(float64(float64))
def doubled_and_one_more(x):
    return double(x) + 1.0

begun, reported = [], []
done = compiler.compile_all(lambda number, of, seconds: reported.append((number, of)), begun.append)
print(doubled_and_one_more(3.0), done.compiled, done.cached, begun, reported)
"""


def run(tmp_path: Path, **environment: str) -> str:
    """Run the program from a file, as numba's cache goes by the file's name and time."""
    program = tmp_path / "program.py"
    if not program.exists():
        program.write_text(PROGRAM)
    given = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path.cwd()), **environment}  # no HOME
    done = subprocess.run([sys.executable, program], env=given, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_kernel_is_compiled_once_and_then_loaded(tmp_path: Path) -> None:
    cache = str(tmp_path / "cache")
    assert run(tmp_path, NUMBA_CACHE_DIR=cache) == "7.0 1 0 [1] [(1, 1)]"
    assert run(tmp_path, NUMBA_CACHE_DIR=cache) == "7.0 0 1 [] []"


def test_a_damaged_file_of_the_cache_is_compiled_again(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    assert run(tmp_path, NUMBA_CACHE_DIR=str(cache)) == "7.0 1 0 [1] [(1, 1)]"
    for kind, share in (("nbi", 0.0), ("nbi", 0.5), ("nbc", 0.5)):
        (file,) = cache.rglob(f"*.{kind}")
        os.truncate(file, int(file.stat().st_size * share))
        assert run(tmp_path, NUMBA_CACHE_DIR=str(cache)).startswith("7.0 1 0")
    assert run(tmp_path, NUMBA_CACHE_DIR=str(cache)) == "7.0 0 1 [] []"


def test_without_a_directory_and_a_home_kernels_are_compiled_in_each_process(tmp_path: Path) -> None:
    assert run(tmp_path) == "7.0 1 0 [1] [(1, 1)]"


def test_kernels_run_as_python_for_a_debugger(tmp_path: Path) -> None:
    assert run(tmp_path, NUMBA_DISABLE_JIT="1") == "7.0 0 1 [] []"


@pytest.fixture
def directories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    made = {name: tmp_path / name for name in ("given", "sources", "data")}
    monkeypatch.setattr(compiler, "_given", made["given"])
    monkeypatch.setattr(compiler, "BESIDE_SOURCES", made["sources"])
    monkeypatch.setattr(compiler, "_fallback", made["data"])
    monkeypatch.setattr(numba.config, "CACHE_DIR", numba.config.CACHE_DIR)
    return made


def unwritable(directory: Path) -> None:
    """Put a file where the directory would have to be: root may write everywhere else."""
    directory.write_text("")


def test_the_first_writable_directory_is_used(directories: dict[str, Path], tmp_path: Path) -> None:
    for directory in directories.values():
        assert compiler.use_cache(tmp_path)
        assert Path(numba.config.CACHE_DIR).parent == directory
        directory.rmdir()
        unwritable(directory)


def test_without_a_writable_directory_a_warning_has_the_variable(
    directories: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for directory in directories.values():
        unwritable(directory)
    compiler._warn.cache_clear()
    with caplog.at_level(logging.WARNING):
        assert not compiler.use_cache(tmp_path)
    assert "NUMBA_CACHE_DIR" in caplog.text


def test_a_changed_dependency_recompiles_a_kernel(tmp_path: Path) -> None:
    cache = str(tmp_path / "cache")
    helpers = tmp_path / "helpers.py"
    helpers.write_text("from inference.kernels.compiler import helper\n@helper\ndef double(x):\n    return 2.0 * x\n")
    (tmp_path / "program.py").write_text(PROGRAM.replace(HELPER, "from helpers import double\n"))
    assert run(tmp_path, NUMBA_CACHE_DIR=cache) == "7.0 1 0 [1] [(1, 1)]"
    assert run(tmp_path, NUMBA_CACHE_DIR=cache) == "7.0 0 1 [] []"
    helpers.write_text(helpers.read_text().replace("2.0", "3.0"))
    assert run(tmp_path, NUMBA_CACHE_DIR=cache) == "10.0 1 0 [1] [(1, 1)]"


def test_the_version_of_a_kernel_includes_all_imported_files() -> None:
    """Constants and helpers of these files are compiled into the kernel."""
    root = Path(inference.__file__).parent
    for module in (*root.glob("kernels/*.py"), *root.glob("ranking/*.py")):
        covered = {*(file.parent for file in compiler.sources_of_kernels(module.parent))}
        for name in re.findall(r"^from (inference\.[\w.]+) import", module.read_text(), re.MULTILINE):
            assert root.parent.joinpath(*name.split(".")).parent in covered, f"{module.name} imports {name}"
