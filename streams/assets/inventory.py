"""The inventory of data assets: what exists, what it contains, who writes and reads it, and what feeds what. No I/O.

The classes hold data only, and are the messages of `GET /v1/assets`. `building.py` makes them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated, Literal

import msgspec

Kind = Literal["topic", "table", "changelog", "model", "event", "context", "attribute"]
EdgeKind = Literal["data", "training", "control"]
KINDS: tuple[Kind, ...] = ("topic", "table", "changelog", "model", "event", "context", "attribute")
At = Annotated[datetime, msgspec.Meta(tz=True)]


class Frequent(msgspec.Struct, frozen=True, kw_only=True):
    """A frequent value of a field, and bounds of how often it came."""

    value: str
    at_least: int
    at_most: int


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """Quantiles of a field: of its numbers, or of the lengths of its texts. `of` is number or length."""

    of: str
    least: float
    low: float
    median: float
    high: float
    greatest: float


class Field(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A field of the messages of an asset.

    Attributes:
        name: its name; a key of an open field is `context.device`.
        types: the type of the contract; for a key of an open field, the types that were observed, commonest first.
        required: whether the contract requires it.
        personal: class of personal data, by rule.
        found: values with personal data that the detector found, by class, among `examined` values.
        completeness: share of the messages that have it, None if it is not profiled.
        distinct: estimate of the number of distinct values, None if they are not counted.
        frequent: frequent values, best first.
        spread: quantiles, None without numbers or texts.
    """

    name: str
    types: tuple[str, ...]
    required: bool = False
    personal: str = "none"
    found: Mapping[str, int] = {}
    examined: int = 0
    completeness: float | None = None
    distinct: int | None = None
    frequent: tuple[Frequent, ...] = ()
    spread: Spread | None = None


class Producer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A program that writes an asset. `name` is untrusted text if the program was observed.

    `messages` and `refused` count the hours that the inventory covers; they are None for a program that is only known
    to write.
    """

    name: str
    messages: int | None = None
    refused: int | None = None
    last_seen: At | None = None


class Consumer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A program that reads an asset: a consumer group, or a role that reads without a group.

    `lag` is the number of messages that the group has not committed yet, and `members` the number of its processes.
    """

    name: str
    is_group: bool = False
    lag: int | None = None
    members: int | None = None


