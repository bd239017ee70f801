"""Texts of a shop, a shopper or a model cannot control the terminal that shows them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from io import StringIO

from click.testing import CliRunner
from rich.console import Console
from rich.live import Live

from streams.cli import cli
from streams.commands.watch import rendered
from streams.contracts.messages import Intent, ModelRef, Recommendations, RecommendedItem, Trigger
from streams.terminal import Printable, safe_console

HOSTILE = "\x1b[2J\x1b]0;owned\x07\x9b31mtext\x08\x00"
AT = datetime(2026, 1, 1, tzinfo=UTC)
STYLES = re.compile(r"\x1b\[[0-9;?]*[mhlAHK]")
"""Sequences that rich itself writes."""


def hostile_list() -> Recommendations:
    return Recommendations(
        recommendation_id="r",
        user_id=HOSTILE,
        trigger=Trigger(event_id="e", type="view", topic="clicks", partition=0, offset=0, occurred_at=AT),
        produced_at=AT,
        items=(RecommendedItem(rank=1, item_id=HOSTILE, score=0.5, sources=(HOSTILE,), reason=HOSTILE),),
        intent=(Intent(kind="query", label=HOSTILE, weight=1.0),),
        model=ModelRef(name=HOSTILE, version=HOSTILE),
        fallback=HOSTILE,
    )


def written(console: Console) -> str:
    assert isinstance(console.file, StringIO)
    return STYLES.sub("", console.file.getvalue()).replace("\n", "")


def test_watch_shows_only_printable_texts() -> None:
    console = safe_console(width=200)
    console.file = StringIO()
    console.print(rendered(hostile_list(), {HOSTILE: f"<b>Red</b> boots{HOSTILE}"}))
    assert "Red bootstext" in written(console)
    assert written(console).isprintable()


def test_a_live_view_shows_only_printable_texts() -> None:
    console = Console(file=StringIO(), force_terminal=True, width=80)
    with Live(Printable(f"[bold]figures[/bold] {HOSTILE}"), console=console, screen=True, auto_refresh=False) as live:
        live.refresh()
    assert "text" in written(console)
    assert written(console).isprintable()


def test_an_error_of_a_command_is_printable() -> None:
    result = CliRunner().invoke(cli, ["model", "info", f"no{HOSTILE}"])
    assert result.exit_code != 0
    assert result.stderr.replace("\n", "").isprintable()
