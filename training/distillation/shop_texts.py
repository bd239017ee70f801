"""Reads a shop's own catalogue and interactions, in the JSON Lines of the worker, as training texts of its student.

The messages are those of docs/contracts.md; only the fields needed here are read. Searches of interactions with
`context: {"synthetic": true}` are skipped, because they are no evidence of what people want.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import msgspec

from inference.encoding.text import MAX_TITLE_CHARS, clean, item_text, normalise_query
from inference.errors import DataError
from inference.types import Item
from training.distillation.corpus import TrainingTexts

SESSION_GAP_SECONDS = 1800.0
"""A search leads to actions within this time. A longer gap ends a session."""
ACTIONS_AFTER_SEARCH = 3
"""Greatest number of items that a search leads to. Later actions have other reasons."""

T = TypeVar("T")


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """The fields that are read of an interaction."""

    type: str
    user_id: str
    occurred_at: datetime
    session_id: str | None = None
    item_id: str | None = None
    query: str | None = None
    context: Mapping[str, object] = {}


class _Session:
    """The state of a shopper's current session."""

    def __init__(self) -> None:
        self.key: str | None = None
        self.at = 0.0
        self.query: str | None = None
        self.query_at = 0.0
        self.answers = 0
        self.bought: dict[str, None] = {}


def read_shop(catalog: Path, events: Path | None = None, *, until: datetime | None = None) -> TrainingTexts:
    """Return the titles and lines of `catalog`, and the searches and baskets of `events` before `until`.

    Raises:
        DataError: a file cannot be read, or a line is not a valid message.
    """
    items = list(_messages(catalog, Item))
    titles = {item.item_id: clean(item.title, MAX_TITLE_CHARS) for item in items}
    texts = TrainingTexts(
        titles=tuple(titles.values()), lines=tuple((titles[item.item_id], item_text(item)) for item in items)
    )
    if events is None:
        return texts
    searches, baskets = _searches_and_baskets(events, titles, until)
    return texts + TrainingTexts(searches=tuple(searches), baskets=tuple(baskets))


def _searches_and_baskets(
    events: Path, titles: Mapping[str, str], until: datetime | None
) -> tuple[list[tuple[str, str]], list[tuple[str, ...]]]:
    """Return (query, title) of searches and the items acted on after them, and the titles bought in each session."""
    searches: list[tuple[str, str]] = []
    baskets: list[tuple[str, ...]] = []
    sessions: dict[str, _Session] = {}
    for event in _messages(events, Event):
        if until is not None and event.occurred_at >= until:
            continue
        session, at = sessions.setdefault(event.user_id, _Session()), event.occurred_at.timestamp()
        if event.session_id != session.key or at - session.at > SESSION_GAP_SECONDS:
            baskets.append(tuple(session.bought))
            session = sessions[event.user_id] = _Session()
        session.key, session.at = event.session_id, at
        if event.type == "search" and event.query is not None:
            session.query = None if event.context.get("synthetic") else normalise_query(event.query)
            session.query_at, session.answers = at, 0
        elif event.item_id is not None and event.item_id in titles:
            title = titles[event.item_id]
            if event.type == "purchase":
                session.bought[title] = None
            fresh = 0 <= at - session.query_at <= SESSION_GAP_SECONDS and session.answers < ACTIONS_AFTER_SEARCH
            if session.query and fresh:
                searches.append((session.query, title))
                session.answers += 1
    baskets += [tuple(session.bought) for session in sessions.values()]
    return searches, [basket for basket in baskets if len(basket) > 1]


def _messages(path: Path, kind: type[T]) -> Iterator[T]:
    decoder = msgspec.json.Decoder(kind)
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rb") as file:
            for number, line in enumerate(file, start=1):
                try:
                    message = decoder.decode(line) if line.strip() else None
                except msgspec.DecodeError as error:
                    raise DataError(f"{path}, line {number}: {error}") from error
                if message is not None:
                    yield message
    except (OSError, EOFError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
