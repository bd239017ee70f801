"""The demo's output: a live screen on a terminal, otherwise a line every few seconds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rich.console import Console
from rich.live import Live

from streams.demo.summary import plain_line
from streams.demo.tally import Tally
from streams.demo.view import Screen

PLAIN_SECONDS = 5.0


class LiveShow:
    """A live view on the alternate screen; the terminal's earlier content returns at the end."""

    def __init__(self, console: Console, tally: Tally, heading: str) -> None:
        self._live = Live(console=console, screen=True, auto_refresh=False)
        self._tally = tally
        self._heading = heading

    def start(self) -> None:
        """Switch to the alternate screen."""
        self._live.start()

    def show(self, now: float) -> None:
        """Draw the current figures."""
        if self._live.is_started:
            self._live.update(Screen(self._tally, self._heading, now), refresh=True)

    def stop(self) -> None:
        """Switch back to the normal screen."""
        self._live.stop()


@dataclass(slots=True)
class PlainShow:
    """A line of figures every `PLAIN_SECONDS`."""

    say: Callable[[str], None]
    tally: Tally
    _next: float | None = None

    def start(self) -> None:
        """Start to print."""
        self._next = 0.0

    def show(self, now: float) -> None:
        """Print a line if one is due."""
        # Computed at every call: the rates need the figures of the last seconds.
        line = plain_line(self.tally, now)
        if self._next is not None and now >= self._next:
            self._next = now + PLAIN_SECONDS
            self.say(line)

    def stop(self) -> None:
        """Stop printing."""
        self._next = None
