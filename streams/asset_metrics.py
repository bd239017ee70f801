"""Prometheus metrics of the quality and the value of data. Labels contain no producer: its name is untrusted text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from math import nan

from streams.assets.expectations import Expected, Finding
from streams.assets.fields import FIELDS, ITEM, REFUSED, SEARCH
from streams.metric_families import FAST, MetricFamilies
from streams.settings import Settings
from streams.value.report import EFFECTS, ValueReport

VALUED = ("source", "feature", "type", "producer", "field", "context", "attribute", "history")
"""Kinds of assets of a value report."""


class AssetMetrics(MetricFamilies):
    """Metrics of the content of the streams."""

    def _assets(self, settings: Settings) -> None:
        self.data_findings = self._gauge(
            "data_findings",
            "Open findings of data quality, by expectation. The log and the console name the producers",
            topic=None, type=None, expectation=None,
        )  # fmt: skip
        self.data_findings_opened = self._counter(
            "data_findings_opened", "Findings of data quality that were opened, by expectation", expectation=Expected
        )
        self.quality_seconds = self._histogram(
            "data_quality_seconds", "Time of one evaluation of the data quality of all streams", FAST
        )
        self.data_failures = self._counter(
            "data_quality_failures", "Failures of the profiles and of the data quality, which end no worker"
        )
        actions = [kind for kind in FIELDS if kind not in (ITEM, SEARCH)]
        self._data_streams = [
            *((settings.topics.clicks, kind) for kind in (*actions, REFUSED)),
            *((settings.topics.searches, kind) for kind in (SEARCH, REFUSED)),
            *((settings.topics.items, kind) for kind in (ITEM, REFUSED)),
        ]
        self.data_quality([], [])
        self._value_types = [kind for kind in FIELDS if kind != ITEM]
        self.value_loss = self._gauge(
            "value_loss",
            "Share of the primary metric that lists lose without the events of a type, by the report of "
            "`intentstream value`; NaN without a figure",
            type=self._value_types,
        )
        self.value_assets = self._gauge(
            "value_assets",
            "Assets of the report of `intentstream value`, by kind and by what lists lose without them",
            kind=VALUED, effect=EFFECTS,
        )  # fmt: skip
        self.value_report = self._gauge(
            "value_report_timestamp_seconds",
            "Unix time at which the report of `intentstream value` was made; NaN without one",
        )
        self.value_problem = self._gauge(
            "value_report_problem", "1 if the file of INTENTSTREAM_ASSETS_VALUE_FILE holds no readable report"
        )
        self.valued(None, is_wrong=False)

    def data_quality(self, findings: Sequence[Finding], opened: Sequence[Finding]) -> None:
        """Record the open findings, and those that were opened now."""
        numbers = Counter((each.topic, each.type, each.kind) for each in findings)
        for topic, kind in self._data_streams:
            for expected in Expected:
                self.data_findings.labels(topic, kind, expected).set(numbers[topic, kind, expected])
        for finding in opened:
            self.data_findings_opened.labels(finding.kind).inc()

    def valued(self, report: ValueReport | None, *, is_wrong: bool) -> None:
        """Record a report on the value of data, None without one. `is_wrong`: whether its file is unreadable."""
        assets = None if report is None else report.sections.assets
        found = [] if assets is None else assets.values
        numbers = Counter((each.kind, each.effect(assets.metric)) for each in found if assets is not None)
        for kind in VALUED:
            for effect in EFFECTS:
                self.value_assets.labels(kind, effect).set(numbers[kind, effect])
        losses = {each.name: each.relative for each in found if each.kind == "type"}
        for kind in self._value_types:
            loss = losses.get(kind)
            self.value_loss.labels(kind).set(nan if loss is None else loss.value)
        self.value_report.set(nan if report is None else _unix_time(report.measured_at))
        self.value_problem.set(is_wrong)


def _unix_time(text: str) -> float:
    """Return the seconds of an RFC 3339 time, NaN if it is none."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return nan
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
