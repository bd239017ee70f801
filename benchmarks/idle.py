"""CPU of an idle worker."""

from __future__ import annotations

import time

from benchmarks.held import serving
from benchmarks.report import Section, Table
from benchmarks.stage import Stage
from benchmarks.usage import by_thread, gathered

LEAST_SHARE = 0.02

HOW = """\
A worker with the real model and {items:,} items owns all 8 partitions, and no events are published. It is measured for
{seconds:g} s, from {settle:g} s after it is ready. Shares are of one core."""


def measure(stage: Stage) -> Section:
    """Measure a worker without events."""
    sizes = stage.sizes
    with serving(stage) as (_, worker):
        stage.progress(f"an idle worker for {sizes.idle_s:g} s")
        # A fixed pause: the measurement covers this much time, and nothing happens to wait for. The first pause covers
        # the work after a start, such as the first commits.
        time.sleep(sizes.idle_settle_s)
        before = worker.usage()
        time.sleep(sizes.idle_s)
        after = worker.usage()
    seconds = after.at - before.at
    share = (after.seconds - before.seconds) / seconds
    threads = gathered(by_thread(before, after), LEAST_SHARE)
    rows = [("the whole worker", f"{share:.1%}"), *((name, f"{used / seconds:.1%}") for name, used in threads.items())]
    return Section(
        title="An idle worker",
        how=HOW.format(items=sizes.catalogue, seconds=sizes.idle_s, settle=sizes.idle_settle_s),
        tables=(Table(("", "of a core"), tuple(rows)),),
        data={"share": share, "threads": threads},
    )
