"""`intentstream watch`: shows the recommendations on the output topic."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import aclosing

import click
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from inference.plain_text import readable
from streams.commands.options import with_settings
from streams.contracts.messages import Recommendations
from streams.kafka.feed import Feed
from streams.settings import Settings
from streams.terminal import safe_console

EPILOG = """\b
Examples:
  intentstream watch --user 1204
  intentstream watch --from-beginning --limit 3
"""


@click.command(epilog=EPILOG)
@click.option("--user", metavar="ID", help="Show lists of this shopper only.")
@click.option("--limit", type=click.IntRange(1), help="Stop after so many lists; by default, at Ctrl-C.")
@click.option("--from-beginning", is_flag=True, help="Start with the oldest list on the topic, not with the next.")
@with_settings
def watch(settings: Settings, user: str | None, limit: int | None, from_beginning: bool) -> None:
    """Show recommendations as they arrive, with titles.

    Titles come from the items topic, which is read first.
    """
    asyncio.run(_watch(settings, user, limit, from_beginning))


async def _watch(settings: Settings, user: str | None, limit: int | None, from_beginning: bool) -> None:
    console = safe_console()
    shown = 0
    async with Feed.connected(settings, from_beginning=from_beginning) as feed:
        click.echo(f"{len(feed.titles)} items read; waiting for lists", err=True)
        async with aclosing(feed.recommendations()) as lists:
            async for recommendations in lists:
                if user is None or recommendations.user_id == user:
                    console.print(rendered(recommendations, feed.titles))
                    shown += 1
                    if shown == limit:
                        return


def rendered(recommendations: Recommendations, titles: Mapping[str, str]) -> RenderableType:
    """Render a list: shopper, trigger and intent, then each item with its score, title, reason and sources."""
    trigger = recommendations.trigger
    took = (recommendations.produced_at - trigger.occurred_at).total_seconds()
    answered = f", answered after {took:.3f} s" if 0 <= took < 3600 else ""  # a replayed old event has no latency
    head = Text.assemble(
        (recommendations.user_id, "bold"),
        f"  after {trigger.type} at {trigger.occurred_at:%Y-%m-%d %H:%M:%S}{answered}",
        f"  {recommendations.model.name}/{recommendations.model.version}",
    )
    if recommendations.fallback:
        head.append(f"  fallback: {recommendations.fallback}", "yellow")
    intent = ", ".join(f"{intent.label} {intent.weight:.0%}" for intent in recommendations.intent)
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 1))
    for item in recommendations.items:
        title = Text(readable(titles.get(item.item_id, "")) or item.item_id)
        sources = Text(", ".join(item.sources), "dim")
        reason = Text(item.reason, "italic" if item.because.kind else "italic dim")
        table.add_row(f"{item.rank:>3}", f"{item.score:.2g}", title, reason, sources)
    return Group(head, *([Text(f"intent: {intent}", "cyan")] if intent else []), table, Text())
