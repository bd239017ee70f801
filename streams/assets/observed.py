"""Everything that an inventory is made of: settings, profiles, and what the brokers and the model report. No I/O."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from inference.manifest import Manifest
from streams.assets.expectations import Finding
from streams.assets.fields import REFUSED
from streams.assets.inventory import BrokerFacts, Producer
from streams.assets.profile import Stream, StreamProfile


class AbsentModel(NamedTuple):
    """The model that workers have to serve, if its bundle cannot be read here.

    `reason` says why. `instead` is the manifest of the bundle that workers serve which cannot read it either, None if
    there is none here.
    """

    name: str
    version: str
    reason: str
    instead: Manifest | None


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
        absent: the serving model if its manifest cannot be read here.
        sources: the candidate sources in use.
        findings: open findings of data quality.
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
    absent: AbsentModel | None = None
    sources: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()

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


def moment(at_ms: int | None) -> datetime | None:
    """Return a time of Kafka, None for none and for one beyond the calendar: a producer's clock can be anywhere."""
    try:
        return None if at_ms is None else datetime.fromtimestamp(at_ms / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None
