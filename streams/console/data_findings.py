"""The findings of data quality in words: the producer, what is wrong, since when, and what it means for shoppers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from inference.plain_text import printable
from streams.assets.expectations import WORDS, Expected, Finding
from streams.assets.fields import REFUSED
from streams.assets.monitor import QualityMonitor
from streams.assets.profile import Stream
from streams.assets.reference import LEAST_MESSAGES
from streams.console.data_streams import type_title
from streams.console.numbers import number_text
from streams.console.words import current_language, gettext

DAY_MS = 86_400_000
SENTENCES = {
    Expected.REFUSED: "%(share)s of the messages break the contract, accepted are %(most)s",
    Expected.UNKNOWN_ITEMS: "%(share)s of the messages name an item that the catalogue lacks, accepted are %(most)s",
    Expected.CLOCK: "%(share)s of the messages have a time in the future, accepted are %(most)s",
    Expected.DISORDER: "%(share)s of the messages are older than the message before, accepted are %(most)s",
    Expected.ROBOTS: "%(share)s of the messages are of robots, accepted are %(most)s",
    Expected.PERSONAL_DATA: "%(share)s of the texts contain an e-mail address, a phone or a card number, accepted are "
    "%(most)s",
    Expected.COMPLETENESS: "%(share)s of the messages lack the field, accepted are %(most)s",
    Expected.TYPES: "%(share)s of the values have another type, accepted are %(most)s",
    Expected.RANGE: "%(share)s of the values are outside the usual range, accepted are %(most)s",
    Expected.VALUES: "%(share)s of the values were not seen before, accepted are %(most)s",
    Expected.DRIFT: "the values are distributed differently: stability index %(value)s, accepted is %(limit)s",
    Expected.MEANING: "the texts have another meaning: cosine distance %(value)s, accepted is %(limit)s",
    Expected.VOLUME: "%(value)s messages came in an hour, accepted are %(limit)s",
    Expected.SILENCE: "no messages arrive, usually %(limit)s a second",
}
"""The findings in languages other than English, which has the more detailed sentence of the finding itself."""
MEANINGS = {text for words in WORDS.values() for text in (words.shoppers, words.remedy)}
"""What findings mean, and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingCard:
    """A finding on the page. Producer, field and examples are untrusted text.

    Attributes:
        stream: the stream.
        title: its type for people.
        producer, field: as in the finding, printable.
        is_high: whether shoppers are likely to notice.
        sentence, shoppers, remedy: what is wrong, what it means for shoppers, and what to do.
        since: its time in UTC, with the date if it is not of the last day.
        examples: some wrong values.
    """

    stream: Stream
    title: str
    producer: str
    field: str
    is_high: bool
    sentence: str
    shoppers: str
    remedy: str
    since: str
    examples: list[str]


def cards_of(findings: Iterable[Finding], now_ms: float) -> list[FindingCard]:
    """Return the cards of findings, in their order."""
    return [
        FindingCard(
            stream=each.stream,
            title=type_title(each.type),
            producer=printable(each.producer),
            field=printable(each.field),
            is_high=each.severity == "high",
            sentence=_sentence(each),
            shoppers=gettext(each.shoppers),
            remedy=gettext(each.remedy),
            since=_since(each.since_ms, now_ms),
            examples=[printable(value) for value in each.examples],
        )
        for each in findings
    ]


class Learned(NamedTuple):
    """The number of streams whose usual values are known, and of all, and what a stream needs until they are known."""

    known: int
    all: int
    messages: int
    minutes: str


def learned(monitor: QualityMonitor, reference_minutes: float) -> Learned:
    """Return how much is known about the usual values of the streams, without refused messages."""
    references = [each for each in monitor.references.values() if each.stream.type != REFUSED]
    known = sum(each.is_ready(round(reference_minutes * 60_000)) for each in references)
    return Learned(known, len(references), LEAST_MESSAGES, f"{reference_minutes:g}")


def _sentence(finding: Finding) -> str:
    if current_language() == "en":
        return printable(finding.sentence)
    return gettext(SENTENCES[finding.kind]) % {
        "share": f"{finding.observed:.0%}",
        "most": f"{finding.limit:.0%}",
        "value": number_text(finding.observed),
        "limit": number_text(finding.limit),
    }


def _since(since_ms: float, now_ms: float) -> str:
    at = datetime.fromtimestamp(since_ms / 1e3, UTC)
    return f"{at:%H:%M:%S}" if now_ms - since_ms < DAY_MS else f"{at:%Y-%m-%d %H:%M}"
