"""What can go wrong in the streams, as one tree.

StreamsError
├── InvalidEvent         a message breaks its contract; the text is for the one who produced it
├── ConfigurationError   a setting, a file or a combination of them that cannot work
├── TopicError           a topic is missing or not as the code needs it
└── ProfileCodecError    stored profile bytes that no known version reads
"""

from __future__ import annotations


class StreamsError(Exception):
    """Anything that the streams refuse or fail to do."""


class InvalidEvent(StreamsError):  # noqa: N818 - the name is part of the public contract
    """A message breaks its contract.

    `reason` is a stable word for counting (see `REASONS`), `where` the place in the message (`$.user_id`, `key`),
    and the text says what was required and what came.
    """

    REASONS = ("not_json", "wrong_type", "missing_field", "out_of_range", "wrong_key", "wrong_topic", "empty")

    def __init__(self, reason: str, where: str, detail: str) -> None:
        super().__init__(f"{where}: {detail}")
        self.reason = reason
        self.where = where
        self.detail = detail


class ConfigurationError(StreamsError):
    """A setting, a file or a combination of them that cannot work."""


class TopicError(StreamsError):
    """A topic is missing or not as the code needs it."""


class ProfileCodecError(StreamsError):
    """Stored profile bytes that no known version reads."""
