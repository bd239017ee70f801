"""Makes the inventory of what is known statically, what the workers observed, and what the brokers report. No I/O."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from inference.manifest import Manifest, vector_space
from streams.assets.fields import ITEM, OPEN_FIELDS, REFUSED
from streams.assets.inventory import (
    KINDS,
    Asset,
    BrokerFacts,
    Consumer,
    Field,
    Inventory,
    Kind,
    Producer,
    TopicFacts,
)
from streams.assets.lineage import lineage_of
from streams.assets.profile import OTHER_KEYS, Stream, StreamProfile
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """Everything that an inventory is made of.

    Attributes:
        app_id: the consumer group of the workers.
        now_ms: the time.
        names: full names of the topics by the name of their setting, and of the changelogs as `changelog/profiles`.
        partitions: their numbers of partitions, as declared.
        profiles: profiles of the covered hours together.
        window: profiles of the last `window_seconds`.
        hourly: messages of each covered hour by stream, oldest hour first.
        since_ms: start of the first covered hour, None without profiles.
        broker: what the brokers report.
        manifest: the manifest of the serving model, None if it is not known.
        sources: the candidate sources in use.
    """

    app_id: str
    now_ms: int
    names: Mapping[str, str]
    partitions: Mapping[str, int]
    profiles: Mapping[Stream, StreamProfile] = field(default_factory=dict)
    window: Mapping[Stream, StreamProfile] = field(default_factory=dict)
    window_seconds: float = 60.0
    hourly: Mapping[Stream, Sequence[int]] = field(default_factory=dict)
    since_ms: int | None = None
    broker: BrokerFacts = field(default_factory=BrokerFacts)
    manifest: Manifest | None = None
    sources: tuple[str, ...] = ()

    def merged(self, wanted: Callable[[Stream], bool]) -> StreamProfile:
        """Return the profile of several streams together."""
        merged = StreamProfile()
        for stream, profile in self.profiles.items():
            if wanted(stream):
                merged.merge(profile)
        return merged

    def facts(self, wanted: Callable[[Stream], bool], profile: StreamProfile) -> dict[str, Any]:
        """Return the fields of an asset that streams give: counts, rate, times and producers."""
        hours = [counts for stream, counts in self.hourly.items() if wanted(stream)]
        recent = sum(each.messages for stream, each in self.window.items() if wanted(stream))
        return {
            "messages": profile.messages,
            "rate": recent / self.window_seconds if profile.messages else None,
            "hourly": tuple(map(sum, zip(*hours, strict=True))),
            "first_seen": moment(profile.first_ms or None),
            "last_seen": moment(profile.last_ms or None),
            "producers": tuple(self._producers(wanted)),
            "outcomes": dict(profile.outcomes),
            "marks": dict(profile.marks),
        }

    def _producers(self, wanted: Callable[[Stream], bool]) -> Iterable[Producer]:
        by_name: defaultdict[str, list[tuple[Stream, StreamProfile]]] = defaultdict(list)
        for stream, profile in self.profiles.items():
            if wanted(stream):
                by_name[stream.producer].append((stream, profile))
        for name, parts in sorted(by_name.items()):
            yield Producer(
                name=name,
                messages=sum(each.messages for _, each in parts),
                refused=sum(each.messages for stream, each in parts if stream.type == REFUSED),
                last_seen=moment(max(each.last_ms for _, each in parts)),
            )


def inventory_of(observed: Observed) -> Inventory:
    """Return the inventory."""
    assets = [
        *(_topic(name, spec, observed) for name, spec in TOPICS.items()),
        *(_table(name, spec, observed) for name, spec in TABLES.items()),
        *(_changelog(name, spec, observed) for name, spec in TABLES.items()),
        *([] if observed.manifest is None else [_model(observed.manifest, observed)]),
        *_events(observed),
        *_open_keys(observed),
    ]
    assets.sort(key=lambda each: (KINDS.index(each.kind), each.id))
    return Inventory(
        made_at=datetime.fromtimestamp(observed.now_ms / 1000, UTC),
        since=moment(observed.since_ms),
        app_id=observed.app_id,
        assets=tuple(assets),
        lineage=lineage_of(assets, observed.profiles, observed.names, observed.manifest, observed.sources),
    )


def moment(at_ms: int | None) -> datetime | None:
    """Return a time of Kafka, None for none and for one beyond the calendar: a producer's clock can be anywhere."""
    try:
        return None if at_ms is None else datetime.fromtimestamp(at_ms / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None


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


def _model(manifest: Manifest, observed: Observed) -> Asset:
    fitted = "; ".join(
        f"{each.events:,} events {each.since[:10]} to {(each.until or '')[:10]}" if each.since
        else f"{each.events:,} graded searches"
        for each in manifest.fitted_to
    )  # fmt: skip
    details = {
        "made from": f"{manifest.created_from.model} ({manifest.created_from.licence})",
        "vector space": f"{vector_space(manifest)}, {manifest.dim} dimensions",
        "trained on": "; ".join(f"{each.name} ({each.licence})" for each in manifest.card.data),
        "ranker fitted to": fitted or "unknown",
        "sequence model": "none" if manifest.sequence is None else manifest.sequence.file,
        "files": ", ".join(f"{each.name} sha256 {each.sha256[:12]}" for each in manifest.files),
    }
    return Asset(
        id=f"model/{manifest.name}/{manifest.version}",
        kind="model",
        name=f"{manifest.name} {manifest.version}",
        purpose="Encodes texts and ranks candidates",
        owner="recommender",
        key="name and version",
        size_bytes=sum(each.bytes for each in manifest.files),
        consumers=(Consumer(name=observed.app_id, is_group=True),),
        fields=tuple(Field(name=name, types=("number",)) for name in manifest.features),
        details={name: text for name, text in details.items() if text},
    )


def _programs(spec: AssetSpec) -> tuple[Producer, ...]:
    return tuple(Producer(name=each) for each in spec.producers if each != SHOP)
