"""Topics that are missing, were created again, or have another number of partitions."""

from __future__ import annotations

import logging
from collections.abc import Collection
from types import SimpleNamespace
from typing import Any

import pytest

from streams.kafka.topic_states import TopicState
from streams.kafka.topics import declare
from streams.metrics import Metrics
from streams.settings import load_settings
from streams.worker.health import Health
from streams.worker.topic_watch import TopicWatch

SETTINGS = load_settings({}, env_file=None)
ALL = {topic.name: TopicState(b"first" + topic.name.encode(), topic.partitions) for topic in declare(SETTINGS)}


class Harness:
    """A watch, and the topics that the worker was told to read again."""

    def __init__(self) -> None:
        self.reread: list[list[str]] = []
        self.metrics, self.health = Metrics(), Health()
        app: Any = SimpleNamespace(read_again=self._read_again)
        self.watch = TopicWatch(settings=SETTINGS, app=app, metrics=self.metrics, health=self.health)
        self.watch.compare(ALL)

    def _read_again(self, topics: Collection[str]) -> None:
        self.reread.append(list(topics))

    def problem(self, topic: str) -> float | None:
        return self.metrics.registry.get_sample_value("intentstream_topic_problem", {"topic": topic})


@pytest.fixture
def harness() -> Harness:
    return Harness()


def test_unchanged_topics_are_no_problem(harness: Harness) -> None:
    harness.watch.compare(ALL)
    assert (harness.reread, harness.health.topics_right, harness.problem("clicks")) == ([], True, 0)


def test_a_recreated_topic_of_events_is_read_again_once(harness: Harness, caplog: pytest.LogCaptureFixture) -> None:
    after = ALL | {"clicks": TopicState(b"second", 8)}
    harness.watch.compare(after)
    harness.watch.compare(after)
    assert harness.reread == [["clicks"]]
    assert harness.health.topics_right
    assert caplog.text.count("clicks was created again") == 1


def test_a_missing_topic_is_logged_once_and_read_when_it_is_back(
    harness: Harness, caplog: pytest.LogCaptureFixture
) -> None:
    without = {name: state for name, state in ALL.items() if name != "clicks"}
    harness.watch.compare(without)
    harness.watch.compare(without)
    assert (harness.reread, harness.health.topics_right, harness.problem("clicks")) == ([], False, 1)
    assert [record.levelno for record in caplog.records if "clicks is missing" in record.message] == [logging.ERROR]
    harness.watch.compare(ALL | {"clicks": TopicState(b"second", 8)})
    assert (harness.reread, harness.health.topics_right, harness.problem("clicks")) == ([["clicks"]], True, 0)


def test_a_topic_with_more_partitions_makes_the_worker_not_ready(
    harness: Harness, caplog: pytest.LogCaptureFixture
) -> None:
    harness.watch.compare(ALL | {"searches": TopicState(ALL["searches"].id, 12)})
    assert (harness.reread, harness.health.topics_right, harness.problem("searches")) == ([], False, 1)
    assert "searches has 12 partitions, 8 are required" in caplog.text


def test_a_recreated_changelog_makes_the_worker_not_ready_until_it_is_restarted(
    harness: Harness, caplog: pytest.LogCaptureFixture
) -> None:
    after = ALL | {"intentstream-profiles-changelog": TopicState(b"second", 8)}
    harness.watch.compare(after)
    harness.watch.compare(after)
    assert (harness.reread, harness.health.topics_right) == ([], False)
    assert caplog.text.count("restart all workers") == 1
