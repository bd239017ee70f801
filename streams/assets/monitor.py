"""Quality of the streams, from the snapshots of all workers. No I/O.

After each interval the last minute is judged. Intervals without a finding teach what is usual.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping

from streams.assets.expectations import WORDS, Expectation, Expected, Finding
from streams.assets.fields import REFUSED
from streams.assets.measures import Measure, measure_all, refused_measure, sample_of, volume_measure
from streams.assets.profile import MOST_STREAMS, OTHER_PRODUCERS, Stream, StreamProfile
from streams.assets.reference import StreamReference
from streams.assets.rules import Rules
from streams.assets.snapshots import HOUR_MS, Snapshot
from streams.assets.stream_state import FEW_MESSAGES, INTERVALS, StreamState, Waiting, messages_of
from streams.assets.watches import AGAIN, Watches

STEADY = 15
"""Intervals in a row with messages after which the silence of a stream is a finding."""
SILENT_SHOPPERS = 20.0
"""Shoppers whose messages are missing before silence is a finding."""
ALL_SILENT = 3
"""If nothing arrives of any producer, the silence must last this many times as long: workers may be late themselves."""
FORGOTTEN_MS = 86_400_000
"""Time without messages after which the findings of a stream are dropped, and the stream if another needs its place."""
HOURS_OF_WEEK = 168


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
        self._states: dict[Stream, StreamState] = {}
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

    def observe(self, snapshot: Snapshot, window: StreamProfile) -> None:
        """Take a snapshot with the profile of its interval. Raises ValueError if its hour has unreadable sketches."""
        counts, place = self._hours.setdefault(snapshot.hour_ms, {}), (snapshot.worker, snapshot.stream)
        # Compaction leaves the last snapshot of an hour. The first one that is read stands for all before it.
        is_whole = place not in counts and snapshot.hour.messages > window.messages
        new = StreamProfile.of(snapshot.hour) if is_whole else window
        counts[place] = snapshot.hour.messages
        state = self._state(snapshot.stream)
        state.intervals.append((snapshot.until_ms, window))
        from_ms = snapshot.hour_ms if is_whole else snapshot.from_ms
        state.waiting.append(Waiting(from_ms, snapshot.until_ms, new, is_whole))
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

    def learn_hour(self, stream: Stream, profile: StreamProfile) -> None:
        """Learn how far the hours of a stream differ, from an hour that is over and without findings."""
        state = self._states.get(stream)
        if state is None or not state.reference.is_ready(self._reference_ms):
            return
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
            if self._states.get(stream) is not state:
                continue  # it was forgotten meanwhile
            window = state.window(now_ms)
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

    def _state(self, stream: Stream) -> StreamState:
        state = self._states.get(stream)
        if state is None:
            if len(self._states) >= MOST_STREAMS and stream.producer != OTHER_PRODUCERS and not self._make_room():
                return self._state(stream._replace(producer=OTHER_PRODUCERS))
            state = self._states[stream] = StreamState(StreamReference(stream), self._interval_ms)
        return state

    def _make_room(self) -> bool:
        """Forget the stream that has been quiet for longest, if that is a day. Return whether there is one."""
        stream, state = min(self._states.items(), key=lambda each: each[1].last_ms)
        if state.last_ms > self.newest_ms - FORGOTTEN_MS:
            return False
        self.watches.drop(stream)
        del self._states[stream]
        return True

    def _expectations(self, reference: StreamReference) -> list[Expectation]:
        return self._rules.applied(reference.stream, reference.expectations(self._reference_ms))

    def _judge_refused(self, now_ms: int) -> None:
        """Judge the share of refused messages of each producer on each topic, of all its types together."""
        of: defaultdict[tuple[str, str], list[StreamState]] = defaultdict(list)
        for stream, state in self._states.items():
            of[stream.topic, stream.producer].append(state)
        for (topic, producer), states in of.items():
            refusing = self._states.get(stream := Stream(topic, REFUSED, producer))
            if refusing is None:
                continue
            for is_long in (False, True):
                messages = sum(messages_of(state.recent(now_ms, is_long=is_long)) for state in states)
                if messages >= FEW_MESSAGES:
                    break
            refused = refusing.recent(now_ms, is_long=is_long)
            outcomes: Counter[str] = Counter()
            for profile in refused:
                outcomes.update(profile.outcomes)
            reasons = ", ".join(reason for reason, _ in outcomes.most_common(3))
            for expectation in self.expectations(stream):
                measure = refused_measure(messages_of(refused), messages, expectation)
                if measure is not None:
                    sentence = f"{measure.sentence} ({reasons})" if reasons else measure.sentence
                    self.watches.note(measure._replace(sentence=sentence))

    def _judge_silence(self, state: StreamState, now_ms: int, passed_ms: float) -> None:
        is_expected = [each for each in self._expectations(state.reference) if each.kind is Expected.SILENCE]
        new, state.new_messages = state.new_messages, 0
        quiet_ms = now_ms - state.last_ms
        if new:
            if state.is_silent:
                state.is_silent, state.steady = False, 0
            weight = 0.2 if state.steady else 1.0
            # An exponential mean of the rate. The first interval after a silence sets it.
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
        # All three: a stream that never flowed steadily, a short pause, and a stream of a few shoppers an hour are no
        # silence.
        is_silent = state.steady >= STEADY and quiet_ms >= longest_ms and missing >= SILENT_SHOPPERS
        state.is_silent = state.is_silent or is_silent
        text = f"{WORDS[Expected.SILENCE].wrong}, usually {state.per_second:.3g} a second"
        if new or is_silent:
            self.watches.note(Measure(expectation, 0.0, state.per_second, is_silent, is_silent, text))
        elif quiet_ms > HOUR_MS:
            state.steady = 0

    def _judge_hour(self, now_ms: int) -> None:
        """Judge the numbers of messages of the last whole hour, once, and learn those that pass."""
        # Some intervals after the hour's end, because the last snapshots of other workers arrive late.
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

    def _learn(self, stream: Stream, state: StreamState, now_ms: int) -> None:
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
        # An interval is learned only when no evaluation can find anything in it any more: it is judged INTERVALS times,
        # and a finding may take AGAIN evaluations.
        held_ms = (INTERVALS + AGAIN - 1) * self._interval_ms
        while state.waiting and state.waiting[0].until_ms <= now_ms - held_ms:
            from_ms, until_ms, profile, is_hour = state.waiting.popleft()
            # Intervals have been judged with those around them. Those of an hour that was read as a whole have not.
            if is_hour and self._departs(profile, state.reference):
                state.reference.skipped += 1
            else:
                state.reference.learn(profile, from_ms, until_ms)

    def _departs(self, profile: StreamProfile, reference: StreamReference) -> bool:
        measures = measure_all(profile, self._expectations(reference), reference.profile)
        return any(each.is_beyond for each in measures)
