"""`intentstream dead-letters`: lists and shows refused messages, and sends them again after a repair."""

from __future__ import annotations

import asyncio
import re
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

import click
import msgspec
from rich.table import Table
from rich.text import Text

from streams.commands.options import console_for_tables, with_settings
from streams.contracts.messages import DeadLetter, Fault, Timestamp
from streams.errors import ConfigurationError, InvalidEvent
from streams.kafka.dead_letters import (
    ITEM,
    LIST,
    REFUSED,
    SENT,
    DeadLetters,
    Filter,
    Found,
    Outcome,
    Place,
    Replay,
    can_be_sent,
)
from streams.settings import Settings

EPILOG = """\b
Examples:
  intentstream dead-letters list --topic clicks --since 2h --producer webshop
  intentstream dead-letters show 3/120
  intentstream dead-letters replay --reason unencodable --since 2026-01-31T12:00:00Z
"""
CONDITIONS = ("reasons", "topics", "producers", "since", "until")
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
LONGEST_VALUE = 20_000
"""Most characters of a value that `show` prints."""
OUTCOMES = {
    LIST: "answered with a list",
    ITEM: "published as an item",
    SENT: "sent to an internal topic",
    REFUSED: "refused again",
    None: "without a result yet",
}
P = ParamSpec("P")
R = TypeVar("R")


