"""How much is measured: enough to trust the figures, or just enough to see that the harness works."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """The figures of a run that are chosen, not measured. Durations in seconds."""

    catalogue: int = 5_000
    shoppers: int = 2_000
    searches: float = 0.1
    cpu_events: int = 30_000
    cpu_warm_up: int = 5_000
    cpu_repeats: int = 3
    rates: tuple[int, ...] = (100, 500, 1_000)
    first_s: float = 15.0
    step_s: float = 20.0
    step_warm_up_s: float = 5.0
    search_step_s: float = 10.0
    search_rounds: int = 5
    search_from: int = 1_000
    p99_limit_s: float = 0.25
    growth_limit_s: float = 0.05
    profiles: tuple[int, ...] = (10_000, 100_000)
    profile_events: int = 3_000
    retrieval_items: tuple[int, ...] = (1_000, 5_000, 10_000, 20_000, 50_000, 100_000)
    retrieval_batches: tuple[int, ...] = (1, 16)
    retrieval_queries: int = 256
    retrieval_limit: int = 100
    source_households: int = 1_500
    source_events: int = 100_000
    source_lists: int = 1_024
    source_batches: tuple[int, ...] = (1, 16)
    flame_rate: int = 400
    flame_s: float = 20.0
    swap_rate: int = 50
    swap_s: float = 120.0
    seed: int = 1


FULL = Sizes()
QUICK = Sizes(
    catalogue=1_000,
    shoppers=500,
    cpu_events=6_000,
    cpu_warm_up=1_500,
    cpu_repeats=1,
    rates=(100, 300),
    first_s=2.0,
    step_s=5.0,
    step_warm_up_s=2.0,
    search_step_s=4.0,
    search_rounds=2,
    search_from=400,
    profiles=(2_000, 10_000),
    profile_events=500,
    retrieval_items=(1_000, 5_000),
    retrieval_queries=64,
    source_households=200,
    source_events=6_000,
    source_lists=256,
    flame_rate=200,
    flame_s=8.0,
    swap_rate=50,
    swap_s=45.0,
)
