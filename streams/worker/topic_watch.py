"""Watches the topics: a running worker notices that one was deleted, created again, or got more partitions."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from streams.kafka.topic_states import TopicState
from streams.kafka.topics import declare
from streams.metrics import Metrics
from streams.settings import Settings
from streams.worker.faust.app import WorkerApp
from streams.worker.health import Health

log = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class TopicWatch:
    """Compares the topics with what the worker needs.

    A topic of messages that was created again is read from its beginning. Nothing else can be repaired here, so the
    worker is not ready until an operator has repaired it: each problem is logged once, with what to do.
    """

    settings: Settings
    app: WorkerApp
    metrics: Metrics
    health: Health
    _ids: dict[str, bytes] = field(default_factory=dict)
    _problems: dict[str, str] = field(default_factory=dict)
    _partitions: Mapping[str, int] = field(init=False)

    def __post_init__(self) -> None:
        self._partitions = {topic.name: topic.partitions for topic in declare(self.settings)}

    @property
    def topics(self) -> Collection[str]:
        """All topics of the service."""
        return self._partitions.keys()

    def compare(self, states: Mapping[str, TopicState]) -> None:
        """Compare the topics with their former states and with the settings."""
        consumed = self.settings.topics.consumed
        returned = [topic for topic in consumed if topic in self._problems and self._is_right(topic, states)]
        recreated = [topic for topic, state in states.items() if self._ids.setdefault(topic, state.id) != state.id]
        problems = {topic: text for topic in self.topics if (text := self._problem(topic, states, recreated))}
        for topic in self.topics:
            if problems.get(topic) not in (None, self._problems.get(topic)):
                log.error("%s %s", topic, problems[topic])
            self.metrics.topic_problem.labels(topic).set(topic in problems)
        self._problems = problems
        self.health.topics_right = not problems
        reread = [topic for topic in recreated if topic in consumed]
        for topic in reread:
            log.warning("%s was created again: its messages are read from the beginning", topic)
            self._ids[topic] = states[topic].id
        if reread or returned:
            self.app.read_again(reread)

    def _is_right(self, topic: str, states: Mapping[str, TopicState]) -> bool:
        return topic in states and states[topic].partitions == self._partitions[topic]

    def _problem(self, topic: str, states: Mapping[str, TopicState], recreated: Collection[str]) -> str | None:
        if topic not in states:
            return "is missing: shoppers get no lists for it; `intentstream topics create` creates it"
        if not self._is_right(topic, states):
            return (
                f"has {states[topic].partitions} partitions, {self._partitions[topic]} are required: keys go to other "
                "partitions now, and the additional ones are not read; see Topic changed in the runbook not-ready"
            )
        if topic in recreated and topic not in self.settings.topics.consumed:
            return "was created again: its former contents are gone; restart all workers"
        return None