class Time(click.ParamType):
    """A time: RFC 3339 with an offset from UTC, or how long ago it was, such as 90s, 30m, 2h or 3d."""

    name = "time"

    def convert(self, value: str | datetime, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Return the time in UTC."""
        if isinstance(value, datetime):
            return value
        if match := re.fullmatch(r"(\d{1,6})([smhd])", value):
            return datetime.now(UTC) - timedelta(**{UNITS[match[2]]: int(match[1])})
        try:
            return msgspec.convert(value, type=Timestamp).astimezone(UTC)
        except (msgspec.ValidationError, OverflowError):
            self.fail(f"required a time such as 2026-01-31T12:00:00Z, or 30m, 2h, 3d ago; got {value!r}", param, ctx)


class PlaceType(click.ParamType):
    """The place of a dead letter as `list` prints it: PARTITION/OFFSET."""

    name = "place"

    def convert(self, value: str | Place, param: click.Parameter | None, ctx: click.Context | None) -> Place:
        """Return the place."""
        if isinstance(value, Place):
            return value
        match = re.fullmatch(r"(\d{1,9})/(\d{1,18})", value)
        if match is None:
            self.fail(
                f"required PARTITION/OFFSET as `intentstream dead-letters list` prints it, got {value!r}", param, ctx
            )
        return Place(int(match[1]), int(match[2]))


def with_filter(command: Callable[Concatenate[Settings, Filter, P], R]) -> Callable[..., R]:
    """Add the options of a filter, and pass the filter as the second argument."""

    @click.option("--reason", "reasons", multiple=True, help="Refused for this reason; may be repeated.")
    @click.option("--topic", "topics", multiple=True, help="Of messages on this topic; may be repeated.")
    @click.option("--producer", "producers", multiple=True, help="Of this producer, by `ce_source`; may be repeated.")
    @click.option("--since", type=Time(), metavar="TIME", help="Refused since TIME: RFC 3339, or 30m, 2h, 3d ago.")
    @click.option("--until", type=Time(), metavar="TIME", help="Refused before TIME.")
    @wraps(command)
    def run(settings: Settings, *args: P.args, **options: P.kwargs) -> R:
        conditions: Any = {name: options.pop(name) for name in CONDITIONS}
        known = (*InvalidEvent.REASONS, *InvalidEvent.WORKER_REASONS)
        for name, allowed in (("reasons", known), ("topics", settings.topics.consumed)):
            if unknown := [each for each in conditions[name] if each not in allowed]:
                raise ConfigurationError(
                    f"--{name[:-1]}: required one of {', '.join(allowed)}; got {', '.join(unknown)}"
                )
        return command(settings, Filter(**conditions), *args, **options)

    return run


@click.group("dead-letters", epilog=EPILOG)
def dead_letters() -> None:
    """List, show and replay refused messages.

    Dead letters may contain personal data. docs/contracts.md describes the reasons.
    """


@dead_letters.command("list", epilog=EPILOG)
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="Show at most the newest ones.")
@with_settings
@with_filter
def list_(settings: Settings, wanted: Filter, limit: int) -> None:
    """List dead letters, oldest first, with their counts by topic and reason."""
    found, counts, unreadable = asyncio.run(_newest(settings, wanted, limit))
    table = Table("place", "refused", "message", "reason", "where", "detail", box=None, header_style="bold")
    for place, letter in found:
        more = f" (and {len(letter.others)} more)" if letter.others else ""
        message = f"{letter.topic} {letter.partition}/{letter.offset}"
        when = f"{letter.failed_at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
        cells = (str(place), when, message, letter.reason, letter.where, letter.detail + more)
        table.add_row(*(Text(escaped(cell), overflow="fold") for cell in cells))
    if found:
        console_for_tables().print(table)
    click.echo(_summary(counts, len(found)), err=True)
    if unreadable:
        click.echo(f"{unreadable} messages on the topic are no dead letters.", err=True)


@dead_letters.command(epilog=EPILOG)
@click.argument("places", metavar="PLACE...", nargs=-1, required=True, type=PlaceType())
@with_settings
def show(settings: Settings, places: tuple[Place, ...]) -> None:
    """Show dead letters in full: errors, key, headers and the decoded value.

    PLACE is a dead letter's place as `list` prints it. Control characters are escaped.
    """
    found = asyncio.run(_all(settings, Filter(places=places)))
    for number, each in enumerate(found):
        click.echo(("\n" if number else "") + rendered(each))
    if missing := [str(place) for place in places if place not in {each.place for each in found}]:
        raise click.ClickException(f"no dead letter at {', '.join(missing)}")


@dead_letters.command(epilog=EPILOG)
@click.argument("places", metavar="[PLACE]...", nargs=-1, type=PlaceType())
@click.option("--yes", is_flag=True, help="Send without a question.")
@click.option(
    "--wait", type=click.FloatRange(0), default=30.0, show_default=True, help="Seconds to wait for the results."
)
@with_settings
@with_filter
def replay(settings: Settings, wanted: Filter, places: tuple[Place, ...], *, yes: bool, wait: float) -> None:
    """Send the messages of dead letters to their topics again, after a repair.

    Without PLACE and options, all dead letters are sent. The exit code is 1 if a message is refused again or has no
    result within the wait. A dead letter stays on its topic, so limit a later replay by --since.
    """
    found = asyncio.run(_all(settings, replace(wanted, places=places)))
    sendable = [each for each in found if can_be_sent(each.letter, settings)]
    if left_out := len(found) - len(sendable):
        click.echo(
            f"{left_out} cannot be sent: no bytes in the dead letter, or a topic of another installation.", err=True
        )
    if not sendable:
        click.echo("No dead letter matches.", err=True)
        return
    counts = Counter(each.letter.topic for each in sendable)
    to = ", ".join(f"{number} to {topic}" for topic, number in sorted(counts.items()))
    if not yes:
        click.confirm(f"Send {len(sendable)} messages again: {to}?", abort=True, err=True)
    run = Replay(settings)
    asyncio.run(run.run(sendable, wait))
    _report(run.outcomes, to)


def _report(outcomes: dict[Place, Outcome], to: str) -> None:
    """Print the results of a replay. Exit with 1 if a message failed again."""
    kinds = Counter(outcome.kind for outcome in outcomes.values())
    results = ", ".join(f"{kinds[kind]} {text}" for kind, text in OUTCOMES.items() if kinds[kind])
    click.echo(f"Sent {len(outcomes)} messages ({to}): {results}.")
    for place, (_, letter) in sorted(outcomes.items()):
        if letter is not None:
            click.echo(f"  {place} again: {letter.reason} {escaped(letter.where)}: {escaped(letter.detail)}")
    if kinds[REFUSED] or kinds[None]:
        raise click.exceptions.Exit(1)


def rendered(found: Found) -> str:
    """Return a dead letter in full as text, without control characters."""
    place, letter = found
    lines = [
        f"dead letter  {place}, refused at {letter.failed_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC",
        f"message      {letter.topic}, partition {letter.partition}, offset {letter.offset}",
    ]
    first = Fault(reason=letter.reason, where=letter.where, detail=letter.detail)
    lines += [f"error        {each.reason} {each.where}: {each.detail}" for each in (first, *letter.others)]
    lines.append(f"key          {_text(letter.key)}")
    lines += [f"header       {header.name}: {_text(header.value)}" for header in letter.headers]
    size = "none" if letter.value is None else f"{len(letter.value)} bytes"
    return "\n".join(map(escaped, [*lines, f"value        {size}", *_value_lines(letter)]))


def _value_lines(letter: DeadLetter) -> Iterable[str]:
    """Return the value as indented JSON, else as text, else as hexadecimal digits."""
    value = letter.value or b""
    try:
        shown = msgspec.json.format(value, indent=2).decode()
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        shown = _text(value) if value else ""
    cut = len(shown) - LONGEST_VALUE
    return [*shown[:LONGEST_VALUE].split("\n"), *([f"… and {cut} characters more"] if cut > 0 else [])]


def _text(data: bytes | None) -> str:
    if data is None:
        return "none"
    try:
        return data.decode()
    except UnicodeDecodeError:
        return f"0x{data.hex(' ', 4)}"


def escaped(text: str) -> str:
    """Return a text whose control and format characters are escaped: a terminal would obey them."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


async def _all(settings: Settings, wanted: Filter) -> list[Found]:
    async with DeadLetters.connected(settings) as letters:
        found = [each async for each in letters.read(wanted)]
    return sorted(found, key=lambda each: (each.letter.failed_at, each.place))


async def _newest(settings: Settings, wanted: Filter, limit: int) -> tuple[list[Found], Counter[tuple[str, str]], int]:
    """Return the newest dead letters that match, oldest first, and the number of all by topic and reason."""
    counts: Counter[tuple[str, str]] = Counter()
    newest: dict[int, deque[Found]] = {}
    async with DeadLetters.connected(settings) as letters:
        async for each in letters.read(wanted):
            counts[each.letter.topic, each.letter.reason] += 1
            newest.setdefault(each.place.partition, deque(maxlen=limit)).append(each)
        found = sorted((each for some in newest.values() for each in some), key=lambda e: (e.letter.failed_at, e.place))
        return found[-limit:], counts, letters.unreadable


def _summary(counts: Counter[tuple[str, str]], shown: int) -> str:
    total = counts.total()
    if not total:
        return "No dead letter matches."
    by = ", ".join(f"{number} {topic} {reason}" for (topic, reason), number in counts.most_common())
    return f"{total} dead letters: {by}" + (f"; the newest {shown} are shown" if shown < total else "")
