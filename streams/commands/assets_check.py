"""`intentstream assets check`, `quality` and `accept`: the quality of the streams' content."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from streams.commands.options import FILE, OutputFile, console_for_tables, reading, with_settings
from streams.errors import StreamsError
from streams.settings import Settings

if TYPE_CHECKING:
    from streams.assets.expectations import Finding
    from streams.assets.monitor import QualityMonitor
    from streams.assets.sample import Sample

MOST_LINES = 20
"""Most invalid lines that are printed."""

CHECK_EPILOG = """\b
Examples:
  intentstream assets check events.jsonl --items items.jsonl
  intentstream assets check events.jsonl --from-kafka --producer webshop --broker kafka-1:9092
  intentstream assets check events.jsonl --expectations expectations.toml --json > report.json
"""
QUALITY_EPILOG = """\b
Examples:
  intentstream assets quality
  intentstream assets quality --write expectations.toml
"""


@click.command(epilog=CHECK_EPILOG)
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=FILE)
@click.option("--items", "catalogue", type=FILE, help="JSON Lines file of the catalogue: its items are the known ones.")
@click.option("--expectations", type=FILE, help="TOML file of expectations; otherwise the one of the settings.")
@click.option("--from-kafka", is_flag=True, help="Compare with what the workers learned from the streams.")
@click.option("--producer", default="check", show_default=True, help="Name of the producer, as in `ce_source`.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@with_settings
def check(settings: Settings, /, files: tuple[Path, ...], **options: Any) -> None:
    """Check a sample of a producer's messages, for the producer's CI.

    Each line of a FILE is an interaction or an item, as for `produce`. Reports lines that break the contract, and
    departures from the expectations: the defaults, those of a file, and those that the workers learned.

    With --from-kafka it also shows the open findings of the producer's streams, as GET /v1/assets/findings does.

    The exit code is 0 without a finding in the sample, 1 with one, and 2 if the command is used wrongly.
    """
    import msgspec

    from streams.assets.quality import evaluate
    from streams.assets.rules import load_rules
    from streams.assets.sample import expectations_of_sample, read_sample, usual_profiles
    from streams.kafka.asset_profiles import read_profiles

    sample = read_sample(files, options["catalogue"], options["producer"], _topics(settings))
    rules = load_rules(options["expectations"] or settings.assets.expectations_file)
    monitor = None
    if options["from_kafka"]:
        with reading("Reading the profiles of the streams") as progress:
            monitor = asyncio.run(read_profiles(settings, progress)).quality
    usual = {} if monitor is None else usual_profiles(sample.profiles, monitor.references)
    live = [] if monitor is None else [each for each in monitor.findings if each.producer == options["producer"]]
    findings = evaluate(sample.profiles, usual, lambda stream: expectations_of_sample(stream, usual.get(stream), rules))
    if options["as_json"]:
        report = {"passed": not (findings or sample.invalid), "messages": sample.messages, "compared": len(usual),
                  "invalid": sample.invalid, "findings": findings, "live_findings": live}  # fmt: skip
        click.echo(msgspec.json.format(msgspec.json.encode(report), indent=2))
    else:
        _show(sample, findings)
        if monitor is not None and (missing := sorted({each.type for each in sample.profiles.keys() - usual.keys()})):
            click.echo(f"nothing is learned yet of: {', '.join(missing)}")
        if live:
            click.echo("the producer's messages on Kafka have findings now, which do not count here:")
            _show_findings(live)
    if findings or sample.invalid:
        raise click.exceptions.Exit(1)


def _topics(settings: Settings) -> dict[str, str]:
    from streams.assets.fields import FIELDS, ITEM, SEARCH

    topics = settings.topics
    return dict.fromkeys(FIELDS, topics.clicks) | {SEARCH: topics.searches, ITEM: topics.items}


def _show(sample: Sample, findings: Sequence[Finding]) -> None:
    from inference.plain_text import printable

    console = console_for_tables()
    for invalid in sample.invalid[:MOST_LINES]:
        console.print(printable(f"{invalid.place}: {invalid.error}"), markup=False, highlight=False, soft_wrap=True)
    if (more := len(sample.invalid) - MOST_LINES) > 0:
        console.print(f"further lines that break the contract: {more:,}")
    _show_findings(findings)
    words = f"lines that break the contract: {len(sample.invalid):,}; findings: {len(findings)}"
    console.print(f"messages: {sample.messages:,}; {words if findings or sample.invalid else 'all as expected'}")


def _show_findings(findings: Sequence[Finding]) -> None:
    from streams.commands.assets_view import finding_views

    for view in finding_views(findings):
        console_for_tables().print(view)


@click.command(epilog=QUALITY_EPILOG)
@click.option(
    "--write", "file", type=OutputFile(), metavar="FILE", help="Write the expectations to FILE, to edit them."
)
@click.option("--json", "as_json", is_flag=True, help="Print findings and expectations as JSON.")
@with_settings
def quality(settings: Settings, file: Path | None, as_json: bool) -> None:
    """Show the findings of data quality, and what was learned of each stream.

    Reads the asset profiles from Kafka and judges them as the workers do.
    """
    import msgspec

    from streams.assets.rules import to_toml
    from streams.kafka.asset_profiles import read_profiles

    with reading("Reading the profiles of the streams") as progress:
        monitor = asyncio.run(read_profiles(settings, progress)).quality
    expectations = {stream: monitor.expectations(stream) for stream in sorted(monitor.references)}
    if file is not None:
        learned = [each for of_stream in expectations.values() for each in of_stream]
        file.write_text(to_toml(learned), encoding="utf-8")
        click.echo(f"{len(learned)} expectations of {len(expectations)} streams are in {file}", err=True)
    if as_json:
        report = {"findings": monitor.findings, "expectations": [*expectations.values()]}
        click.echo(msgspec.json.format(msgspec.json.encode(report), indent=2))
        return
    _show_references(monitor, {stream: len(each) for stream, each in expectations.items()})
    _show_findings(monitor.findings)
    if not monitor.findings:
        click.echo("no findings")


def _show_references(monitor: QualityMonitor, expectations: Mapping[Any, int]) -> None:
    from rich.table import Table
    from rich.text import Text

    from inference.plain_text import printable

    table = Table("topic", "type", "producer", "learned from", "since", "left out", "expectations")
    for stream, number in expectations.items():
        reference = monitor.references[stream]
        table.add_row(
            *(Text(printable(part)) for part in stream),
            f"{reference.profile.messages:,} messages",
            _since(reference.span_ms[0]) if reference.profile.messages else "",
            f"{reference.skipped:,} profiles" if reference.skipped else "",
            str(number) if monitor.is_ready(stream) else f"{number}, defaults only",
        )
    console_for_tables().print(table)


@click.command(epilog="Example: intentstream assets accept clicks --type purchase --producer webshop")
@click.argument("topic")
@click.option("--type", "kind", default="", help="Type of the messages; by default, all.")
@click.option("--producer", default="", help="Producer of the messages; by default, all.")
@with_settings
def accept(settings: Settings, topic: str, kind: str, producer: str) -> None:
    """Make what a stream sends from now on usual.

    All workers forget what they learned of the stream, close its findings, and learn again.
    """
    from streams.assets.profile import Stream
    from streams.kafka.asset_profiles import accept as publish

    known = settings.topics.consumed
    if topic not in known:
        raise StreamsError(f"TOPIC: required one of {', '.join(known)}; got {topic!r}")
    asyncio.run(publish(settings, Stream(topic, kind, producer)))
    click.echo(f"accepted: {producer or 'all producers'} on {topic} ({kind or 'all types'})")


def _since(at_ms: int) -> str:
    from datetime import UTC, datetime

    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M} UTC"
