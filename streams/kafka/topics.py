"""Definitions of all topics, and the two actions on them: create and check.

All topics of the event path have the same number of partitions, so that a shopper's clicks, searches, profile and lists
meet in one worker. `clicks` and `searches` have the broker's timestamps: with them a recreated topic is not taken for a
replay. `privacy` has them too: an event that is older than its shopper's request is not processed any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from streams.errors import TopicError
from streams.kafka.admin import Admin
from streams.settings import Settings

PROFILES, COOCCURRENCE = TABLES = ("profiles", "pairs")
POLICY = "cleanup.policy"
CLOCK = "message.timestamp.type"
RETENTION = "retention.ms"
DAY_MS = 86_400_000
COMPACT = {POLICY: "compact"}
# Brokers compact closed segments only. With large segments every start would read far more than the newest records.
COMPACT_OFTEN = {"segment.bytes": str(16 << 20), "segment.ms": "3600000", "min.cleanable.dirty.ratio": "0.2"}
MISSING = "is missing"
VISIBLE_WITHIN_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Topic:
    """Topic as the code needs it. `required` configs are checked, `advised` ones are only set at creation."""

    name: str
    partitions: int
    required: Mapping[str, str] = field(default_factory=dict)
    advised: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Created:
    """Result of `create`: the topics that it created, and those that existed and were not changed."""

    made: tuple[Topic, ...]
    found: tuple[Topic, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """Difference of a topic from its definition, as text that follows the topic's name."""

    topic: str
    text: str


@dataclass(frozen=True, slots=True)
class Checked:
    """Result of `check`.

    Attributes:
        problems: differences that prevent a start.
        advice: topics that keep messages for longer than advised. Workers start all the same.
        unchecked: configuration that is not checked, because the broker does not return it.
    """

    topics: tuple[Topic, ...]
    problems: tuple[Problem, ...]
    advice: tuple[Problem, ...] = ()
    unchecked: str | None = None


def changelog_topic(settings: Settings, table: str = PROFILES) -> str:
    """Return the name of a table's changelog. Faust makes it from the app's id and the table's name."""
    return f"{settings.kafka.app_id}-{table}-changelog"


def owned_topics(settings: Settings) -> dict[str, str]:
    """Return the topics that only the owner of a partition writes to, by the topic whose partition it owns."""
    changelogs = {name: name for name in (changelog_topic(settings, table) for table in TABLES)}
    topics = settings.topics
    return {**changelogs, topics.items: topics.item_vectors, topics.item_pairs: topics.item_neighbours}


def declare(settings: Settings) -> tuple[Topic, ...]:
    """Return all topics, sources first."""
    n = settings.topics.partitions
    events = {POLICY: "delete", CLOCK: "LogAppendTime"}
    sessions_ms = str(round(settings.learning.sessions_retention_days * DAY_MS))
    profiles_ms = str(round(settings.assets.retention_days * DAY_MS))
    dead_letters_ms = str(round(settings.topics.dead_letters_retention_days * DAY_MS))
    # Topics without an advised retention keep messages as long as the brokers' default says.
    return (
        Topic(settings.topics.clicks, n, events),
        Topic(settings.topics.searches, n, events),
        Topic(settings.topics.items, n, COMPACT, COMPACT_OFTEN),
        Topic(settings.topics.item_vectors, n, COMPACT, COMPACT_OFTEN),
        Topic(settings.topics.models, 1, COMPACT, COMPACT_OFTEN),
        Topic(settings.topics.privacy, n, events, {RETENTION: str(30 * DAY_MS)}),
        Topic(settings.topics.trending, 1, COMPACT, COMPACT_OFTEN),
        Topic(settings.topics.item_pairs, n, {POLICY: "delete"}, {RETENTION: str(3 * DAY_MS)}),
        Topic(settings.topics.item_neighbours, n, COMPACT, COMPACT_OFTEN),
        Topic(settings.topics.sessions, 1, {POLICY: "compact,delete"}, {**COMPACT_OFTEN, RETENTION: sessions_ms}),
        Topic(settings.topics.asset_profiles, 1, {POLICY: "compact,delete"}, {**COMPACT_OFTEN, RETENTION: profiles_ms}),
        *(Topic(changelog_topic(settings, table), n, COMPACT, COMPACT_OFTEN) for table in TABLES),
        Topic(settings.topics.recommendations, n, {POLICY: "delete"}),
        Topic(settings.topics.dead_letters, n, {POLICY: "delete"}, {RETENTION: dead_letters_ms}),
        Topic(settings.topics.privacy_receipts, n, {POLICY: "delete"}, {RETENTION: str(30 * DAY_MS)}),
    )


