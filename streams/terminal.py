"""Consoles for commands: no text of a shop, a shopper or a model can control the terminal that shows it."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderableType, RenderHook
from rich.segment import Segment

from inference.plain_text import printable_lines


class Printable:
    """A renderable whose texts have no control characters, except those of rich itself."""

    def __init__(self, renderable: RenderableType) -> None:
        self._renderable = renderable

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        for segment in console.render(self._renderable, options):
            if segment.control or segment.text.isprintable():
                yield segment
            else:
                yield Segment(printable_lines(segment.text), segment.style)


class _PrintableOnly(RenderHook):
    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        return [Printable(renderable) for renderable in renderables]


def safe_console(*, width: int | None = None, stderr: bool = False) -> Console:
    """Return a console that prints only printable texts. `Live` needs `Printable` around its renderable."""
    console = Console(width=width, stderr=stderr)
    console.push_render_hook(_PrintableOnly())
    return console
