"""`python -m monitoring` writes every generated file; `--check` only lists the files that are out of date."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from monitoring import dashboards, kubernetes, metrics_page

ROOT = Path(__file__).parents[1]
MAKERS: tuple[Callable[[], Mapping[str, str]], ...] = (
    dashboards.files,
    metrics_page.files,
    kubernetes.files,
)
"""Each returns file contents, keyed by path in the repository."""


def made() -> dict[str, str]:
    """Return the content of every generated file, keyed by path."""
    return {path: content for maker in MAKERS for path, content in maker().items()}


def stale() -> list[str]:
    """Return the paths of the files that are missing or out of date."""
    return [path for path, content in made().items() if not _is(ROOT / path, content)]


def main(arguments: Sequence[str]) -> int:
    """Write the files, or check them with `--check`. Return the exit code."""
    if "--check" in arguments:
        differing = stale()
        for path in differing:
            print(f"{path} is out of date: run `python -m monitoring`")  # noqa: T201
        return 1 if differing else 0
    for path, content in made().items():
        (ROOT / path).write_text(content, encoding="utf-8")
    return 0


def _is(path: Path, content: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == content


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
