"""Quality of the streams, from the snapshots of all workers. No I/O.

After each interval the last minute is judged. Intervals without a finding teach what is usual.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from streams.assets.expectations import WORDS, Expectation, Expected, Finding
from streams.assets.fields import REFUSED
from streams.assets.measures import Measure, measure_all, refused_measure, sample_of, volume_measure
from streams.assets.profile import MOST_STREAMS, OTHER_PRODUCERS, Profiles, Stream, StreamProfile
from streams.assets.quality import merged
from streams.assets.reference import StreamReference
from streams.assets.rules import Rules
from streams.assets.snapshots import HOUR_MS, Snapshot
from streams.assets.watches import AGAIN, Watches

INTERVALS = 3
"""Intervals that are judged together."""
FEW_MESSAGES = 50
"""A stream with fewer messages in these intervals is judged by all that are kept, LONG_MS."""
LONG_MS = 300_000
STEADY = 15
"""Intervals in a row with messages after which the silence of a stream is a finding."""
SILENT_SHOPPERS = 20.0
"""Shoppers whose messages are missing before silence is a finding."""
ALL_SILENT = 3
"""If nothing arrives of any producer, the silence must last this many times as long: workers may be late themselves."""
FORGOTTEN_MS = 86_400_000
"""A finding of a stream without messages is dropped after this time."""
HOURS_OF_WEEK = 168


@dataclass(slots=True)
class _State:
    """State of a stream.

    Attributes:
        reference: what was learned.
        intervals: its last intervals, each with its end.
        waiting: profiles that wait to be learned, each with the end of its interval, and whether it stands for several.
        last_ms: end of the last interval with messages.
        new_messages: messages since the last evaluation.
        steady: intervals in a row with messages.
        is_silent: whether it fell silent.
        per_second: usual number of messages in a second.
        shoppers: shoppers by message in the last window.
    """

    reference: StreamReference
    intervals: deque[tuple[int, StreamProfile]] = field(default_factory=deque)
    waiting: deque[tuple[int, StreamProfile, bool]] = field(default_factory=deque)
    last_ms: int = 0
    new_messages: int = 0
    steady: int = 0
    is_silent: bool = False
    per_second: float = 0.0
    shoppers: float = 1.0


class QualityMonitor:
    """The quality of all streams, from the snapshots of all workers.

    The same snapshots give the same findings, up to the interval in which a worker evaluates them.

    Args:
        rules: the file of expectations.
        reference_ms: least time of the reference period.
        interval_ms: interval of the snapshots.

    Attributes:
        newest_ms: end of the newest interval.
        watched_from_ms: a stream cannot be silent before this time: nobody may have published snapshots.
    """

    def __init__(self, rules: Rules, reference_ms: float, interval_ms: float) -> None:
        self._rules = rules
        self._reference_ms = round(reference_ms)
        self._interval_ms = interval_ms
        self._states: dict[Stream, _State] = {}
        self.watches = Watches()
        self._hours: dict[int, dict[tuple[str, Stream], int]] = {}
        self._judged_hour_ms = 0
        self._evaluated_ms = 0
        self.newest_ms = 0
        self.watched_from_ms = 0

    @property
    def findings(self) -> list[Finding]:
        """The open findings, the severe and the oldest ones first."""
        return self.watches.findings

    @property
    def references(self) -> Mapping[Stream, StreamReference]:
        """What was learned of each stream."""
        return {stream: state.reference for stream, state in self._states.items()}

    def expectations(self, stream: Stream) -> list[Expectation]:
        """Return the expectations of a stream: the learned ones, as the rules change them."""
        return self._expectations(self._state(stream).reference)

    def is_ready(self, stream: Stream) -> bool:
        """Return whether enough was learned of a stream."""
        return self._state(stream).reference.is_ready(self._reference_ms)

    def is_due(self, now_ms: float) -> bool:
        """Return whether the last evaluation is more than half an interval old."""
        return now_ms - self._evaluated_ms > self._interval_ms / 2

    def observe(self, snapshot: Snapshot, window: StreamProfile, hour: StreamProfile) -> None:
        """Take a snapshot with the profiles of its interval and its hour."""
        state = self._state(snapshot.stream)
        counts = self._hours.setdefault(snapshot.hour_ms, {})
        # Compaction leaves the last snapshot of an hour. The first one that is read stands for all before it.
        seen = (snapshot.worker, snapshot.stream) in counts
        counts[snapshot.worker, snapshot.stream] = hour.messages
        state.intervals.append((snapshot.until_ms, window))
        state.waiting.append(
            (snapshot.until_ms, window if seen else hour, hour.messages > window.messages and not seen)
        )
        state.last_ms = max(state.last_ms, snapshot.until_ms)
        state.new_messages += window.messages
        self.newest_ms = max(self.newest_ms, snapshot.until_ms)

    def accept(self, stream: Stream) -> None:
        """Make what a stream sends from now on usual: forget its reference and its findings.

        An empty type or producer stands for all.
        """
        for known, state in self._states.items():
            if all(want in ("", got) for want, got in zip(stream, known, strict=True)):
                state.reference = StreamReference(known)
                state.waiting.clear()
                self.watches.drop(known)

    def sealed(self, hour_ms: int, profiles: Profiles) -> None:  # noqa: ARG002 - signature of AssetHistory's hook
        """Learn how far the hours of a stream differ, from an hour without findings."""
        for stream, profile in profiles.items():
            state = self._states.get(stream)
            if state is None or not state.reference.is_ready(self._reference_ms):
                continue
            measures = measure_all(profile, self._expectations(state.reference), state.reference.profile)
            if not any(each.is_beyond for each in measures):
                state.reference.learn_departures(measures)

    def evaluate(self, now_ms: int) -> None:
        """Judge the last minute, and learn what passed. `watches` has what changed."""
        for _ in self.evaluation(now_ms):
            pass

    def evaluation(self, now_ms: int) -> Iterator[None]:
        """Evaluate as `evaluate` does, a stream at a step. No step may be left out."""
        passed_ms = max(1, now_ms - self._evaluated_ms) if self._evaluated_ms else self._interval_ms
        self._evaluated_ms = now_ms
        self.watches.begin(now_ms)
        for stream, state in list(self._states.items()):
            yield
            window = self._window(state, now_ms)
            expectations, usual = self._expectations(state.reference), state.reference.profile
            if window.readable:
                self.watches.note_all(measure_all(window, expectations, usual))
                state.shoppers = sample_of(window) / window.messages
            self._judge_silence(state, now_ms, passed_ms)
            self._learn(stream, state, now_ms)
            if now_ms - state.last_ms > FORGOTTEN_MS:
                self.watches.drop(stream)
        self._judge_refused(now_ms)
        self._judge_hour(now_ms)

    def _state(self, stream: Stream) -> _State:
        state = self._states.get(stream)
        if state is None:
            if len(self._states) >= MOST_STREAMS and stream.producer != OTHER_PRODUCERS:
                return self._state(stream._replace(producer=OTHER_PRODUCERS))
            state = self._states[stream] = _State(StreamReference(stream))
        return state

    def _expectations(self, reference: StreamReference) -> list[Expectation]:
        return self._rules.applied(reference.stream, reference.expectations(self._reference_ms))

    def _recent(self, state: _State, now_ms: int, *, is_long: bool) -> list[StreamProfile]:
        """Return the profiles of the last INTERVALS, or of all intervals that are kept."""
        while state.intervals and state.intervals[0][0] <= now_ms - LONG_MS:
            state.intervals.popleft()
        since_ms = 0 if is_long else now_ms - (INTERVALS - 0.5) * self._interval_ms
        return [profile for until_ms, profile in state.intervals if until_ms > since_ms]

    def _window(self, state: _State, now_ms: int) -> StreamProfile:
        """Return the profile of the last INTERVALS, or of all intervals that are kept if there are few messages."""
        recent = self._recent(state, now_ms, is_long=False)
        if _messages(recent) < FEW_MESSAGES:
            recent = self._recent(state, now_ms, is_long=True)
        return merged(recent)

    def _judge_refused(self, now_ms: int) -> None:
        """Judge the share of refused messages of each producer on each topic, of all its types together."""
        of: defaultdict[tuple[str, str], list[_State]] = defaultdict(list)
        for stream, state in self._states.items():
            of[stream.topic, stream.producer].append(state)
        for (topic, producer), states in of.items():
            refusing = self._states.get(stream := Stream(topic, REFUSED, producer))
            if refusing is None:
                continue
            for is_long in (False, True):
                messages = sum(_messages(self._recent(state, now_ms, is_long=is_long)) for state in states)
                if messages >= FEW_MESSAGES:
                    break
            refused = self._recent(refusing, now_ms, is_long=is_long)
            outcomes: Counter[str] = Counter()
            for profile in refused:
                outcomes.update(profile.outcomes)
            reasons = ", ".join(reason for reason, _ in outcomes.most_common(3))
            for expectation in self.expectations(stream):
                measure = refused_measure(_messages(refused), messages, expectation)
                if measure is not None:
                    sentence = f"{measure.sentence} ({reasons})" if reasons else measure.sentence
                    self.watches.note(measure._replace(sentence=sentence))

    def _judge_silence(self, state: _State, now_ms: int, passed_ms: float) -> None:
        is_expected = [each for each in self._expectations(state.reference) if each.kind is Expected.SILENCE]
        new, state.new_messages = state.new_messages, 0
        quiet_ms = now_ms - state.last_ms
        if new:
            if state.is_silent:
                state.is_silent, state.steady = False, 0
            weight = 0.2 if state.steady else 1.0
            state.per_second += weight * (1000 * new / passed_ms - state.per_second)
            state.steady += 1
        elif quiet_ms > 1.5 * self._interval_ms and state.steady < STEADY:
            state.steady = 0
        if not is_expected:
            return
        (expectation,) = is_expected
        quiet_ms = now_ms - max(state.last_ms, self.watched_from_ms)
        missing = state.per_second * state.shoppers * quiet_ms / 1000
        longest_ms = INTERVALS * self._interval_ms * (ALL_SILENT if now_ms - self.newest_ms > self._interval_ms else 1)
        is_silent = state.steady >= STEADY and quiet_ms >= longest_ms and missing >= SILENT_SHOPPERS
        state.is_silent = state.is_silent or is_silent
        text = f"{WORDS[Expected.SILENCE].wrong}, usually {state.per_second:.3g} a second"
        if new or is_silent:
            self.watches.note(Measure(expectation, 0.0, state.per_second, is_silent, is_silent, text))
        elif quiet_ms > HOUR_MS:
            state.steady = 0

    def _judge_hour(self, now_ms: int) -> None:
        """Judge the numbers of messages of the last whole hour, once, and learn those that pass."""
        hour_ms = (now_ms - round(3 * self._interval_ms)) // HOUR_MS * HOUR_MS - HOUR_MS
        if hour_ms <= self._judged_hour_ms or hour_ms not in self._hours:
            return
        self._judged_hour_ms = hour_ms
        counts: Counter[Stream] = Counter()
        for (_, stream), messages in self._hours[hour_ms].items():
            counts[stream] += messages
        hour = hour_ms // HOUR_MS % HOURS_OF_WEEK
        for stream, state in self._states.items():
            usual = state.reference.volumes.get(hour)
            expected = [each for each in self._expectations(state.reference) if each.kind is Expected.VOLUME]
            if usual is not None and expected:
                measure = volume_measure(counts[stream], (min(usual), max(usual)), expected[0])
                self.watches.note(measure._replace(is_large=measure.is_beyond), clear_after=1)
                if measure.is_beyond:
                    continue
            state.reference.learn_volume(hour, counts[stream])
        for old in [each for each in self._hours if each < hour_ms - HOUR_MS]:
            del self._hours[old]

    def _learn(self, stream: Stream, state: _State, now_ms: int) -> None:
        """Learn the profiles that have waited, unless the stream is suspected. Those of a finding are dropped."""
        if stream.type == REFUSED:
            state.waiting.clear()
            return
        is_suspected, has_finding = self.watches.state_of(stream)
        if has_finding:
            state.reference.skipped += len(state.waiting)
            state.waiting.clear()
        if is_suspected:
            return
        held_ms = (INTERVALS + AGAIN - 1) * self._interval_ms
        while state.waiting and state.waiting[0][0] <= now_ms - held_ms:
            _, profile, is_hour = state.waiting.popleft()
            # Intervals have been judged with those around them. Those of an hour that was read as a whole have not.
            if is_hour and self._departs(profile, state.reference):
                state.reference.skipped += 1
            else:
                state.reference.learn(profile)

    def _departs(self, profile: StreamProfile, reference: StreamReference) -> bool:
        measures = measure_all(profile, self._expectations(reference), reference.profile)
        return any(each.is_beyond for each in measures)


def _messages(profiles: Iterable[StreamProfile]) -> int:
    return sum(profile.messages for profile in profiles)
