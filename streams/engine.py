"""The engine, the same in a worker and in `replay`: events become queries, ranked lists become messages.

It does no I/O and keeps no state. Profiles come in and go out as bytes. Time and places in Kafka are arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from inference.plain_text import has_words, readable
from inference.queries import QueryBatch
from inference.types import SessionItems, stable_key
from streams.budget import RATE_LIMITED, ListBudgets
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
from streams.learned import learned, trends, unlearned
from streams.profiles import kernels
from streams.profiles.batch import SEARCH, AnswerBatch, Scratch, rules_record, texts_of
from streams.profiles.codec import Shoppers
from streams.profiles.events import NO_VECTOR, Event, PackedEvents, pack_arrivals, pack_events
from streams.profiles.profile import ProfileRules

if TYPE_CHECKING:
    from inference.ranking.lists import Lists

INTENT_LABELS = 3
"""Most categories, and most brands, in the intent of a message."""
FADED = 0.05
"""Smallest weight of a search that counts as an intent, and smallest length of a short-term intent."""
DEADLINE_EXCEEDED, ENCODING_FAILED = "deadline_exceeded", "encoding_failed"
OUTCOMES = ("ok", "late", "replayed", "duplicate")
"""Names of the outcomes of `streams.profiles.batch`."""
_LABELS = ("categories", "category_shares", "brands", "brand_shares")


@dataclass(frozen=True, slots=True, eq=False)
class Folded:
    """Result of folding a batch of events.

    Attributes:
        events: the events.
        profiles: newest bytes of each shopper's profile, to be stored and sent to the changelog, also after a replay.
        queries: one query for each event, in order, with the shopper's state after that event.
        outcomes: one of OUTCOMES for each event. A late event is older than the shopper's newest action.
        first_places: partition and offset to which each event was produced, for a duplicate those of the event which it
            repeats.
        intents: likely intents of the shopper, one tuple for each event.
        transitions, sessions: item transitions of the actions that teach, and their sessions, in order. Replays are
            included: the transition's place in Kafka decides whether it counts. Duplicates are left out, sessions
            without any remembered item, and those of robots.
        trends: actions to count, in order, without replays and duplicates.
        unlearned: number of events from which others learn nothing, by reason.
        unknown_items: number of actions on items that the catalogue lacks.
        future_topics: topic of each event that is too far ahead of the brokers' clock.
    """

    events: Sequence[Event]
    profiles: list[bytes]
    queries: QueryBatch
    outcomes: list[str]
    first_places: list[tuple[int, int]]
    intents: list[tuple[Intent, ...]]
    transitions: list[ItemTransition]
    sessions: list[SessionItems]
    trends: TrendIncrements
    unlearned: dict[str, int]
    unknown_items: int
    future_topics: list[str]

    def to_rank(self) -> QueryBatch:
        """Return the queries of the events for which a list is ranked, in order."""
        places = [place for place, event in enumerate(self.events) if event.ranked]
        return self.queries if len(places) == len(self.events) else self.queries.take(places)


class Engine:
    """Folds events into profiles, and turns ranked lists into messages.

    Args:
        model: the model that the messages name.
        catalogue: the items, with vectors of this model's space.
        rules: the rules of profiles.
        list_size: items in a list.
        pairs_window: most items before an action's item in its transition.
        shopper_key: function from a user id to the shopper's key, 64 bits of a hash.
    """

    def __init__(
        self,
        *,
        model: ModelRef,
        catalogue: LiveCatalogue,
        rules: ProfileRules,
        list_size: int,
        pairs_window: int = 10,
        shopper_key: Callable[[str], int] = stable_key,
    ) -> None:
        self._dim = catalogue.dim
        self._space = stable_key(catalogue.space)
        self._model = model
        self._catalogue = catalogue
        self._rules = rules
        self._shopper_key = shopper_key
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
        transitions, sessions = learned(events, answers, self._catalogue, self._shopper_key)
        return Folded(
            events=events,
            profiles=shoppers.stored(),
            queries=answers.query_batch(packed.texts),
            outcomes=[OUTCOMES[outcome] for outcome in answers.answers["outcome"].tolist()],
            first_places=answers.answers[["first_partition", "first_offset"]].tolist(),
            intents=self._intents(answers),
            transitions=transitions,
            sessions=sessions,
            trends=trends(packed, answers, self._rules.trends_events_per_day),
            unlearned=unlearned(answers),
            unknown_items=_unknown_items(packed),
            future_topics=self._future_topics(events, packed),
        )

    def arrive(self, stored: Sequence[bytes | None], at_ms: int) -> QueryBatch:
        """Return the queries of shoppers who arrive at `at_ms`, before any action: no session, nothing excluded.

        Raises ProfileCodecError if some of `stored` are unreadable; its `reasons` name them.
        """
        shoppers = self._shoppers(stored)
        packed = pack_arrivals(at_ms, len(stored), self._dim)
        answers = AnswerBatch.empty(len(stored), self._dim)
        kernels.fold(shoppers.arrays, packed.batch, self._rules_record, answers, Scratch.empty(self._dim))
        return answers.query_batch(packed.texts)

    def compose(
        self, folded: Folded, lists: Lists, produced_at: Sequence[datetime], budgets: ListBudgets
    ) -> list[Recommendations]:
        """Return the messages that answer the events, and the last ranked lists to `budgets`.

        Args:
            folded: the events.
            lists: a list for each query of `folded.to_rank()`.
            produced_at: for each event, the time at which its list was made.
            budgets: the last lists of shoppers who had no budget left for some of the events.
        """
        numbers = iter(range(len(lists)))
        last: dict[str, tuple[RecommendedItem, ...]] = {}
        messages = []
        for place, (interaction, source, _, vector, ranked) in enumerate(folded.events):
            user_id, fallback = interaction.user_id, lists.fallback
            if ranked:
                items = last[user_id] = items_of(lists, next(numbers))
                is_text = isinstance(interaction, Search) and has_words(interaction.query)
                if fallback is None and vector is None and is_text:
                    fallback = ENCODING_FAILED
            else:
                items = last[user_id] if user_id in last else budgets.last_list(user_id)
                fallback = RATE_LIMITED
            messages.append(
                Recommendations(
                    recommendation_id=recommendation_id(source.topic, *folded.first_places[place]),
                    user_id=user_id,
                    trigger=Trigger(
                        event_id=interaction.event_id,
                        type=interaction.type,
                        topic=source.topic,
                        partition=source.produced_in,
                        offset=source.offset,
                        occurred_at=interaction.occurred_at,
                    ),
                    produced_at=produced_at[place],
                    items=items,
                    intent=folded.intents[place],
                    model=self._model,
                    fallback=fallback,
                )
            )
        budgets.keep(last)
        return messages

    def _shoppers(self, stored: Sequence[bytes | None]) -> Shoppers:
        shoppers = Shoppers(stored, self._dim, self._space)
        if shoppers.of_other_space:
            shoppers.renew(self._catalogue.vector, self._rules)
        return shoppers

    def _future_topics(self, events: Sequence[Event], packed: PackedEvents) -> list[str]:
        times = packed.batch.events
        (places,) = (times["occurred_ms"] - times["timestamp_ms"] > self._rules.max_clock_skew_ms).nonzero()
        return [events[place].source.topic for place in places.tolist()]

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
            if query is not None and (weight := round(weight, 4)) >= FADED and has_words(query):
                named.append(Intent(kind="query", label=readable(query), weight=weight))
            for kind, keys, shares in (("category", categories, category_shares), ("brand", brands, brand_shares)):
                for key, share in zip(keys, shares, strict=True):
                    # The key 0 marks an unused place. No label has it.
                    label = label_of(key) if key else None
                    if label is not None:
                        named.append(Intent(kind=kind, label=label, weight=round(share, 4)))
            intents.append(tuple(named))
        return intents


def items_of(lists: Lists, number: int) -> tuple[RecommendedItem, ...]:
    """Return the items of list `number`, as a message has them."""
    part = slice(*lists.starts[number : number + 2].tolist())
    ranked = zip(lists.items[part], lists.scores[part].tolist(), lists.sources[part], lists.reasons[part], strict=True)
    return tuple(
        [
            RecommendedItem(rank=rank, item_id=item.item_id, score=score, sources=names, reason=reason)
            for rank, (item, score, names, reason) in enumerate(ranked, start=1)
        ]
    )


def _unknown_items(packed: PackedEvents) -> int:
    events = packed.batch.events
    return int(((events["action"] != SEARCH) & (events["vector"] == NO_VECTOR)).sum())
