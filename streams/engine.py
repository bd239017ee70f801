"""The heart of an event's path, the same in a worker and in `replay`: interaction in, query out; list in, message out.

Pure: state comes in as bytes and leaves as bytes; time and places are arguments.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice

import numpy as np

from inference.retrieval.vectors import normalise
from inference.types import NO_KEYS, Keys, Query, RankedList, Remembered, SessionItems, Vector, stable_key
from streams.behaviour.approaches import approach, session_items
from streams.contracts.messages import (
    Approach,
    Intent,
    Interaction,
    ItemInteraction,
    ModelRef,
    Recommendations,
    RecommendedItem,
    Search,
    Trigger,
)
from streams.contracts.serde import recommendation_id
from streams.items.live import LiveCatalogue
from streams.items.trending import Trending
from streams.profiles import codec
from streams.profiles.habits import known, price_habit
from streams.profiles.profile import (
    ACTIONS,
    Memory,
    Profile,
    ProfileRules,
    Source,
    apply,
    empty,
    event_time_ms,
    id_key,
    in_session,
    in_space,
    is_replay,
)

INTENT_LABELS = 3
"""Categories, and brands, that a message names."""
FADED = 0.05
"""A search whose weight has decayed to less says nothing any more."""
DEADLINE_EXCEEDED, ENCODING_FAILED = "deadline_exceeded", "encoding_failed"
PAST_TENSES = tuple(action.past_tense for action in ACTIONS)


@dataclass(frozen=True, slots=True)
class Observation:
    """An interaction after it was folded into its shopper's profile: what to store, what to rank, what to learn.

    `late` says that it is older than what the shopper did last. `approach` and `session` are what an action on an item
    tells about it and its session; None for a search. A replay has them too: whoever counts them knows by the
    approach's place what was counted.
    """

    interaction: Interaction
    source: Source
    profile: bytes
    query: Query
    intent: tuple[Intent, ...]
    replayed: bool
    approach: Approach | None
    session: SessionItems | None
    late: bool


class Engine:
    """Folds interactions into profiles and turns ranked lists into messages."""

    def __init__(
        self,
        *,
        dim: int,
        space: str,
        model: ModelRef,
        catalogue: LiveCatalogue,
        trending: Trending,
        rules: ProfileRules,
        list_size: int,
        pairs_window: int = 10,
    ) -> None:
        self._dim = dim
        self._space = stable_key(space)
        self._model = model
        self._catalogue = catalogue
        self._trending = trending
        self._rules = rules
        self._list_size = list_size
        self._pairs_window = pairs_window

    def observe(
        self, stored: bytes | None, interaction: Interaction, source: Source, text_vector: Vector | None
    ) -> Observation:
        """Fold one interaction into the shopper's stored profile.

        Args:
            stored: the profile's bytes, None for a new shopper.
            interaction: what the shopper did.
            source: where it lay in Kafka.
            text_vector: the unit vector (dim,) of a search's query; None for other interactions.

        Raises:
            ProfileCodecError: `stored` is unreadable.
        """
        profile = self._profile(stored)
        replayed = is_replay(profile, source)
        late = event_time_ms(interaction, source, self._rules) < profile.updated_ms
        if not replayed:
            profile = self._fold(profile, interaction, source, text_vector)
        # What is ranked is what was stored, rounding included: a list does not depend on who kept the profile at hand.
        data, profile = codec.store(profile)
        session = in_session(profile, interaction.session_id)
        action = None if isinstance(interaction, Search) else interaction
        query = self._query(
            profile,
            profile.updated_ms,
            text=interaction.query if isinstance(interaction, Search) else None,
            text_vector=text_vector,
            session=np.ascontiguousarray(session["key"]),
        )
        return Observation(
            interaction=interaction,
            source=source,
            profile=data,
            query=query,
            intent=self._intent(profile, query),
            replayed=replayed,
            approach=None if action is None else self._approach(profile, session, action, source),
            session=None if action is None else session_items(profile, session, action),
            late=late and not replayed,
        )

    def arrive(self, stored: bytes | None, at_ms: int) -> Query:
        """Return what is known of a shopper who arrives at `at_ms`, before any action: no session, nothing left out.

        Raises ProfileCodecError: `stored` is unreadable.
        """
        profile = self._profile(stored)
        now_ms = max(at_ms, profile.updated_ms)
        faded = 2.0 ** (-(now_ms - profile.updated_ms) / self._rules.short_term_half_life_ms)
        is_faded = float(np.linalg.norm(profile.short_term)) * faded < FADED
        query = self._query(profile, now_ms)
        return replace(query, short_term=None) if is_faded else query

    def compose(self, observation: Observation, ranked: RankedList, produced_at: datetime) -> Recommendations:
        """Write the message that answers an interaction."""
        interaction, source = observation.interaction, observation.source
        return Recommendations(
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
            produced_at=produced_at,
            items=tuple(
                RecommendedItem(
                    rank=rank,
                    item_id=scored.item.item_id,
                    score=scored.score,
                    sources=scored.sources,
                    reason=scored.reason,
                )
                for rank, scored in enumerate(ranked.items, start=1)
            ),
            intent=observation.intent,
            model=self._model,
            fallback=ranked.fallback or degraded(observation),
        )

    def _profile(self, stored: bytes | None) -> Profile:
        if stored is None:
            return empty(self._dim, self._space)
        profile = codec.decode(stored, self._dim, self._space)
        return in_space(profile, self._space, vector_of=self._catalogue.vector, rules=self._rules)

    def _fold(self, profile: Profile, interaction: Interaction, source: Source, text_vector: Vector | None) -> Profile:
        item, vector = None, text_vector
        if not isinstance(interaction, Search):
            item, vector = self._catalogue.find(interaction.item_id) or (None, None)
            self._trending.observe(
                source.partition,
                id_key(interaction.item_id),
                event_time_ms(interaction, source, self._rules),
                self._rules.weights[interaction.type],
            )
        return apply(profile, interaction, source, vector=vector, item=item, rules=self._rules)

    def _approach(self, profile: Profile, session: Memory, action: ItemInteraction, source: Source) -> Approach:
        return approach(profile, session, action, source, rules=self._rules, window=self._pairs_window)

    def _query(
        self,
        profile: Profile,
        now_ms: int,
        *,
        text: str | None = None,
        text_vector: Vector | None = None,
        session: Keys = NO_KEYS,
    ) -> Query:
        recent = profile.recent
        return Query(
            text=text,
            text_vector=text_vector,
            short_term=normalise(profile.short_term),
            long_term=normalise(profile.long_term),
            categories=shares(profile.categories),
            brands=shares(profile.brands),
            recent=tuple(map(Remembered, recent["key"].tolist(), [PAST_TENSES[n] for n in recent["action"].tolist()])),
            session=session,
            habits=known(profile.habits, now_ms, self._rules.habit_half_life_ms),
            price=price_habit(profile.prices),
            exclude=session,
            k=self._list_size,
        )

    def _intent(self, profile: Profile, query: Query) -> tuple[Intent, ...]:
        """Name what the shopper is after: the last search, then the heaviest categories and brands."""
        half_life_ms = self._rules.short_term_half_life_ms
        searched = tuple(
            Intent(kind="query", label=past.text, weight=weight)
            for past in profile.queries[:1]
            if (weight := round(2.0 ** ((past.at_ms - profile.updated_ms) / half_life_ms), 4)) >= FADED
        )
        labelled = (
            Intent(kind=kind, label=label, weight=round(share, 4))
            for kind, weights in (("category", query.categories), ("brand", query.brands))
            for key, share in islice(weights.items(), INTENT_LABELS)
            if (label := self._catalogue.label(key)) is not None
        )
        return searched + tuple(labelled)


def degraded(observation: Observation) -> str | None:
    """Say what a list had to do without, though the model ranked it."""
    without_text = observation.query.text is not None and observation.query.text_vector is None
    return ENCODING_FAILED if without_text else None


def shares(affinities: Memory) -> Mapping[int, float]:
    """Return each label's share of the shopper's weight, by stable key, heaviest first."""
    total = float(affinities["weight"].sum())
    if total <= 0:
        return {}
    return {
        key: weight / total
        for key, weight in zip(affinities["key"].tolist(), affinities["weight"].tolist(), strict=True)
    }
