from __future__ import annotations

from streams.kafka.topics import CLOCK, COOCCURRENCE, POLICY, RETENTION, Topic, changelog_topic, declare
from streams.settings import Settings, load_settings
from streams.settings_groups import Topics


def declared(settings: Settings) -> dict[str, Topic]:
    return {topic.name: topic for topic in declare(settings)}


def test_every_topic_of_the_settings_is_declared_once() -> None:
    settings = load_settings(env_file=None)
    names = [str(getattr(settings.topics, name)) for name in Topics.aliases()]
    changelogs = ["intentstream-pairs-changelog", "intentstream-profiles-changelog"]
    assert sorted(declared(settings)) == sorted([*names, *changelogs])
    assert len(declare(settings)) == len(names) + 2


def test_partitioned_topics_have_the_same_partition_count() -> None:
    settings = load_settings({"partitions": 3}, env_file=None)
    counts = {name: topic.partitions for name, topic in declared(settings).items()}
    topics = settings.topics
    for single in (topics.trending, topics.models, topics.sessions, topics.asset_profiles):
        assert counts.pop(single) == 1
    assert set(counts.values()) == {3}


def test_the_prefix_applies_to_every_topic_except_changelogs() -> None:
    plain, prefixed = (
        declare(load_settings(env_file=None)),
        declare(load_settings({"topic_prefix": "b."}, env_file=None)),
    )
    for topic, changed in zip(plain, prefixed, strict=True):
        assert changed.name == (topic.name if topic.name.endswith("-changelog") else f"b.{topic.name}")
        assert (changed.partitions, changed.required, changed.advised) == (
            topic.partitions,
            topic.required,
            topic.advised,
        )


def test_state_topics_are_compacted_and_event_topics_are_not() -> None:
    settings = load_settings(env_file=None)
    compacted = {name for name, topic in declared(settings).items() if topic.required[POLICY] == "compact"}
    changelogs = {changelog_topic(settings), changelog_topic(settings, COOCCURRENCE)}
    assert compacted == {"items", "item-vectors", "models", "trending", "item-neighbours", *changelogs}


def test_sessions_are_compacted_and_expire() -> None:
    sessions = declared(load_settings({"sessions_retention_days": 0.5}, env_file=None))["sessions"]
    assert sessions.required == {POLICY: "compact,delete"}
    assert sessions.advised[RETENTION] == "43200000"


def test_dead_letters_expire() -> None:
    for given, expected in (({}, "1209600000"), ({"dead_letters_retention_days": 0.5}, "43200000")):
        assert declared(load_settings(given, env_file=None))["dead-letters"].advised[RETENTION] == expected


def test_event_topics_require_broker_timestamps() -> None:
    stamped = {topic.name for topic in declare(load_settings(env_file=None)) if CLOCK in topic.required}
    assert stamped == {"clicks", "searches", "privacy"}


def test_changelogs_have_the_app_id_as_their_prefix() -> None:
    settings = load_settings({"app_id": "blue"}, env_file=None)
    assert changelog_topic(settings) == "blue-profiles-changelog"
    assert changelog_topic(settings, COOCCURRENCE) == "blue-pairs-changelog"
