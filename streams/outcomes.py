"""Values of the metrics' labels: outcomes of messages, lists, model swaps and builds, and stages of the event path."""

from __future__ import annotations

from inference.pipeline import SCORING_FAILED
from streams.budget import RATE_LIMITED

OUTCOMES = OK, INVALID, REPLAYED, LATE, DUPLICATE, FORGOTTEN = (
    "ok", "invalid", "replayed", "late", "duplicate", "forgotten"
)  # fmt: skip
"""Outcomes of a message. A late event is older than its shopper's last action; it counts at its own time. A duplicate
repeats one of its shopper's last events, by `event_id`; it counts as nothing. A forgotten one came before its shopper
asked to be forgotten."""
FORWARDED, KEPT = MISPLACED = ("forwarded", "kept")
"""Outcomes of a message in a partition that is not its key's. It is kept if it was forwarded before, or cannot be."""
STAGES = ("decode", "profile_read", "encode", "retrieve", "score", "rank", "explain", "profile_write", "produce")
TAKEN_OVER, REFUSED, SUPERSEDED = SWAPS = ("taken_over", "refused", "superseded")
DEADLINE_EXCEEDED, ENCODING_FAILED = "deadline_exceeded", "encoding_failed"
FALLBACKS = (DEADLINE_EXCEEDED, SCORING_FAILED, ENCODING_FAILED, RATE_LIMITED)
NO_PROFILE = "no_profile"
"""Fallback of a list on request whose shopper's profile could not be read."""
BUILT, FAILED = "built", "failed"
"""Outcomes of a build of suggestions."""
HTTP_FALLBACKS = (NO_PROFILE, SCORING_FAILED, ENCODING_FAILED)
NO_SOURCE = "none"
"""The source of a list without items."""
