"""Run the demo and write its most varied screen to docs/demo.svg: `python docs/hooks/screenshot.py`."""

from __future__ import annotations

import re
from io import StringIO
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console

from streams.demo import run
from streams.demo.output import LiveOutput
from streams.demo.run import Demo, DemoOptions
from streams.demo.view import Screen

OUTPUT = Path(__file__).parents[1] / "demo.svg"
WIDTH, HEIGHT, WARM = 100, 30, 1500
# The default format loads a font from the network.
FORMAT = re.sub(r"@font-face \{\{.*?\n    \}\}\n", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)


class Photographer(LiveOutput):
    """Keeps the frame whose list has the most kinds of reasons."""

    kinds = 0

    def start(self) -> None:
        """Show nothing."""

    def show(self, now: float) -> None:
        """Export the frame if it is the best so far."""
        stats = self._stats
        stats.rates(now)  # computed at every call: they need the figures of the last seconds
        if stats.answered < WARM or stats.shown is None:
            return
        kinds = len({" ".join(item.reason.split()[:2]) for item in stats.shown.message.items[:11]})
        if kinds > self.kinds:
            self.kinds = kinds
            console = Console(record=True, width=WIDTH, height=HEIGHT, file=StringIO(), force_terminal=True)
            console.print(Screen(stats, self._heading, now))
            console.save_svg(str(OUTPUT), title="make demo", code_format=FORMAT)

    def stop(self) -> None:
        """Stop nothing."""


if __name__ == "__main__":
    run.LiveOutput = Photographer  # type: ignore[misc]
    options = DemoOptions(events=3000, rate=60, catalogue_size=5000, keep=False, broker=None, shopper=None, opens=False)
    Demo(options, Console(force_terminal=True)).run()
