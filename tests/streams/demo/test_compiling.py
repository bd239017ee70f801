"""The demo compiles kernels with a bar on a terminal, and with a line before and after elsewhere."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from rich.progress import Progress

from inference.kernels.compiler import Begin, Compilation, Report
from streams.demo.run import compile_kernels
from streams.demo.words import ENGLISH, words

Said = list[str]


def said(monkeypatch: pytest.MonkeyPatch, missing: int, *, is_terminal: bool) -> Said:
    """Return the lines of a compilation of so many kernels. A line has the number of kernels that are compiled then."""
    lines, compiled = Said(), 0

    def prepare(data_dir: Path, report: Report, begin: Begin) -> Compilation:
        nonlocal compiled
        if missing:
            begin(missing)
        for number in range(1, missing + 1):
            compiled = number
            report(number, missing, 0.5)
        return Compilation(missing, 60 - missing, 41.6)

    def bar(text: str) -> Progress:
        assert "kernels" in text
        return Progress(console=Console(file=StringIO(), force_terminal=is_terminal), disable=not is_terminal)

    monkeypatch.setattr("streams.demo.run.prepare", prepare)
    compile_kernels(Path("data"), bar, lambda line: lines.append(f"{compiled}: {line}"), ENGLISH)
    return lines


def test_without_a_terminal_a_line_comes_before_the_compilation(monkeypatch: pytest.MonkeyPatch) -> None:
    assert said(monkeypatch, 52, is_terminal=False) == [
        "0: Compiling 52 numeric kernels for this processor: 30 seconds to 3 minutes the first time",
        "52: 52 numeric kernels compiled in 42 s",
    ]


def test_on_a_terminal_the_bar_shows_the_compilation(monkeypatch: pytest.MonkeyPatch) -> None:
    assert said(monkeypatch, 52, is_terminal=True) == ["52: 52 numeric kernels compiled in 42 s"]


@pytest.mark.parametrize("is_terminal", [False, True])
def test_kernels_from_the_cache_are_not_mentioned(monkeypatch: pytest.MonkeyPatch, *, is_terminal: bool) -> None:
    assert said(monkeypatch, 0, is_terminal=is_terminal) == []


def test_the_lines_are_translated() -> None:
    assert words("zh")("%(number)d numeric kernels compiled in %(seconds).0f s") % {"number": 2, "seconds": 3} == (
        "已编译 2 个数值内核，用时 3 秒"
    )
