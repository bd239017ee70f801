"""The time per list of `intentstream replay` on Online Retail, at the start and at the end of the log."""

from __future__ import annotations

from collections.abc import Iterable
from time import perf_counter, process_time

from threadpoolctl import threadpool_limits

from benchmarks.report import Section, Table
from benchmarks.stage import Stage
from streams.contracts.messages import Interaction
from streams.items.encoded import encode_catalogue
from streams.replay import Replay
from streams.settings import load_settings
from training.datasets import online_retail as retail

HOW = """\
Online Retail (UCI 352) has {purchases:,} purchases of {items:,} items. They go in the order of the file through the
code of `intentstream replay`, with its default settings, on one thread. The catalogue is encoded beforehand and there
are no searches, so the time is that of the lists alone. The first {lists:,} lists start from an empty state. Then
{between:,} purchases are learned without lists. Then the last {lists:,} lists are made."""


def measure(stage: Stage) -> Section | None:
    """Measure both ends of the log. Return None if the data are missing."""
    sizes = stage.sizes
    if sizes.retail is None:
        stage.progress("replay is omitted: --retail, the file of Online Retail, is not given")
        return None
    stage.progress("reading Online Retail")
    lines = retail.sales(retail.read(sizes.retail))
    items, purchases = retail.items(lines), retail.interactions(lines)
    stage.progress(f"encoding {len(items):,} items")
    replay = Replay(load_settings(env_file=None), stage.bundle, encode_catalogue(stage.bundle, items))
    stage.progress(f"the first {sizes.retail_lists:,} lists")
    next(replay.recommend(purchases[:1]))  # the first list pays one-time costs
    first = timed(replay, purchases[1 : sizes.retail_lists + 1])
    between = purchases[sizes.retail_lists + 1 : -sizes.retail_lists][: sizes.retail_between]
    stage.progress(f"learning from {len(between):,} purchases")
    began = perf_counter()
    replay.learn(between)
    learned_us = 1e6 * (perf_counter() - began) / max(len(between), 1)
    stage.progress(f"the last {sizes.retail_lists:,} lists")
    last = timed(replay, purchases[-sizes.retail_lists :])
    how = HOW.format(purchases=len(purchases), items=len(items), lists=sizes.retail_lists, between=len(between))
    rows = (
        (f"the first {sizes.retail_lists:,} lists", *(f"{each:,.0f}" for each in first)),
        (f"the last {sizes.retail_lists:,} lists", *(f"{each:,.0f}" for each in last)),
        ("learning in between, per event", f"{learned_us:,.0f}", ""),
    )
    return Section(
        title="Replay: lists without Kafka",
        how=how,
        tables=(Table(("", "µs", "µs of CPU"), rows),),
        data={"first_us": first, "last_us": last, "learned_us": learned_us},
    )


def timed(replay: Replay, interactions: Iterable[Interaction]) -> tuple[float, float]:
    """Return the microseconds per list: elapsed time, and CPU time."""
    with threadpool_limits(1, "blas"):
        began, used = perf_counter(), process_time()
        lists = sum(1 for _ in replay.recommend(interactions))
    return 1e6 * (perf_counter() - began) / lists, 1e6 * (process_time() - used) / lists
