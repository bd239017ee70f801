"""The profile of a stream on Kafka: what one worker saw of it in the last interval, and in this hour. No I/O."""

from __future__ import annotations

from typing import Annotated

import msgspec

from inference.types import stable_key
from streams.assets.profile import Stream, StreamRecord
from streams.contracts.refusals import UNREADABLE
from streams.errors import InvalidEvent

HOUR_MS = 3_600_000
Text = Annotated[str, msgspec.Meta(max_length=300)]


class Snapshot(msgspec.Struct, frozen=True, array_like=True):
    """A worker's profile of a stream. The topic is compacted: of each hour, its last snapshot remains.

    Attributes:
        worker: the worker, from its start to its end.
        topic, type, producer: the stream.
        from_ms, until_ms: the interval, on the worker's clock.
        window: the messages of the interval.
        hour_ms: start of the hour in which the interval began.
        hour: the messages of this hour up to `until_ms`.
    """

    worker: Text
    topic: Text
    type: Text
    producer: Text
    from_ms: int
    until_ms: int
    window: StreamRecord
    hour_ms: int
    hour: StreamRecord

    @property
    def stream(self) -> Stream:
        """The stream."""
        return Stream(self.topic, self.type, self.producer)

    @property
    def key(self) -> bytes:
        """Key on the topic: one of each worker, stream and hour."""
        return f"{self.worker}/{self.hour_ms // HOUR_MS}/{stable_key('|'.join(self.stream)):016x}".encode()


_decoder = msgspec.msgpack.Decoder(Snapshot)


def encode_snapshot(snapshot: Snapshot) -> bytes:
    """Return the bytes of a snapshot."""
    return msgspec.msgpack.encode(snapshot)


def decode_snapshot(value: bytes | None) -> Snapshot:
    """Read a snapshot. Its sketches are read later, by `StreamProfile.of`. Raises InvalidEvent."""
    try:
        snapshot = _decoder.decode(value or b"")
    except msgspec.ValidationError:
        raise InvalidEvent("wrong_type", "$", "required a snapshot of a stream's profile") from None
    except UNREADABLE:
        raise InvalidEvent("not_msgpack", "$", "required MessagePack") from None
    is_of_hour = 0 <= snapshot.from_ms - snapshot.hour_ms < HOUR_MS and snapshot.hour_ms % HOUR_MS == 0
    if not (is_of_hour and snapshot.from_ms <= snapshot.until_ms):
        raise InvalidEvent("out_of_range", "$", "required an interval in its hour")
    return snapshot


class Acceptance(msgspec.Struct, frozen=True, array_like=True):
    """An operator's word that what a stream sends from now on is usual. An empty type or producer stands for all."""

    topic: Text
    type: Text
    producer: Text
    at_ms: int

    @property
    def stream(self) -> Stream:
        """The stream."""
        return Stream(self.topic, self.type, self.producer)

    @property
    def key(self) -> bytes:
        """Key on the topic of snapshots: one of each stream."""
        return ACCEPTANCE + f"{stable_key('|'.join(self.stream)):016x}".encode()


ACCEPTANCE = b"accepted/"
"""First bytes of the keys of acceptances."""
_acceptance_decoder = msgspec.msgpack.Decoder(Acceptance)


def encode_acceptance(acceptance: Acceptance) -> bytes:
    """Return the bytes of an acceptance."""
    return msgspec.msgpack.encode(acceptance)


def decode_acceptance(value: bytes) -> Acceptance:
    """Read an acceptance. Raises InvalidEvent."""
    try:
        return _acceptance_decoder.decode(value)
    except UNREADABLE:
        raise InvalidEvent("wrong_type", "$", "required an acceptance of a stream's data") from None