async def create(settings: Settings) -> Created:
    """Create missing topics, and return when all topics are visible. Existing ones stay unchanged; see `check`.

    Raises TopicError if the broker refuses a topic.
    """
    topics = declare(settings)
    made = set()
    async with Admin.connected(settings.kafka, "creating topics") as admin:
        existing = await admin.partition_counts()
        for topic in topics:
            config = {**topic.advised, **topic.required}
            if topic.name not in existing and await admin.create(
                topic.name, topic.partitions, settings.topics.replication_factor, config
            ):
                made.add(topic.name)
        await _until_visible(admin, {topic.name for topic in topics})
    return Created(
        tuple(topic for topic in topics if topic.name in made),
        tuple(topic for topic in topics if topic.name not in made),
    )


async def check(settings: Settings) -> Checked:
    """Compare the broker's topics with their definitions: existence, partitions, compaction, timestamps, retention."""
    topics = declare(settings)
    async with Admin.connected(settings.kafka, "checking topics") as admin:
        existing = await admin.partition_counts()
        present = [topic for topic in topics if topic.name in existing]
        configs = await admin.configs({topic.name: (*topic.required, RETENTION) for topic in present})
    problems = [problem for topic in topics for problem in _problems(topic, existing, configs.get(topic.name, {}))]
    unreported = [topic.name for topic in present if not configs.get(topic.name, {}).keys() >= topic.required.keys()]
    unchecked = f"the broker does not return the configuration of {', '.join(unreported)}" if unreported else None
    advice = [problem for topic in present for problem in _too_long(topic, configs.get(topic.name, {}))]
    return Checked(topics, tuple(problems), tuple(advice), unchecked)


def remedy(problems: Sequence[Problem]) -> str:
    """Return one line with the topics of each problem and what to do."""
    topics: dict[str, list[str]] = {}
    for problem in problems:
        topics.setdefault(problem.text, []).append(problem.topic)
    parts = [f"{', '.join(names)}: {text}" for text, names in topics.items()]
    if MISSING in topics:
        parts.append("`intentstream topics create` creates the missing topics")
    if any("partitions" in text for text in topics):
        parts.append(
            "set INTENTSTREAM_PARTITIONS to the topics' number, or use new topics and a new INTENTSTREAM_APP_ID"
        )
    return "; ".join(parts)


def _problems(topic: Topic, existing: Mapping[str, int], config: Mapping[str, str]) -> list[Problem]:
    if topic.name not in existing:
        return [Problem(topic.name, MISSING)]
    problems = []
    if existing[topic.name] != topic.partitions:
        problems.append(Problem(topic.name, f"has {existing[topic.name]} partitions, {topic.partitions} are required"))
    for key, value in topic.required.items():
        if key in config and config[key] != value:
            problems.append(Problem(topic.name, f"has {key}={config[key]}, {value} is required"))
    return problems


def _too_long(topic: Topic, config: Mapping[str, str]) -> list[Problem]:
    if RETENTION not in topic.advised or RETENTION not in config:
        return []
    advised, found = int(topic.advised[RETENTION]), int(config[RETENTION])
    if 0 <= found <= advised:
        return []
    kept = "for ever" if found < 0 else f"for {found / DAY_MS:g} days"
    return [Problem(topic.name, f"keeps messages {kept}, {advised / DAY_MS:g} days are advised")]


async def _until_visible(admin: Admin, names: set[str]) -> None:
    try:
        async with asyncio.timeout(VISIBLE_WITHIN_SECONDS):
            while not names <= (await admin.partition_counts()).keys():  # noqa: ASYNC110 - there is no event for it
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise TopicError(f"required visible topics within {VISIBLE_WITHIN_SECONDS} s, got a timeout") from None
