"""Resolve pyproject.toml into the pinned, hashed locks that every installation uses.

`python requirements/lock.py` writes the locks, and keeps pins that still satisfy pyproject.toml. `--check` changes
nothing, and fails if a lock does not match pyproject.toml. The locks name no package index: an installation uses the
index that the machine is configured for.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
TESTED = "dev.lock"
BUILD = "build.lock"
LOCKS = {
    TESTED: ("cpu", "demo", "bench", "dev"),
    "distill.lock": ("cpu", "demo", "distill", "dev"),
    "cpu.lock": ("cpu",),
    "gpu.lock": ("gpu",),
    "demo.lock": ("cpu", "demo"),
    "learn.lock": ("cpu", "train"),
    BUILD: (),
}
IMAGES = ("cpu.lock", "gpu.lock", "demo.lock", "learn.lock", BUILD)
"""The locks of the container images. They use the versions that the tests ran with."""


def resolve(lock: Path, extras: tuple[str, ...], *, upgrade: bool) -> None:
    """Write `lock` for all platforms and all Python versions that pyproject.toml allows."""
    options = [flag for extra in extras for flag in ("--extra", extra)]
    options += ["--constraint", str(HERE / TESTED)] if lock.name in IMAGES else []
    options += ["--upgrade"] if upgrade else []
    source = "-" if lock.name == BUILD else "pyproject.toml"
    subprocess.run(  # noqa: S603
        [
            *(sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--universal", "--generate-hashes"),
            *("--python-version", "3.11", "--no-emit-index-url", "--no-header", "--no-annotate"),
            *(*options, source, "--output-file", str(lock)),
        ],
        cwd=HERE.parent,
        input=build_requirements(),
        text=True,
        check=True,
    )


def build_requirements() -> str:
    """Return the build requirements, one on each line. uv cannot read them from pyproject.toml by itself."""
    project = tomllib.loads((HERE.parent / "pyproject.toml").read_text())
    return "\n".join(project["build-system"]["requires"])


def main() -> int:
    """Write the locks, or check them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="fail if a lock is out of date")
    parser.add_argument("--upgrade", action="store_true", help="use the newest versions that fit")
    options = parser.parse_args()
    stale = []
    for name, extras in LOCKS.items():
        if not options.check:
            resolve(HERE / name, extras, upgrade=options.upgrade)
            continue
        with tempfile.TemporaryDirectory() as directory:
            copy = Path(shutil.copy(HERE / name, directory))
            resolve(copy, extras, upgrade=False)
            if copy.read_text() != (HERE / name).read_text():
                stale.append(name)
    if stale:
        sys.stderr.write(f"requirements: {', '.join(stale)} out of date with pyproject.toml; run `make lock`\n")
    return 1 if stale else 0


if __name__ == "__main__":
    raise SystemExit(main())
