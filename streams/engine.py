"""The engine, the same in a worker and in `replay`: events become queries, ranked lists become messages.

It does no I/O and keeps no state. Profiles come in and go out as bytes. Time and places in Kafka are arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import UNSET

from inference.plain_text import has_words, readable
from inference.queries import QueryBatch
from inference.ranking.sentences import Language, sentences
from inference.types import stable_key
from streams.batch import FOLD_OUTCOMES, Folded, Part
from streams.behaviour.messages import purchases, transitions_and_sessions, trends, unlearned
from streams.budget import RATE_LIMITED, ListBudgets
from streams.contracts.messages import Intent, ModelRef, Recommendations, RecommendedItem, Search, Trigger
from streams.contracts.serde import recommendation_id
from streams.items.live import LiveCatalogue
from streams.outcomes import ENCODING_FAILED
from streams.placements import DEFAULT_ONLY, Placements
from streams.profiles import kernels
from streams.profiles.batch import SEARCH, AnswerBatch, Scratch, rules_record, texts_of
from streams.profiles.codec import Shoppers
from streams.profiles.events import NO_VECTOR, Event, PackedEvents, pack_arrivals, pack_events
from streams.profiles.profile import ProfileRules

if TYPE_CHECKING:
    from inference.ranking.lists import Lists
    from streams.behaviour.arrays import FoldedReplay

INTENT_LABELS = 3
"""Most categories, and most brands, in the intent of a message."""
FADED = 0.05
"""Smallest weight of a search that counts as an intent, and smallest length of a short-term intent."""
_LABELS = ("categories", "category_shares", "brands", "brand_shares")


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions:
    """Options of an engine.

    Attributes:
        list_size: items in a list.
        pairs_window: most items before an action's item in its transition.
        shopper_key: function from a user id to the shopper's key, 64 bits of a hash.
        language: language of the reasons.
        placements: the places that show lists.
    """

    list_size: int
    pairs_window: int = 10
    shopper_key: Callable[[str], int] = stable_key
    language: Language = "en"
    placements: Placements = DEFAULT_ONLY


class Engine:
    """Folds events into profiles, and turns ranked lists into messages.

    Args:
        model: the model that the messages name.
        catalogue: the items, with vectors of this model's space.
        rules: the rules of profiles.
        options: the other options.
    """

    def __init__(
        self, *, model: ModelRef, catalogue: LiveCatalogue, rules: ProfileRules, options: EngineOptions
    ) -> None:
        self.placements = options.placements
        self._dim = catalogue.dim
        self._space = stable_key(catalogue.space)
        self._model = model
        self._catalogue = catalogue
        self._rules = rules
        self._shopper_key = options.shopper_key
        self.sentence = sentences(options.language)
        self._rules_record = rules_record(rules, window=options.pairs_window, list_size=options.list_size, faded=FADED)

    def fold(self, events: Sequence[Event], stored: Sequence[bytes | None]) -> Folded:
        """Fold events into their shoppers' stored profiles, in order.

        Args:
            events: the events, those of one shopper in their order.
            stored: bytes of each shopper's profile, None for a new shopper.

        Raises:
            ProfileCodecError: some of `stored` are unreadable; its `reasons` name them. Nothing is folded then.
        """
        shoppers, packed, answers = self._folded(events, stored)
        transitions, sessions = transitions_and_sessions(events, answers, self._catalogue, self._shopper_key)
        queries = answers.query_batch(packed.texts)
        shown_at = [self.placements.events[event.interaction.type] for event in events]
        return Folded(
            events=events,
            profiles=shoppers.stored(),
            queries=queries,
            outcomes=[FOLD_OUTCOMES[outcome] for outcome in answers.answers["outcome"].tolist()],
            first_places=answers.answers[["first_partition", "first_offset"]].tolist(),
            intents=self._intents(answers),
            transitions=transitions,
            sessions=sessions,
            trends=trends(packed, answers, self._rules.trends_events_per_day),
            purchases=purchases(packed, answers),
            unlearned=unlearned(answers),
            is_unknown=_is_unknown(packed),
            is_future=self._is_future(packed),
            placements=shown_at,
            parts=self._parts(events, queries, shown_at),
        )

    def fold_for_replay(self, events: Sequence[Event], stored: Sequence[bytes | None]) -> FoldedReplay:
        """Fold events as `fold` does, for a replay: without what only messages and metrics need.

        Raises ProfileCodecError, as `fold` does.
        """
        # Imported here, because a worker needs neither this module nor its kernel.
        from streams.behaviour.arrays import FoldedReplay, behaviour_arrays

        shoppers, packed, answers = self._folded(events, stored)
        behaviour = behaviour_arrays(
            events, packed, answers, self._catalogue, self._shopper_key, self._rules.trends_events_per_day
        )
        return FoldedReplay(shoppers.stored(), answers.query_batch(packed.texts), *behaviour)

    def _folded(
        self, events: Sequence[Event], stored: Sequence[bytes | None]
    ) -> tuple[Shoppers, PackedEvents, AnswerBatch]:
        shoppers = self._shoppers(stored)
        packed = pack_events(events, self._catalogue, self._dim)
        answers = AnswerBatch.empty(len(events), self._dim)
        kernels.fold(shoppers.arrays, packed.batch, self._rules_record, answers, Scratch.empty(self._dim))
        answers.queries["shopper"] = [self._shopper_key(event.interaction.user_id) for event in events]
        return shoppers, packed, answers

    def arrive(
        self, stored: Sequence[bytes | None], at_ms: int, user_ids: Sequence[str | None] | None = None
    ) -> QueryBatch:
        """Return the queries of shoppers who arrive at `at_ms`, before any action: no session, nothing excluded.

        Without `user_ids`, or where one is None, the shopper's own sessions are not found.

        Raises ProfileCodecError if some of `stored` are unreadable; its `reasons` name them.
        """
        shoppers = self._shoppers(stored)
        packed = pack_arrivals(at_ms, len(stored), self._dim)
        answers = AnswerBatch.empty(len(stored), self._dim)
        kernels.fold(shoppers.arrays, packed.batch, self._rules_record, answers, Scratch.empty(self._dim))
        if user_ids is not None:
            answers.queries["shopper"] = [0 if each is None else self._shopper_key(each) for each in user_ids]
        return answers.query_batch(packed.texts)

    def compose(
        self, folded: Folded, lists: Sequence[Lists], produced_at: Sequence[datetime], budgets: ListBudgets
    ) -> list[Recommendations]:
        """Return the messages that answer the events, and the last ranked lists to `budgets`.

        The messages are in the order of the events, and those of an event in the order of its placements.

        Args:
            folded: the events.
            lists: for each of `folded.parts`, a list for each of its queries.
            produced_at: for each event, the time at which its list was made.
            budgets: the last lists of shoppers who had no budget left for some of the events.
        """
        # The lists of a part are in the order of its events, so each event that has one takes the next number.
        ranked_at = {part.name: (own, iter(range(len(own)))) for part, own in zip(folded.parts, lists, strict=True)}
        last: dict[str, dict[str, tuple[RecommendedItem, ...]]] = {}
        messages = []
        for place, (interaction, source, _, vector, ranked) in enumerate(folded.events):
            user_id = interaction.user_id
            lacks_vector = vector is None and isinstance(interaction, Search) and has_words(interaction.query)
            trigger = Trigger(
                event_id=interaction.event_id,
                type=interaction.type,
                topic=source.topic,
                partition=source.produced_in,
                offset=source.offset,
                occurred_at=interaction.occurred_at,
            )
            for name in folded.placements[place]:
                if ranked:
                    own, numbers = ranked_at[name]
                    items = last.setdefault(user_id, {})[name] = self.items_of(own, next(numbers))
                    fallback = ENCODING_FAILED if own.fallback is None and lacks_vector else own.fallback
                else:
                    held = {**budgets.last_lists(user_id), **last.get(user_id, {})}
                    # A placement without a list so far repeats the latest of another one.
                    items = held[name] if name in held else next(reversed(held.values()), ())
                    fallback = RATE_LIMITED
                messages.append(
                    Recommendations(
                        recommendation_id=recommendation_id(source.topic, *folded.first_places[place], name),
                        user_id=user_id,
                        trigger=trigger,
                        produced_at=produced_at[place],
                        items=items,
                        intent=folded.intents[place],
                        model=self._model,
                        fallback=fallback,
                        placement=name,
                    )
                )
        budgets.keep(last)
        return messages

    def _parts(self, events: Sequence[Event], queries: QueryBatch, shown_at: Sequence[tuple[str, ...]]) -> list[Part]:
        """Return the lists to rank, by placement."""
        of_name: dict[str, list[int]] = {}
        for place, names in enumerate(shown_at):
            if events[place].ranked:
                for name in names:
                    of_name.setdefault(name, []).append(place)
        parts = []
        for name, places in of_name.items():
            placement = self.placements.named[name]
            own = queries if len(places) == len(events) else queries.take(places)
            parts.append(Part(name, placement, places, own.at(placement)))
        return parts

    def _shoppers(self, stored: Sequence[bytes | None]) -> Shoppers:
        shoppers = Shoppers(stored, self._dim, self._space)
        if shoppers.of_other_space:
            shoppers.renew(self._catalogue.vector, self._rules)
        return shoppers

    def _is_future(self, packed: PackedEvents) -> list[bool]:
        times = packed.batch.events
        return list((times["occurred_ms"] - times["timestamp_ms"] > self._rules.max_clock_skew_ms).tolist())

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

    def items_of(self, lists: Lists, number: int) -> tuple[RecommendedItem, ...]:
        """Return the items of list `number`, as a message has them."""
        part, sentence = slice(*lists.starts[number : number + 2].tolist()), self.sentence
        ranked = zip(
            lists.items[part],
            lists.scores[part].tolist(),
            lists.sources[part],
            lists.because[part],
            lists.own_matches(number),
            strict=True,
        )
        return tuple(
            [
                RecommendedItem(
                    rank=rank,
                    item_id=item.item_id,
                    score=score,
                    sources=names,
                    reason=sentence(because),
                    because=because,
                    matches=UNSET if matches is None else matches,
                )
                for rank, (item, score, names, because, matches) in enumerate(ranked, start=1)
            ]
        )


def _is_unknown(packed: PackedEvents) -> list[bool]:
    events = packed.batch.events
    return list(((events["action"] != SEARCH) & (events["vector"] == NO_VECTOR)).tolist())
