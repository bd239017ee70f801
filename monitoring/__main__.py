"""`python -m monitoring` writes every generated file; with `--check` it only tells which ones are out of date."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from monitoring import dashboards

ROOT = Path(__file__).parent
MAKERS: tuple[Callable[[], Mapping[str, str]], ...] = (dashboards.files,)
"""Each returns contents by path below this folder."""


def made() -> dict[Path, str]:
    """Make the content of every file."""
    return {ROOT / path: content for maker in MAKERS for path, content in maker().items()}


def stale() -> list[Path]:
    """Return the files that are not as they would be made now, and those that nothing makes any more."""
    files = made()
    folders = {path.parent for path in files}
    there = {path for folder in folders for path in folder.glob("*") if path.is_file()}
    wrong = (path for path, content in files.items() if path not in there or path.read_text() != content)
    return sorted({*wrong, *(there - files.keys())})


def main(arguments: Iterable[str]) -> int:
    """Write the files, or check them; returns the exit code."""
    if "--check" in arguments:
        differing = stale()
        for path in differing:
            print(f"{path.relative_to(ROOT.parent)} is not what `python -m monitoring` makes")  # noqa: T201
        return 1 if differing else 0
    for path in stale():
        path.unlink(missing_ok=True)
    for path, content in made().items():
        path.write_text(content)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
