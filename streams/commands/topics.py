"""`intentstream topics`: creates or checks the topics on the broker."""

from __future__ import annotations

import asyncio

import click
from rich.table import Table

from streams.commands.options import console_for_tables, with_settings
from streams.kafka.topics import CLOCK, MISSING, POLICY, Topic, check, create
from streams.settings import Settings

EPILOG = """\b
Examples:
  intentstream topics create --broker localhost:9092
  intentstream topics check && intentstream worker
"""

SHORT = {
    (POLICY, "compact"): "compacted",
    (POLICY, "delete"): "limited retention",
    (CLOCK, "LogAppendTime"): "broker's clock",
}


@click.group(epilog=EPILOG)
def topics() -> None:
    """Create or check the Kafka topics.

    Names, partitions and replicas come from the settings.
    """


@topics.command("create", epilog=EPILOG)
@with_settings
def create_command(settings: Settings) -> None:
    """Create the missing topics; existing topics stay as they are."""
    created = asyncio.run(create(settings))
    _show([(topic, "created", "green") for topic in created.made] + [(t, "exists", "dim") for t in created.found])


@topics.command("check", epilog=EPILOG)
@with_settings
def check_command(settings: Settings) -> None:
    """Compare the topics with the requirements; the exit code is 1 if a topic differs."""
    checked = asyncio.run(check(settings))
    wrong = {topic.name: [p.text for p in checked.problems if p.topic == topic.name] for topic in checked.topics}
    _show([(t, "; ".join(wrong[t.name]) or "ok", "red" if wrong[t.name] else "green") for t in checked.topics])
    if checked.unchecked:
        click.echo(f"Not checked: {checked.unchecked}.", err=True)
    if any(problem.text == MISSING for problem in checked.problems):
        click.echo("`intentstream topics create` creates the missing topics.", err=True)
    if checked.problems:
        raise click.exceptions.Exit(1)


def _show(rows: list[tuple[Topic, str, str]]) -> None:
    table = Table("topic", "partitions", "configuration", "state", box=None, pad_edge=False, header_style="bold")
    for topic, state, style in rows:
        config = ", ".join(SHORT.get(setting, "=".join(setting)) for setting in topic.required.items())
        table.add_row(topic.name, str(topic.partitions), config, f"[{style}]{state}[/]")
    console_for_tables().print(table)
