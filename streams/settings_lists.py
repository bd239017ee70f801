"""Groups of settings of how lists are made: profiles, candidates, learning and latency."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from inference.attributes.names import DEFAULTS as DERIVED
from inference.retrieval.sources import DEFAULTS
from streams.settings_groups import PREFIX, Group
from streams.settings_values import Attributes, Count, Duration, Reasons, Sources, Wait, Weight

FEWEST_PRIVATE_SECONDS = 600
"""Shortest interval of trends with a privacy budget."""


class Profile(Group):
    """Profiles of shoppers."""

    short_term_half_life_minutes: Duration = Field(30, description="Half-life of the short-term intent, in event time")
    long_term_half_life_days: Duration = Field(30, description="Half-life of the long-term intent, in event time")
    session_gap_minutes: Duration = Field(30, description="Pause that ends a session")
    max_clock_skew_seconds: Wait = Field(300, description="Largest lead of an event's time over Kafka's clock")
    weight_search: Weight = Field(1.0, description="Weight of a search in the intent")
    weight_view: Weight = Field(1.0, description="Weight of a view")
    weight_click: Weight = Field(1.0, description="Weight of a click")
    weight_cart: Weight = Field(2.0, description="Weight of an item put into the cart")
    weight_purchase: Weight = Field(3.0, description="Weight of a purchase")


class Retrieval(Group):
    """Candidates and lists."""

    sources: Sources = Field(DEFAULTS, description="Candidate sources")
    candidates_per_source: Count = Field(100, description="Candidates of each source, at most")
    candidates_ranked: Count = Field(250, description="Candidates that the ranker scores: the first in the fused order")
    list_size: int = Field(20, ge=1, le=1000, description="Items in a recommendation")
    diversity: float = Field(0.0, ge=0, le=1, description="Diversity of a list's items; 0: off")
    places_for_new: int = Field(
        1, ge=0, le=1000, description="Places reserved for items without any action, except in lists for a search"
    )
    fairness: float = Field(
        0.0, ge=0, le=0.5,
        description="Least share of new items and of small sellers' items in lists, except for a search; 0: off",
    )  # fmt: skip
    language: Reasons = Field(
        "en", description="Language of the reasons and the console: en, de or zh (simplified characters)"
    )
    placements_file: Path | None = Field(
        None, description="TOML or JSON file of placements; unset: the default placement only"
    )
    derive_attributes: Attributes = Field(
        DERIVED,
        description="Attributes that filters and facets read from titles where items lack them; none: no attribute",
    )
    exact_search_limit: int = Field(100_000, ge=0, description="Catalogue size up to which vector search is exact")


class Learning(Group):
    """Co-occurrence, sessions, trends and habits."""

    min_shoppers: int = Field(
        2, ge=1, le=32, description="Distinct shoppers that a pair of items, a search or a trend needs to be published"
    )
    robot_events_per_minute: int = Field(
        120, ge=1, le=60_000, description="Events in a minute beyond which others learn nothing from a shopper that day"
    )
    robot_events_per_day: int = Field(
        2000, ge=1, le=60_000, description="Events in a day (UTC) beyond which others learn nothing from a shopper"
    )
    pairs_half_life_days: Duration = Field(60, description="Half-life of co-occurrence, in event time")
    pairs_window: int = Field(
        10, ge=1, le=23, description="Preceding items of a session that co-occur with an action's item"
    )
    behaviour_interval_seconds: Duration = Field(1.0, description="Publishing interval of co-occurrence and sessions")
    sessions_kept: Count = Field(50_000, description="Newest sessions that each worker keeps in memory")
    sessions_retention_days: Duration = Field(7, description="Retention of the sessions topic")
    trending_half_life_hours: Duration = Field(24, description="Half-life of an item's popularity, in event time")
    trending_lasting_half_life_days: Duration = Field(30, description="Half-life of an item's lasting popularity")
    trending_interval_seconds: Duration = Field(1.0, description="Publishing interval of trending items")
    trends_epsilon_per_day: float | None = Field(
        None, gt=0, le=1000, description="Privacy budget of published trends for a day; unset: counts without noise"
    )
    trends_events_per_day: Count = Field(
        50, description="Events of a shopper in a day that count in trends with a privacy budget"
    )
    habit_half_life_days: Duration = Field(90, description="Half-life of a shopper's purchases, in event time")

    @model_validator(mode="after")
    def _private_trends_are_rare(self) -> Self:
        # Each release spends a part of the budget: once a second, nothing but noise would be left.
        if self.trends_epsilon_per_day is not None and self.trending_interval_seconds < FEWEST_PRIVATE_SECONDS:
            raise ValueError(
                f"{PREFIX}TRENDS_EPSILON_PER_DAY needs {PREFIX}TRENDING_INTERVAL_SECONDS of {FEWEST_PRIVATE_SECONDS} "
                "or more: each publication spends a part of the budget"
            )
        return self


class Latency(Group):
    """Batches, the deadline and events in flight."""

    batch_max_size: int = Field(64, ge=1, le=4096, description="Events in a batch, at most")
    scoring_deadline_ms: Duration = Field(200.0, description="Scoring deadline; later lists keep the retrieval order")
    catch_up_seconds: Duration = Field(
        5.0, description="Age of the newest event of a batch above which it has no deadline"
    )
    shopper_lists_per_minute: int = Field(
        120, ge=0, le=60_000,
        description="Ranked lists of a shopper in a burst, and in each minute after it; 0: no limit",
    )  # fmt: skip
    max_in_flight: Count = Field(256, description="Events in flight in a worker, at most")
    producer_linger_ms: int = Field(
        0, ge=0, le=60_000, description="Time that the producer waits to batch messages sent singly"
    )
