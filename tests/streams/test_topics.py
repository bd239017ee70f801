from __future__ import annotations

from streams.kafka.topics import CLOCK, POLICY, Topic, changelog_topic, declare
from streams.settings import Settings, load_settings


def declared(settings: Settings) -> dict[str, Topic]:
    return {topic.name: topic for topic in declare(settings)}


def test_every_topic_of_the_settings_is_declared_once() -> None:
    settings = load_settings(env_file=None)
    names = [str(getattr(settings, name)) for name in Settings.model_fields if name.endswith("_topic")]
    assert sorted(declared(settings)) == sorted([*names, "intentstream-profiles-changelog"])
    assert len(declare(settings)) == len(names) + 1


def test_what_must_meet_in_one_worker_has_one_partition_count() -> None:
    settings = load_settings({"partitions": 3}, env_file=None)
    counts = {name: topic.partitions for name, topic in declared(settings).items()}
    assert counts.pop(settings.trending_topic) == 1
    assert set(counts.values()) == {3}


def test_state_is_compacted_and_events_are_not() -> None:
    settings = load_settings(env_file=None)
    compacted = {name for name, topic in declared(settings).items() if topic.required[POLICY] == "compact"}
    assert compacted == {"items", "item-vectors", "trending", changelog_topic(settings)}


def test_source_topics_carry_the_brokers_clock() -> None:
    stamped = {topic.name for topic in declare(load_settings(env_file=None)) if CLOCK in topic.required}
    assert stamped == {"clicks", "searches"}


def test_the_changelog_follows_the_app_id() -> None:
    assert changelog_topic(load_settings({"app_id": "blue"}, env_file=None)) == "blue-profiles-changelog"
