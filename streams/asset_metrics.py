"""Prometheus metrics of data quality. Labels contain no producer: its name is untrusted text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from streams.assets.expectations import Expected, Finding
from streams.assets.fields import FIELDS, ITEM, REFUSED, SEARCH
from streams.metric_families import FAST, MetricFamilies
from streams.settings import Settings


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

    def data_quality(self, findings: Sequence[Finding], opened: Sequence[Finding]) -> None:
        """Record the open findings, and those that were opened now."""
        numbers = Counter((each.topic, each.type, each.kind) for each in findings)
        for topic, kind in self._data_streams:
            for expected in Expected:
                self.data_findings.labels(topic, kind, expected).set(numbers[topic, kind, expected])
        for finding in opened:
            self.data_findings_opened.labels(finding.kind).inc()
