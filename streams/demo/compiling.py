"""Compilation of the kernels before the demo's worker starts, with a display of the progress."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rich.progress import Progress

from streams.demo.words import Words
from streams.kernels import prepare


def compile_kernels(data_dir: Path, bar: Callable[[str], Progress], say: Callable[[str], None], words: Words) -> None:
    """Compile the kernels that are not in the cache. Without a terminal, the progress is one line before.

    Args:
        data_dir: where the cache is if no other directory is writable.
        bar: returns the bar of a step, disabled without a terminal.
        say: prints a line.
        words: translates the texts.
    """
    with bar(words("Compiling the numeric kernels (cached for the next run)")) as shown:
        task = shown.add_task("", visible=False)

        def begin(number: int) -> None:
            if shown.disable:
                text = words("Compiling %d numeric kernels for this processor: 30 seconds to 3 minutes the first time")
                say(text % number)

        done = prepare(
            data_dir,
            lambda number, of, _seconds: shown.update(task, completed=number, total=of, visible=True),
            begin,
        )
    if done.compiled:
        counts = {"number": done.compiled, "seconds": done.seconds}
        say(words("%(number)d numeric kernels compiled in %(seconds).0f s") % counts)
