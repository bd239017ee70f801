"""Run the demo and write its most varied screen to docs/demo.svg, or with `zh` to docs/demo-zh.svg.

`python docs/hooks/screenshot.py`, `python docs/hooks/screenshot.py zh`
"""

from __future__ import annotations

import re
import sys
from html import unescape
from io import StringIO
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.cells import cell_len
from rich.console import Console

from streams.demo import run
from streams.demo.output import LiveOutput
from streams.demo.run import Demo, DemoOptions
from streams.demo.view import Screen
from streams.demo.words import Language

LANGUAGE: Language = "zh" if sys.argv[1:] == ["zh"] else "en"
OUTPUT = Path(__file__).parents[1] / ("demo-zh.svg" if LANGUAGE == "zh" else "demo.svg")
WIDTH, HEIGHT, WARM = 100, 30, 1500
TITLE = "make demo" if LANGUAGE == "en" else 'make demo ARGS="--language zh"'
# The default format loads a font from the network.
FORMAT = re.sub(r"@font-face \{\{.*?\n    \}\}\n", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)


def in_cells(text: re.Match[str]) -> str:
    """Return a text of the picture in the width of its cells. rich counts one for each character."""
    length, attributes, content = text.groups()
    plain = unescape(content)
    return f'textLength="{float(length) / len(plain) * cell_len(plain):g}"{attributes}>{content}<'


class Photographer(LiveOutput):
    """Keeps the frame whose list has the most kinds of reasons, of those that name the producer of wrong data."""

    kinds = 0

    def start(self) -> None:
        """Show nothing."""

    def show(self, now: float) -> None:
        """Export the frame if it is the best so far."""
        stats = self._stats
        stats.rates(now)  # computed at every call: they need the figures of the last seconds
        if stats.answered < WARM or stats.shown is None or not stats.findings:
            return
        kinds = len({item.because.kind for item in stats.shown.message.items[:11]})
        if kinds > self.kinds:
            self.kinds = kinds
            console = Console(record=True, width=WIDTH, height=HEIGHT, file=StringIO(), force_terminal=True)
            console.print(Screen(stats, self._heading, now, self._words))
            svg = console.export_svg(title=TITLE, code_format=FORMAT)
            OUTPUT.write_text(re.sub(r'textLength="([\d.]+)"([^>]*)>([^<]+)<', in_cells, svg), encoding="utf-8")

    def stop(self) -> None:
        """Stop nothing."""


if __name__ == "__main__":
    run.LiveOutput = Photographer  # type: ignore[misc]
    options = DemoOptions(
        language=LANGUAGE,
        events=3000,
        rate=60,
        catalogue_size=5000,
        keep=False,
        broker=None,
        shopper=None,
        opens=False,
        wrong_data=True,
    )
    Demo(options, Console(force_terminal=True)).run()
