"""Makes the inventory of what is known statically, what the workers observed, and what the brokers report. No I/O."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec

from inference.manifest import DataInput, Manifest, vector_space
from streams.assets.expectations import Finding
from streams.assets.fields import ITEM, OPEN_FIELDS
from streams.assets.inventory import (
    KINDS,
    Asset,
    Consumer,
    DataFinding,
    Field,
    Inventory,
    Kind,
    Producer,
    TopicFacts,
)
from streams.assets.lineage import lineage_of
from streams.assets.observed import Observed, moment
from streams.assets.profile import OTHER_KEYS, Stream
from streams.assets.registry import (
    EVENT_PURPOSES,
    OPEN_PURPOSES,
    SHOP,
    TABLES,
    TOPICS,
    WORKERS,
    AssetSpec,
)
from streams.assets.schemas import contract_fields, open_key, profiled_fields, strictest

HOUR_MS = 3_600_000
TYPE_OF_TOPIC = {"clicks": "click", "searches": "search", "items": ITEM}
"""The profiled topics, and a type of message that has the fields of all its types."""
OTHERS = "(others)"


def inventory_of(observed: Observed) -> Inventory:
    """Return the inventory."""
    assets = [
        *(_topic(name, spec, observed) for name, spec in TOPICS.items()),
        *(_table(name, spec, observed) for name, spec in TABLES.items()),
        *(_changelog(name, spec, observed) for name, spec in TABLES.items()),
        *_models(observed),
        *_events(observed),
        *_open_keys(observed),
    ]
    assets.sort(key=lambda each: (KINDS.index(each.kind), each.id))
    return Inventory(
        made_at=datetime.fromtimestamp(observed.now_ms / 1000, UTC),
        since=moment(observed.since_ms),
        app_id=observed.app_id,
        assets=tuple(assets),
        lineage=lineage_of(assets, observed),
        findings=tuple(map(data_finding, observed.findings)),
    )


def data_finding(finding: Finding) -> DataFinding:
    """Return a finding as consumers read it."""
    fields = msgspec.structs.asdict(finding)
    given = {name: fields[name] for name in DataFinding.__struct_fields__ if name in fields}
    return DataFinding(**given, since=datetime.fromtimestamp(finding.since_ms / 1000, UTC))


def _topic(name: str, spec: AssetSpec, observed: Observed) -> Asset:
    topic, contract = observed.names[name], contract_fields(spec)
    facts: dict[str, Any] = {"producers": _programs(spec)}
    fields = contract
    if (kind := TYPE_OF_TOPIC.get(name)) is not None:
        profile = observed.merged(lambda stream: stream.topic == topic)
        if profile.messages:
            facts = observed.facts(lambda stream: stream.topic == topic, profile)
            fields = profiled_fields(contract, kind, profile)
    return _stored("topic", name, spec, observed, fields, facts)


def _changelog(name: str, spec: AssetSpec, observed: Observed) -> Asset:
    facts = {
        "purpose": f"Changelog of the table `{name}`: restores it elsewhere",
        "producers": _programs(spec),
    }
    return _stored("changelog", name, spec, observed, contract_fields(spec), facts)


def _stored(
    kind: Kind, name: str, spec: AssetSpec, observed: Observed, fields: tuple[Field, ...], facts: dict[str, Any]
) -> Asset:
    """Return an asset that is a topic, with what the brokers know about it."""
    key = name if kind == "topic" else f"changelog/{name}"
    topic = observed.names[key]
    known = observed.broker.topics.get(topic, TopicFacts())
    groups = [
        Consumer(name=group.name, is_group=True, lag=group.lag[topic], members=group.members)
        for group in observed.broker.groups
        if topic in group.lag
    ]
    # The workers are known as a group where they commit offsets. The rest of the roles read without a group.
    roles = [each for each in spec.consumers if each != WORKERS or all(g.name != observed.app_id for g in groups)]
    found: dict[str, Any] = {
        "rate": None if known.last_hour is None else known.last_hour / (HOUR_MS / 1000),
        "first_seen": moment(known.first_ms),
        "last_seen": moment(known.last_ms),
    }
    given = {name: value for name, value in facts.items() if value not in (None, ())}
    given["messages"] = known.records
    if found["first_seen"] is not None:  # the profiles cover a day, the topic may be older
        given["first_seen"] = min(found["first_seen"], given.get("first_seen") or found["first_seen"])
    is_compacted = None if known.cleanup is None else "compact" in known.cleanup
    keeps_for_ever = known.retention_ms is None or known.retention_ms < 0 or known.cleanup == "compact"
    merged: dict[str, Any] = {
        "purpose": spec.purpose,
        **found,
        **given,
        "partitions": known.partitions or observed.partitions.get(key),
        "retention_hours": None if keeps_for_ever else (known.retention_ms or 0) / HOUR_MS,
        "is_compacted": is_compacted,
        "size_bytes": known.size_bytes,
    }
    return Asset(
        id=f"{kind}/{name}",
        kind=kind,
        name=topic,
        owner=spec.owner,
        key=spec.key,
        personal=strictest([spec.personal, *(each.personal for each in fields if each.personal == "found")]),
        consumers=(*groups, *(Consumer(name=each) for each in roles)),
        fields=fields,
        unknown=dict(observed.broker.unknown),
        **merged,
    )


def _table(name: str, spec: AssetSpec, observed: Observed) -> Asset:
    changelog = observed.names[f"changelog/{name}"]
    return Asset(
        id=f"table/{name}",
        kind="table",
        name=name,
        purpose=spec.purpose,
        owner=spec.owner,
        key=spec.key,
        personal=spec.personal,
        partitions=observed.partitions.get(f"changelog/{name}"),
        producers=_programs(spec),
        consumers=tuple(Consumer(name=each) for each in spec.consumers),
        fields=contract_fields(spec),
        details={"stored in": "RocksDB, one database for each partition", "changelog": changelog},
    )


def _events(observed: Observed) -> Iterable[Asset]:
    """Return the event types that are observed, each over all producers."""
    logical = {full: name for name, full in observed.names.items()}
    for kind in sorted({stream.type for stream in observed.profiles} & EVENT_PURPOSES.keys()):

        def wanted(stream: Stream, kind: str = kind) -> bool:
            return stream.type == kind

        profile = observed.merged(wanted)
        topics = sorted({stream.topic for stream in observed.profiles if wanted(stream)} & logical.keys())
        spec = TOPICS[logical[topics[0]]] if topics else TOPICS["clicks"]
        fields = profiled_fields(contract_fields(spec), kind, profile)
        yield Asset(
            id=f"event/{kind}",
            kind="event",
            name=kind,
            purpose=EVENT_PURPOSES[kind],
            owner="shop",
            key=spec.key,
            personal=strictest([spec.personal, *(each.personal for each in fields if each.personal == "found")]),
            part_of=tuple(f"topic/{logical[topic]}" for topic in topics),
            fields=fields,
            **observed.facts(wanted, profile),
        )


def _open_keys(observed: Observed) -> Iterable[Asset]:
    """Return the keys of `context` and `attributes` that are observed."""
    kinds: tuple[Kind, ...] = ("context", "attribute")
    for kind, field_name in zip(kinds, OPEN_PURPOSES, strict=True):
        of_field = {each for each, name in OPEN_FIELDS.items() if name == field_name}
        all_together = observed.merged(lambda stream, of_field=of_field: stream.type in of_field)  # type: ignore[misc]
        for column in sorted(each for each in all_together.columns if each.startswith(f"{field_name}.")):

            def wanted(stream: Stream, column: str = column) -> bool:
                return stream in observed.profiles and column in observed.profiles[stream].columns

            key, profile = column.partition(".")[2], observed.merged(wanted)
            described = open_key(column, all_together)
            facts = observed.facts(wanted, profile)
            name = OTHERS if key == OTHER_KEYS else key
            yield Asset(
                id=f"{kind}/{name}",
                kind=kind,
                name=name,
                purpose=OPEN_PURPOSES[field_name],
                owner="shop",
                personal=described.personal,
                part_of=tuple(sorted({f"event/{stream.type}" for stream in observed.profiles if wanted(stream)})),
                messages=all_together.columns[column].present,
                **{name: facts[name] for name in ("first_seen", "last_seen", "producers")},
                fields=(described,),
            )


def model_details(manifest: Manifest) -> dict[str, str]:
    """Return the facts about a bundle as texts: its origin, vector space, training data and files."""
    fitted = "; ".join(
        f"{each.events:,} events {each.since[:10]} to {(each.until or '')[:10]}" if each.since
        else f"{each.events:,} graded searches"
        for each in manifest.fitted_to
    )  # fmt: skip
    details = {
        "teacher": f"{manifest.created_from.model} ({manifest.created_from.licence})",
        "vector space": f"{vector_space(manifest)}, {manifest.dim} dimensions",
        "trained on": "; ".join(f"{each.name} ({each.licence})" for each in manifest.card.data),
        "ranker fitted to": fitted or "unknown",
        "made from": "; ".join(f"{each.part}: {_input_text(each)}" for each in manifest.inputs),
        "sequence model": "none" if manifest.sequence is None else manifest.sequence.file,
        "files": ", ".join(f"{each.name} sha256 {each.sha256[:12]}" for each in manifest.files),
    }
    return {name: text for name, text in details.items() if text}


def _input_text(given: DataInput) -> str:
    digest = "" if given.sha256 is None else f" sha256 {given.sha256[:12]}"
    return given.name + digest + ("" if given.records is None else f", {given.records:,} lists")


def _models(observed: Observed) -> Iterable[Asset]:
    """Return the serving model. If it cannot be read here, also the one that workers serve in its place."""
    if observed.manifest is not None:
        yield _model(observed.manifest, "Encodes texts and ranks candidates")
    if (absent := observed.absent) is not None:
        yield Asset(
            id=f"model/{absent.name}/{absent.version}",
            name=f"{absent.name} {absent.version}",
            purpose="Encodes texts and ranks candidates; its bundle is not readable on this machine",
            unknown={"model": absent.reason},
            **MODEL_FACTS,
        )
        if absent.instead is not None:
            yield _model(absent.instead, "Served by workers that cannot read the pinned bundle")


MODEL_FACTS: dict[str, Any] = {
    "kind": "model", "owner": "recommender", "key": "name and version", "consumers": (Consumer(name=WORKERS),),
}  # fmt: skip


def _model(manifest: Manifest, purpose: str) -> Asset:
    return Asset(
        id=f"model/{manifest.name}/{manifest.version}",
        name=f"{manifest.name} {manifest.version}",
        purpose=purpose,
        size_bytes=sum(each.bytes for each in manifest.files),
        fields=tuple(Field(name=name, types=("number",)) for name in manifest.features),
        details=model_details(manifest),
        **MODEL_FACTS,
    )


def _programs(spec: AssetSpec) -> tuple[Producer, ...]:
    return tuple(Producer(name=each) for each in spec.producers if each != SHOP)
