"""The names of the candidate sources, as consumers read them. `sources.SOURCES` describes each source.

They have their own module so that settings and metrics do not load the sources and their kernels.
"""

from __future__ import annotations

SHORT_TERM, LONG_TERM, QUERY, TRENDING = "short_term", "long_term", "query", "trending"
TOGETHER, NEXT, SESSIONS, REPEAT = "together", "next", "sessions", "repeat"
TRENDING_CATEGORY, NEW, WORDS, CLICKED = "trending_category", "new", "words", "clicked"

NAMES = (
    SHORT_TERM, LONG_TERM, QUERY, WORDS, CLICKED, TOGETHER, NEXT, SESSIONS, REPEAT, NEW, TRENDING_CATEGORY, TRENDING,
)  # fmt: skip
"""All of them, in the order of `sources.SOURCES`."""
