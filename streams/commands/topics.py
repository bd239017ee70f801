"""`intentstream topics`: creates or checks the topics on the broker."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import click
from rich.table import Table

from streams.commands.options import console_for_tables, with_settings
from streams.kafka.topics import CLOCK, MISSING, POLICY, Problem, Topic, check, create
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
    wrong, advice = _texts(checked.problems), _texts(checked.advice)
    _show(
        [
            (t, wrong.get(t.name) or advice.get(t.name) or "ok", _style(t.name in wrong, t.name in advice))
            for t in checked.topics
        ]
    )
    if checked.unchecked:
        click.echo(f"Not checked: {checked.unchecked}.", err=True)
    if any(problem.text == MISSING for problem in checked.problems):
        click.echo("`intentstream topics create` creates the missing topics.", err=True)
    if checked.problems:
        raise click.exceptions.Exit(1)


def _texts(problems: Iterable[Problem]) -> dict[str, str]:
    """Return the problems of each topic that has any, as one text."""
    texts: dict[str, list[str]] = {}
    for problem in problems:
        texts.setdefault(problem.topic, []).append(problem.text)
    return {topic: "; ".join(parts) for topic, parts in texts.items()}


def _style(is_wrong: bool, has_advice: bool) -> str:
    return "red" if is_wrong else "yellow" if has_advice else "green"


def _show(rows: list[tuple[Topic, str, str]]) -> None:
    table = Table("topic", "partitions", "configuration", "state", box=None, pad_edge=False, header_style="bold")
    for topic, state, style in rows:
        config = ", ".join(SHORT.get(setting, "=".join(setting)) for setting in topic.required.items())
        table.add_row(topic.name, str(topic.partitions), config, f"[{style}]{state}[/]")
    console_for_tables().print(table)
