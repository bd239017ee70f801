"""The sizes of the measurements: FULL for reliable figures, QUICK to test the benchmarks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """The chosen parameters of a run. Durations in seconds."""

    catalogue: int = 5_000
    shoppers: int = 2_000
    searches: float = 0.1
    cpu_events: int = 30_000
    cpu_warm_up: int = 5_000
    cpu_repeats: int = 3
    rates: tuple[int, ...] = (100, 250, 500, 1_000, 1_500, 2_000)
    first_s: float = 15.0
    step_s: float = 30.0
    step_warm_up_s: float = 5.0
    held_alone: bool = False
    reference_rate: int = 500
    large_catalogue: int = 100_000
    p99_limits_s: tuple[float, ...] = (0.25, 0.05)
    growth_limit_s: float = 0.05
    fallback_limit: float = 0.01
    backlog_events: int = 50_000
    backlog_warm_up: int = 5_000
    idle_settle_s: float = 10.0
    idle_s: float = 30.0
    retail: Path | None = None
    retail_lists: int = 10_000
    retail_between: int = 1_000_000
    engine_batch: int = 64
    http_s: float = 10.0
    profiles: tuple[int, ...] = (10_000, 100_000)
    different_profiles: int = 200
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
    bursts: tuple[int, ...] = (8_000, 50_000)
    seed: int = 1


FULL = Sizes()
QUICK = Sizes(
    catalogue=1_000,
    shoppers=500,
    cpu_events=6_000,
    cpu_warm_up=1_500,
    cpu_repeats=1,
    rates=(100, 200),
    first_s=1.0,
    step_s=2.0,
    step_warm_up_s=1.0,
    reference_rate=200,
    large_catalogue=3_000,
    backlog_events=3_000,
    backlog_warm_up=500,
    idle_settle_s=1.0,
    idle_s=2.0,
    retail_lists=300,
    retail_between=500,
    http_s=1.0,
    profiles=(2_000,),
    different_profiles=20,
    profile_events=500,
    retrieval_items=(1_000, 5_000),
    retrieval_queries=64,
    source_households=200,
    source_events=6_000,
    source_lists=256,
    flame_rate=200,
    flame_s=4.0,
    swap_rate=50,
    swap_s=45.0,
    bursts=(1_000,),
)
