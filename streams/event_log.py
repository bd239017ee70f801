"""Files of events in order of time, for `replay`, `examples`, `train-ranker` and `evaluate`.

Kafka orders the events of a worker and gives each the broker's time. A file has neither: it may be an export with the
newest event first, of dates without times, or of shoppers with wrong clocks. So an event later than now counts at the
time of its neighbour in the file, as a worker limits it to the broker's time, and events are sorted by time. Events of
one time have no order: they are sorted by a hash of their line, which no item and no shopper determines. So the order
of the lines makes no difference, and no sequence can be learned from it.
"""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import click
import msgspec

from streams.contracts.jsonlines import Line, read_events
from streams.contracts.messages import Interaction, Search, occurred_ms
from streams.profiles.events import event_key
from streams.profiles.layout import RECENT_EVENTS


class EventLog(NamedTuple):
    """Events in order of time.

    `places` are their places in the file, from 0 on, without the blank lines. `producers` are the names of their
    producers, empty without one.
    """

    interactions: list[Interaction]
    places: list[int]
    producers: list[str]


def read_event_log(
    path: Path, max_clock_skew_ms: int, *, now_ms: int | None = None, warn: Callable[[str], object] | None = None
) -> EventLog:
    """Read the events of a file into memory, about 1 KB each, in order of time.

    Args:
        path: the file.
        max_clock_skew_ms: an event may be so much later than now.
        now_ms: the time, by default that of the clock.
        warn: receives a sentence if events were dated later than now, or were not in order; by default standard error.

    Raises:
        InvalidLine: a line is no interaction.
        ConfigurationError: the file cannot be read.
    """
    note = warn or (lambda sentence: click.echo(sentence, err=True))
    now_ms = time.time_ns() // 1_000_000 if now_ms is None else now_ms
    lines = list(read_events(path))
    times = [occurred_ms(line.message) for line in lines]
    _limit(path, lines, times, now_ms, max_clock_skew_ms, note)
    late = [place for place in range(1, len(times)) if times[place] < times[place - 1]]
    if late:
        note(
            f"Note: {path}:{lines[late[0]].number}: this event is earlier than the one before it, and so are "
            f"{len(late) - 1} others. Events are processed in order of time."
        )
    keys = [(at_ms, blake2b(line.value, digest_size=8).digest()) for at_ms, line in zip(times, lines, strict=True)]
    places = sorted(range(len(lines)), key=keys.__getitem__)
    ordered = [lines[place] for place in places]
    return EventLog([line.message for line in ordered], places, [line.producer for line in ordered])


def _limit(
    path: Path,
    lines: list[Line[Interaction]],
    times: list[int],
    now_ms: int,
    skew_ms: int,
    note: Callable[[str], object],
) -> None:
    """Give each event that is later than now the time of the last one before it that is not, else of the next one."""
    wrong = [place for place, at_ms in enumerate(times) if at_ms > now_ms + skew_ms]
    if not wrong:
        return
    known_ms = next((at_ms for at_ms in times if at_ms <= now_ms + skew_ms), now_ms)
    waiting = deque(wrong)
    for place, at_ms in enumerate(times):
        if not waiting or place != waiting[0]:
            known_ms = at_ms
            continue
        waiting.popleft()
        times[place] = known_ms
        line = lines[place]
        at = datetime.fromtimestamp(known_ms / 1000, UTC)
        lines[place] = Line(line.number, line.value, msgspec.structs.replace(line.message, occurred_at=at))
    note(
        f"Note: {path}:{lines[wrong[0]].number}: this event is dated later than now, and so are {len(wrong) - 1} "
        "others. Each counts at the time of its neighbour."
    )


class Repeats:
    """Recognises events that were sent again, as profiles do: among a shopper's last events, by their ids."""

    def __init__(self) -> None:
        self._recent: defaultdict[str, deque[int]] = defaultdict(lambda: deque(maxlen=RECENT_EVENTS))

    def is_repeat(self, interaction: Interaction) -> bool:
        """Return whether the next event repeats an earlier one."""
        subject = interaction.query if isinstance(interaction, Search) else interaction.item_id
        key, recent = event_key(interaction.event_id, interaction.type, subject), self._recent[interaction.user_id]
        if key in recent and key:
            return True
        recent.append(key)
        return False

    def forget(self, user_id: str) -> None:
        """Drop everything about a shopper."""
        self._recent.pop(user_id, None)


def without_repeats(interactions: Iterable[Interaction]) -> Iterator[Interaction]:
    """Yield the events without those that were sent again, as profiles recognise them."""
    repeats = Repeats()
    return (interaction for interaction in interactions if not repeats.is_repeat(interaction))


def ends_of_ties(interactions: Sequence[Interaction]) -> list[int]:
    """Return for each event, in order of time, the last event of its shopper at its time.

    Events of one shopper at one time have no order: only after the last one does the profile hold what is known then.
    """
    last: dict[str, tuple[int, int]] = {}
    ends = [0] * len(interactions)
    for place in range(len(interactions) - 1, -1, -1):
        user_id, at_ms = interactions[place].user_id, occurred_ms(interactions[place])
        then_ms, end = last.get(user_id, (at_ms, place))
        if then_ms != at_ms:
            end = place
        last[user_id] = at_ms, end
        ends[place] = end
    return ends


def in_file_order(places: Sequence[int], values: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the values of events at these places of a file in the order of the file. Values wait until their turn."""
    waiting: dict[int, bytes] = {}
    turn = 0
    for place, value in zip(places, values, strict=True):
        waiting[place] = value
        while turn in waiting:
            yield waiting.pop(turn)
            turn += 1
