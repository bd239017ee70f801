"""Quality of profiles that are judged once: `evaluate`. `streams.assets.monitor` judges the stream. No I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from streams.assets.expectations import HIGH, WORDS, Expectation, Finding
from streams.assets.fields import REFUSED
from streams.assets.measures import Measure, measure_all, refused_measure, unexplained
from streams.assets.profile import Stream, StreamProfile


def evaluate(
    profiles: Mapping[Stream, StreamProfile],
    usual: Mapping[Stream, StreamProfile],
    expectations: Callable[[Stream], Iterable[Expectation]],
) -> list[Finding]:
    """Judge profiles once, without memory.

    Args:
        profiles: what was observed.
        usual: the profiles of the reference period.
        expectations: returns what is expected of a stream.
    """
    findings = []
    totals: Counter[tuple[str, str]] = Counter()
    for stream, profile in profiles.items():
        totals[stream.topic, stream.producer] += profile.messages
    for stream, profile in profiles.items():
        wanted = list(expectations(stream))
        measures = unexplained(measure_all(profile, wanted, usual.get(stream)))
        if stream.type == REFUSED:
            found = (refused_measure(profile.messages, totals[stream.topic, stream.producer], each) for each in wanted)
            measures = [each for each in found if each is not None]
        findings += [finding_of(each, profile.last_ms) for each in measures if each.is_beyond]
    return findings


def finding_of(measure: Measure, since_ms: int) -> Finding:
    """Return the finding of a measure."""
    expectation = measure.expectation
    words = WORDS[expectation.kind]
    return Finding(
        topic=expectation.topic,
        type=expectation.type,
        producer=expectation.producer,
        field=expectation.field,
        kind=expectation.kind,
        observed=measure.value,
        limit=measure.limit,
        since_ms=since_ms,
        severity="high" if expectation.kind in HIGH else "medium",
        sentence=measure.sentence,
        shoppers=words.shoppers,
        remedy=words.remedy,
        examples=measure.examples,
    )


def merged(profiles: Iterable[StreamProfile]) -> StreamProfile:
    """Return profiles of one stream together."""
    together = StreamProfile()
    for each in profiles:
        together.merge(each)
    return together
