"""Tables of the inventory for a terminal. All texts of producers and shops are plain text, never markup."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from inference.plain_text import printable
from streams.assets.expectations import Finding
from streams.assets.inventory import KINDS, Asset, Consumer, DataFinding, Field, Inventory, Lineage
from streams.assets.texts import (
    count_text,
    moment_text,
    number_text,
    rate_text,
    retention_text,
    share_text,
    size_text,
)

TITLES = {
    "topic": "Topics", "table": "Tables", "changelog": "Changelogs", "model": "Models", "event": "Event types",
    "context": "Keys of context", "attribute": "Attributes of items",
}  # fmt: skip


def overview(assets: Sequence[Asset], inventory: Inventory) -> Iterable[RenderableType]:
    """Return a table for each kind of asset."""
    for kind in KINDS:
        rows = [each for each in assets if each.kind == kind]
        if not rows:
            continue
        yield Text(f"\n{TITLES[kind]}", "bold")
        if kind in ("topic", "changelog"):
            yield _table(
                ("name", "rate", "messages", "size", "kept", "partitions", "producers", "consumers", "personal"),
                [
                    (each.name, rate_text(each.rate), count_text(each.messages), size_text(each.size_bytes),
                     retention_text(each.retention_hours, is_compacted=each.is_compacted), count_text(each.partitions),
                     ", ".join(one.name for one in each.producers), ", ".join(map(consumer_text, each.consumers)),
                     each.personal)
                    for each in rows
                ],
            )  # fmt: skip
        elif kind in ("event", "context", "attribute"):
            yield _table(
                ("name", "rate" if kind == "event" else "types", "messages", "last", "producers", "personal"),
                [
                    (each.name, rate_text(each.rate) if kind == "event" else ", ".join(each.fields[0].types),
                     count_text(each.messages), moment_text(each.last_seen),
                     ", ".join(one.name for one in each.producers), personal_text(each))
                    for each in rows
                ],
            )  # fmt: skip
        else:
            yield _table(
                ("name", "purpose", "key", "personal"),
                [(each.name, each.purpose, each.key, each.personal) for each in rows],
            )
    yield from finding_views([each for each in inventory.findings if any(_is_of(each, asset) for asset in assets)])
    since = "no profiles yet" if inventory.since is None else f"profiles since {moment_text(inventory.since)} UTC"
    yield Text(f"\n{len(assets)} assets; {since}", "dim")
    unknown = {reason for each in assets for reason in each.unknown.items()}
    for what, reason in sorted(unknown):
        yield Text(printable(f"Unknown: {what}: {reason}"), "yellow")


def asset_views(asset: Asset, inventory: Inventory) -> Iterable[RenderableType]:
    """Return everything about an asset of the inventory."""
    lineage = inventory.lineage
    yield Text.assemble((printable(asset.name), "bold"), f"  {printable(asset.id)}")
    yield Text(printable(asset.purpose))
    facts = {
        "owner": asset.owner,
        "key": asset.key,
        "personal data": personal_text(asset),
        "part of": ", ".join(asset.part_of),
        "rate": rate_text(asset.rate),
        "messages": count_text(asset.messages),
        "size": size_text(asset.size_bytes),
        "kept": retention_text(asset.retention_hours, is_compacted=asset.is_compacted),
        "partitions": count_text(asset.partitions),
        "first seen": moment_text(asset.first_seen),
        "last seen": moment_text(asset.last_seen),
        "outcomes": counts_text(asset.outcomes),
        "marks": counts_text(asset.marks),
        **asset.details,
        **{f"unknown {what}": reason for what, reason in asset.unknown.items()},
    }
    yield _table(("", ""), [(name, text) for name, text in facts.items() if text and text != "unknown"], header=False)
    if asset.producers:
        yield Text("\nProducers", "bold")
        yield _table(
            ("name", "messages", "refused", "last"),
            [(each.name, count_text(each.messages), count_text(each.refused), moment_text(each.last_seen))
             for each in asset.producers],
        )  # fmt: skip
    if asset.consumers:
        yield Text("\nConsumers", "bold")
        yield _table(("name", "lag", "members"), [
            (each.name, count_text(each.lag) if each.is_group else "reads without a group",
             count_text(each.members) if each.is_group else "")
            for each in asset.consumers
        ])  # fmt: skip
    if asset.fields:
        yield Text("\nFields", "bold")
        yield _table(
            ("field", "type", "required", "complete", "distinct", "5% / 50% / 95%", "frequent", "personal"),
            [_field(each) for each in asset.fields],
        )
    yield from finding_views([each for each in inventory.findings if _is_of(each, asset)])
    for title, found in (("From", lineage.upstream(asset.id)), ("To", lineage.downstream(asset.id))):
        ordered = [each.id for each in lineage.nodes if each.id in found]
        yield Text.assemble(f"\n{title}: ", printable(", ".join(ordered) or "nothing"))


def finding_views(findings: Sequence[Finding | DataFinding]) -> Iterable[RenderableType]:
    """Return a table of wrong data, nothing without any."""
    if not findings:
        return
    yield Text("\nFindings", "bold")
    table = Table("stream", "field", "expectation", "what is wrong", "for shoppers", "to do")
    for each in findings:
        examples = f" ({', '.join(each.examples)})" if isinstance(each, Finding) and each.examples else ""
        cells = (
            f"{each.topic} {each.type}, {each.producer}", each.field, each.kind, each.sentence + examples,
            each.shoppers, each.remedy,
        )  # fmt: skip
        table.add_row(*(Text(printable(cell)) for cell in cells))
    yield table


def _is_of(finding: DataFinding, asset: Asset) -> bool:
    """Return whether a finding is about the messages of an asset."""
    if asset.kind in ("context", "attribute"):
        return finding.field.partition(".")[2] == asset.name and f"event/{finding.type}" in asset.part_of
    return (asset.kind, asset.name) in (("topic", finding.topic), ("event", finding.type))


def lineage_views(lineage: Lineage) -> Iterable[RenderableType]:
    """Return the edges of a graph in the order of the flow."""
    places = {each.id: place for place, each in enumerate(lineage.nodes)}
    edges = sorted(lineage.edges, key=lambda edge: (places[edge.source], places[edge.target]))
    yield _table(
        ("from", "how", "to"),
        [(each.source, each.label + ("" if each.kind == "data" else f" ({each.kind})"), each.target) for each in edges],
    )


def consumer_text(consumer: Consumer) -> str:
    """Return the name of a consumer, with the lag of a group."""
    return f"{consumer.name} (lag {count_text(consumer.lag)})" if consumer.is_group else consumer.name


def personal_text(asset: Asset) -> str:
    """Return the class of personal data, with what the detector found."""
    found = sorted({kind for each in asset.fields for kind in each.found})
    return f"{asset.personal}: {', '.join(found)}" if found else asset.personal


def counts_text(counts: Mapping[str, int]) -> str:
    """Return counts by name, the greatest first."""
    pairs = sorted(counts.items(), key=lambda each: -each[1])
    return ", ".join(f"{name} {number:,}" for name, number in pairs)


def _field(field: Field) -> tuple[str, ...]:
    spread = ""
    if (found := field.spread) is not None:
        spread = " / ".join(map(number_text, (found.low, found.median, found.high)))
        spread += " characters" if found.of == "length" else ""
    frequent = ", ".join(f"{each.value} ({each.at_least:,})" for each in field.frequent[:3])
    personal = f"{field.personal}: {', '.join(field.found)}" if field.found else field.personal
    return (
        field.name, " or ".join(field.types), "yes" if field.required else "", share_text(field.completeness),
        "" if field.distinct is None else count_text(field.distinct), spread, frequent,
        "" if personal == "none" else personal,
    )  # fmt: skip


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, header: bool = True) -> Table:
    table = Table(*columns, box=None, pad_edge=False, header_style="dim", show_header=header)
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    return table
