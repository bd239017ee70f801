"""The engine, the same in a worker and in `replay`: events become queries, ranked lists become messages.

It does no I/O and keeps no state. Profiles come in and go out as bytes. Time and places in Kafka are arguments.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from inference.kernels.support import BITS
from inference.queries import QueryBatch
from inference.types import SessionItems, stable_key
from streams.behaviour.transitions import ActionContext, item_transition, session_items
from streams.contracts.messages import (
    Intent,
    ItemTransition,
    ModelRef,
    Recommendations,
    RecommendedItem,
    Search,
    Trigger,
)
from streams.contracts.serde import recommendation_id
from streams.items.live import LiveCatalogue
from streams.items.trending import TrendIncrements
from streams.profiles import kernels
from streams.profiles.batch import REPLAYED, AnswerBatch, Scratch, rules_record, texts_of
from streams.profiles.codec import Shoppers
from streams.profiles.events import Event, PackedEvents, pack_arrival, pack_events
from streams.profiles.profile import ProfileRules
from streams.profiles.teaching import BY_ROBOT, REPEATED

if TYPE_CHECKING:
    from inference.ranking.lists import Lists

INTENT_LABELS = 3
"""Most categories, and most brands, in the intent of a message."""
FADED = 0.05
"""Smallest weight of a search that counts as an intent, and smallest length of a short-term intent."""
DEADLINE_EXCEEDED, ENCODING_FAILED = "deadline_exceeded", "encoding_failed"
OUTCOMES = ("ok", "late", "replayed")
"""Names of the outcomes of `streams.profiles.batch`."""
_CONTEXT = ("at_ms", "learned", "unlearned", "session_at_ms", "session_started_ms", "before", "before_length")
UNLEARNED = {REPEATED: "repeat", BY_ROBOT: "robot"}
"""Reasons why others learn nothing from an event."""
_LABELS = ("categories", "category_shares", "brands", "brand_shares")


@dataclass(frozen=True, slots=True, eq=False)
class Folded:
    """Result of folding a batch of events.

    Attributes:
        events: the events.
        profiles: newest bytes of each shopper's profile, to be stored and sent to the changelog, also after a replay.
        queries: one query for each event, in order, with the shopper's state after that event.
        outcomes: one of OUTCOMES for each event. A late event is older than the shopper's newest action.
        intents: likely intents of the shopper, one tuple for each event.
        transitions, sessions: item transitions of the actions that teach, and their sessions, in order. Replays are
            included: the transition's place in Kafka decides whether it counts. Sessions without any remembered item
            are left out, and so are those of robots.
        trends: actions to count, in order, without replays.
        unlearned: number of events from which others learn nothing, by reason.
    """

    events: Sequence[Event]
    profiles: list[bytes]
    queries: QueryBatch
    outcomes: list[str]
    intents: list[tuple[Intent, ...]]
    transitions: list[ItemTransition]
    sessions: list[SessionItems]
    trends: TrendIncrements
    unlearned: dict[str, int]


class Engine:
    """Folds events into profiles, and turns ranked lists into messages.

    Args:
        model: the model that the messages name.
        catalogue: the items, with vectors of this model's space.
        rules: the rules of profiles.
        list_size: items in a list.
        pairs_window: most items before an action's item in its transition.
    """

    def __init__(
        self,
        *,
        model: ModelRef,
        catalogue: LiveCatalogue,
        rules: ProfileRules,
        list_size: int,
        pairs_window: int = 10,
    ) -> None:
        self._dim = catalogue.dim
        self._space = stable_key(catalogue.space)
        self._model = model
        self._catalogue = catalogue
        self._rules = rules
        self._rules_record = rules_record(rules, window=pairs_window, list_size=list_size, faded=FADED)

    def fold(self, events: Sequence[Event], stored: Sequence[bytes | None]) -> Folded:
        """Fold events into their shoppers' stored profiles, in order.

        Args:
            events: the events, those of one shopper in their order.
            stored: bytes of each shopper's profile, None for a new shopper.

        Raises:
            ProfileCodecError: some of `stored` are unreadable; its `reasons` name them. Nothing is folded then.
        """
        shoppers = self._shoppers(stored)
        packed = pack_events(events, self._catalogue, self._dim)
        answers = AnswerBatch.empty(len(events), self._dim)
        kernels.fold(shoppers.arrays, packed.batch, self._rules_record, answers, Scratch.empty(self._dim))
        transitions, sessions = self._learned(events, answers)
        return Folded(
            events=events,
            profiles=shoppers.stored(),
            queries=answers.query_batch(packed.texts),
            outcomes=[OUTCOMES[outcome] for outcome in answers.answers["outcome"].tolist()],
            intents=self._intents(answers),
            transitions=transitions,
            sessions=sessions,
            trends=_trends(packed, answers, self._rules.trends_events_per_day),
            unlearned=_unlearned(answers),
        )

    def arrive(self, stored: bytes | None, at_ms: int) -> QueryBatch:
        """Return the query of a shopper who arrives at `at_ms`, before any action: no session, nothing excluded.

        Raises ProfileCodecError if `stored` is unreadable.
        """
        shoppers = self._shoppers([stored])
        packed = pack_arrival(at_ms, self._dim)
        answers = AnswerBatch.empty(1, self._dim)
        kernels.fold(shoppers.arrays, packed.batch, self._rules_record, answers, Scratch.empty(self._dim))
        return answers.query_batch(packed.texts)

    def compose(self, folded: Folded, lists: Lists, produced_at: Sequence[datetime]) -> list[Recommendations]:
        """Return the messages that answer the events: each event's ranked list, and the time at which it was made."""
        starts, scores = lists.starts.tolist(), lists.scores.tolist()
        items, sources, reasons = lists.items, lists.sources, lists.reasons
        messages = []
        for place, (interaction, source, _, vector) in enumerate(folded.events):
            start, end = starts[place], starts[place + 1]
            fallback = lists.fallback
            if fallback is None and vector is None and isinstance(interaction, Search):
                fallback = ENCODING_FAILED
            ranked = zip(items[start:end], scores[start:end], sources[start:end], reasons[start:end], strict=True)
            messages.append(
                Recommendations(
                    recommendation_id=recommendation_id(source.topic, source.partition, source.offset),
                    user_id=interaction.user_id,
                    trigger=Trigger(
                        event_id=interaction.event_id,
                        type=interaction.type,
                        topic=source.topic,
                        partition=source.partition,
                        offset=source.offset,
                        occurred_at=interaction.occurred_at,
                    ),
                    produced_at=produced_at[place],
                    items=tuple(
                        [
                            RecommendedItem(rank=rank, item_id=item.item_id, score=score, sources=names, reason=reason)
                            for rank, (item, score, names, reason) in enumerate(ranked, start=1)
                        ]
                    ),
                    intent=folded.intents[place],
                    model=self._model,
                    fallback=fallback,
                )
            )
        return messages

    def _shoppers(self, stored: Sequence[bytes | None]) -> Shoppers:
        shoppers = Shoppers(stored, self._dim, self._space)
        if shoppers.of_other_space:
            shoppers.renew(self._catalogue.vector, self._rules)
        return shoppers

    def _learned(
        self, events: Sequence[Event], answers: AnswerBatch
    ) -> tuple[list[ItemTransition], list[SessionItems]]:
        """Return the item transitions of the actions, and their sessions."""
        records, starts = answers.answers, answers.exclude_starts.tolist()
        session = answers.exclude[: starts[-1]].tolist()
        numbers = zip(*(records[name].tolist() for name in _CONTEXT), strict=True)
        led_queries = texts_of(records["led_query"], records["led_query_length"])
        transitions, sessions = [], []
        for place, (event, (at_ms, weight, unlearned, newest_ms, started_ms, before, length), led_query) in enumerate(
            zip(events, numbers, led_queries, strict=True)
        ):
            action, source, _, _ = event
            if isinstance(action, Search) or unlearned == BY_ROBOT:
                continue
            context = ActionContext(
                at_ms=at_ms,
                weight=weight,
                before=before[:length],
                led_query=led_query,
                session=session[starts[place] : starts[place + 1]],
                session_at_ms=newest_ms,
                session_started_ms=started_ms,
            )
            if weight > 0:
                transitions.append(item_transition(action, source, context))
            so_far = session_items(action, context)
            if so_far is not None:
                sessions.append(so_far)
        return transitions, sessions

    def _intents(self, answers: AnswerBatch) -> list[tuple[Intent, ...]]:
        """Return each shopper's likely intents: the last search, then the heaviest categories and brands."""
        records, queries, label_of = answers.answers, answers.queries, self._catalogue.label
        columns = zip(
            texts_of(records["last_query"], records["last_query_length"]),
            records["last_query_weight"].tolist(),
            *(queries[name][:, :INTENT_LABELS].tolist() for name in _LABELS),
            strict=True,
        )
        intents = []
        for query, weight, categories, category_shares, brands, brand_shares in columns:
            named = []
            if query is not None and (weight := round(weight, 4)) >= FADED:
                named.append(Intent(kind="query", label=query, weight=weight))
            for kind, keys, shares in (("category", categories, category_shares), ("brand", brands, brand_shares)):
                for key, share in zip(keys, shares, strict=True):
                    # The key 0 marks an unused place. No label has it.
                    label = label_of(key) if key else None
                    if label is not None:
                        named.append(Intent(kind=kind, label=label, weight=round(share, 4)))
            intents.append(tuple(named))
        return intents


def _trends(packed: PackedEvents, answers: AnswerBatch, events_per_day: int) -> TrendIncrements:
    """Return the actions on items that teach and are no replays, of the shopper's first events of the day."""
    events, records = packed.batch.events, answers.answers
    is_early = records["day_events"] <= events_per_day
    (counted,) = ((records["learned"] > 0) & (records["outcome"] != REPLAYED) & is_early).nonzero()
    return TrendIncrements(
        events["partition"][counted],
        events["item"][counted],
        records["at_ms"][counted],
        records["learned"][counted],
        np.uint64(1) << (events["shopper_hash"][counted] % BITS).astype(np.uint64),
    )


def _unlearned(answers: AnswerBatch) -> dict[str, int]:
    """Return how many events teach nothing, by reason, without replays."""
    records = answers.answers
    reasons = records["unlearned"][records["outcome"] != REPLAYED].tolist()
    return {name: number for reason, name in UNLEARNED.items() if (number := reasons.count(reason))}