class Asset(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A data asset.

    Attributes:
        id: `KIND/NAME` with the name in the code, the same in every installation; the node of the lineage.
        kind: one of KINDS.
        name: its name in this installation.
        purpose: its use.
        owner: the role that decides on its content: shop, recommender or operator.
        key: meaning of its key.
        personal: class of personal data: the strictest of the rules and of what the detector found.
        part_of: the assets whose messages contain it, by id.
        partitions: number of partitions.
        retention_hours: hours that messages are kept, None for ever or unknown.
        is_compacted: whether only the newest record of each key is kept.
        size_bytes: size of one replica.
        messages: messages that are kept now, or for an event type, field or key, of the hours that are covered.
        rate: messages in a second, of the last minute or hour.
        hourly: messages of each covered hour, oldest first.
        first_seen, last_seen: time of the first and the last message that is known.
        producers, consumers: who writes and reads it.
        fields: its schema and the profile of each field.
        outcomes: messages of the covered hours by outcome, or by the reason of the refusal.
        marks: messages with an unknown item, of a robot, or older than the one before.
        details: further facts.
        unknown: facts that could not be found, with the reason.
    """

    id: str
    kind: Kind
    name: str
    purpose: str
    owner: str
    key: str = ""
    personal: str = "none"
    part_of: tuple[str, ...] = ()
    partitions: int | None = None
    retention_hours: float | None = None
    is_compacted: bool | None = None
    size_bytes: int | None = None
    messages: int | None = None
    rate: float | None = None
    hourly: tuple[int, ...] = ()
    first_seen: At | None = None
    last_seen: At | None = None
    producers: tuple[Producer, ...] = ()
    consumers: tuple[Consumer, ...] = ()
    fields: tuple[Field, ...] = ()
    outcomes: Mapping[str, int] = {}
    marks: Mapping[str, int] = {}
    details: Mapping[str, str] = {}
    unknown: Mapping[str, str] = {}


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """A node of the lineage: an asset, a producer, a candidate source, a feature of the ranker, or the lists.

    `layer` is its place in the flow, from 0; `is_asset` whether the inventory has an asset of the same id.
    """

    id: str
    kind: str
    title: str
    layer: int
    is_asset: bool


class Edge(msgspec.Struct, frozen=True, kw_only=True):
    """An edge of the lineage: what feeds what, and how. Training and control are no flow of data."""

    source: str
    target: str
    label: str
    kind: EdgeKind


class Lineage(msgspec.Struct, frozen=True, kw_only=True):
    """A graph of what feeds what. Nodes are in the order of their layers."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]

    def upstream(self, node: str) -> set[str]:
        """Return everything whose data comes into a node, without the node."""
        return self._reached(node, [(edge.target, edge.source) for edge in self._data()])

    def downstream(self, node: str) -> set[str]:
        """Return everything that a node's data comes into, without the node."""
        return self._reached(node, [(edge.source, edge.target) for edge in self._data()])

    def around(self, node: str) -> Lineage:
        """Return the part of the graph through which data comes into a node or goes on from it."""
        kept = {node} | self.upstream(node) | self.downstream(node)
        return Lineage(
            nodes=tuple(each for each in self.nodes if each.id in kept),
            edges=tuple(each for each in self.edges if {each.source, each.target} <= kept),
        )

    def _data(self) -> Iterable[Edge]:
        return (edge for edge in self.edges if edge.kind == "data")

    @staticmethod
    def _reached(start: str, steps: list[tuple[str, str]]) -> set[str]:
        reached, waiting = set[str](), [start]
        while waiting:
            here = waiting.pop()
            new = {there for place, there in steps if place == here} - reached
            reached |= new
            waiting += new
        return reached - {start}


class DataFinding(msgspec.Struct, frozen=True, kw_only=True):
    """Wrong data of a producer.

    `topic`, `type`, `producer` and `field` are the place; producer and field are untrusted text, and `field` is empty
    for the whole message. `kind` is the kind of expectation, and `observed` and `limit` what was measured and accepted.
    `since` is the time at which it was found. `severity` is high if shoppers are likely to notice, otherwise medium.
    `sentence`, `shoppers` and `remedy` are what is wrong, what it means for shoppers, and what to do.
    """

    topic: str
    type: str
    producer: str
    field: str
    kind: str
    observed: float
    limit: float
    since: At
    severity: str
    sentence: str
    shoppers: str
    remedy: str


class Inventory(msgspec.Struct, frozen=True, kw_only=True):
    """All data assets of an installation.

    Attributes:
        made_at: when it was made.
        since: start of the first hour that the profiles cover, None without profiles.
        app_id: the consumer group of the workers.
        assets: the assets, by kind and name.
        lineage: what feeds what.
        findings: open findings of data quality, the severe ones first.
    """

    made_at: At
    since: At | None
    app_id: str
    assets: tuple[Asset, ...]
    lineage: Lineage
    findings: tuple[DataFinding, ...] = ()

    def asset(self, name: str) -> Asset | None:
        """Return the asset with an id or, if only one has it, a name."""
        by_id = next((each for each in self.assets if each.id == name), None)
        named = [each for each in self.assets if each.name == name]
        return by_id or (named[0] if len(named) == 1 else None)


class TopicFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The brokers' facts about a topic. None stands for an unknown fact; `records` is an upper bound."""

    partitions: int | None = None
    retention_ms: int | None = None
    cleanup: str | None = None
    size_bytes: int | None = None
    records: int | None = None
    last_hour: int | None = None
    first_ms: int | None = None
    last_ms: int | None = None


class GroupFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A consumer group: its number of members, and its lag by topic."""

    name: str
    members: int | None
    lag: Mapping[str, int]


class BrokerFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The brokers' facts about topics and groups. `unknown` has the reason for each kind of fact that is missing."""

    topics: Mapping[str, TopicFacts] = {}
    groups: tuple[GroupFacts, ...] = ()
    unknown: Mapping[str, str] = {}
