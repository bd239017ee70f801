"""The wrong data of the demo in one line for each producer. No I/O."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC

from inference.plain_text import printable
from streams.assets.expectations import Expected
from streams.assets.inventory import DataFinding
from streams.demo.words import ENGLISH, Words

KINDS: dict[str, str] = {
    Expected.REFUSED: "broken messages",
    Expected.UNKNOWN_ITEMS: "unknown items",
    Expected.CLOCK: "times in the future",
    Expected.DISORDER: "messages out of order",
    Expected.ROBOTS: "messages of robots",
    Expected.PERSONAL_DATA: "personal data",
    Expected.COMPLETENESS: "messages without %s",
    Expected.TYPES: "another type of %s",
    Expected.RANGE: "%s out of range",
    Expected.VALUES: "new values of %s",
    Expected.DRIFT: "%s as never before",
    Expected.MEANING: "texts of another meaning",
    Expected.VOLUME: "an unusual number of messages",
    Expected.SILENCE: "nothing any more",
}
"""Wrong data in words, by kind of finding. `%s` is the field."""
FIELDS = {"price": "prices"}
"""Names of fields for people."""


def wrong_lines(findings: Iterable[DataFinding], words: Words = ENGLISH) -> list[str]:
    """Return a line for each producer: what it sends, and since when, the first one first."""
    by_producer: dict[str, list[DataFinding]] = {}
    for each in findings:
        by_producer.setdefault(each.producer, []).append(each)
    ordered = sorted(by_producer.items(), key=lambda each: min(finding.since for finding in each[1]))
    return [_line(producer, found, words) for producer, found in ordered]


def _line(producer: str, findings: list[DataFinding], words: Words) -> str:
    kinds = dict.fromkeys(_kind(each, words) for each in sorted(findings, key=lambda each: each.since))
    since = min(each.since for each in findings).astimezone(UTC)
    return words("%(producer)s sends %(wrong)s, since %(since)s UTC") % {
        "producer": printable(producer),
        "wrong": words(", ").join(kinds),
        "since": f"{since:%H:%M:%S}",
    }


def _kind(finding: DataFinding, words: Words) -> str:
    text = words(KINDS[finding.kind])
    name = FIELDS.get(finding.field)
    return text % (words(name) if name else printable(finding.field)) if "%s" in text else text
