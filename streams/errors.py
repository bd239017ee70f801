"""Errors of the streams, as one tree.

StreamsError
├── InvalidEvent         a message breaks its contract; the text is for its producer
│   └── InvalidLine      the same in a file, with its name and line
├── ConfigurationError   a setting, a file or a combination of them cannot work
├── TopicError           a topic is missing or has a wrong configuration
├── EncryptionError      a stored value is encrypted with a key that is not in the settings
├── ProfileCodecError    a stored profile has no known format
└── CooccurrenceCodecError      the same for the stored co-occurrence of an item
"""

from __future__ import annotations

from collections.abc import Mapping


class StreamsError(Exception):
    """Base class of the errors of the streams."""


class InvalidEvent(StreamsError):  # noqa: N818 - the name is part of the public contract
    """A message breaks its contract.

    `reason` is a stable code for counting (see `REASONS`), and `where` the place in the message: `$.user_id`, `key`, or
    `$` for the whole value. The text has the requirement and the actual value. It may contain a few characters of the
    message, so it goes to dead letters and to the sender, never to a log.
    """

    REASONS = (
        "empty",  # there is no value
        "not_json",  # the value is not JSON in UTF-8
        "not_msgpack",  # on internal topics: the value is not MessagePack
        "missing_field",  # a required field is not there
        "wrong_type",  # a field holds another JSON type than the contract requires
        "wrong_value",  # the type is right, the format or the choice is not
        "out_of_range",  # a number, a length, a time or a nesting beyond its limits
        "wrong_key",  # the message key is not the id that the topic is keyed by
        "wrong_topic",  # a valid message on a topic of another kind
    )
    WORKER_REASONS = (
        "unencodable",  # the message is valid, but the model fails on the item's text
        "unreadable_profile",  # the message is valid, but its shopper's stored profile is damaged
    )

    def __init__(self, reason: str, where: str, detail: str) -> None:
        super().__init__(reason, where, detail)
        self.reason = reason
        self.where = where
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.where}: {self.detail}"


class InvalidLine(InvalidEvent):
    """A line of a file breaks the contract of its message. `place` is `FILE:LINE`."""

    def __init__(self, place: str, reason: str, where: str, detail: str) -> None:
        super().__init__(reason, where, detail)
        self.args = (place, reason, where, detail)
        self.place = place

    def __str__(self) -> str:
        return f"{self.place}: {super().__str__()}"


class ConfigurationError(StreamsError):
    """A setting, a file or a combination of them that cannot work."""


class TopicError(StreamsError):
    """A topic is missing or has a wrong configuration."""


class EncryptionError(StreamsError):
    """A stored value is encrypted with a key that is not in the settings."""


class ProfileCodecError(StreamsError):
    """Stored profile bytes that no known version reads.

    `reasons` has the reason for each unreadable profile, by its place in the batch.
    """

    def __init__(self, text: str, reasons: Mapping[int, str] | None = None) -> None:
        super().__init__(text)
        self.reasons = reasons or {}


class CooccurrenceCodecError(StreamsError):
    """Stored co-occurrence of an item that no known version reads."""
