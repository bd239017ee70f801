"""CPU time of processes and their threads, read from outside: psutil for the process, /proc for its threads."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

MAIN = "event loop"
"""The name of a worker's main thread in the tables."""
LEFT = "other threads"
NANOSECONDS = 1e9


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU seconds that a process had used at a moment: in total, and by thread as (id, name)."""

    at: float
    seconds: float
    threads: Mapping[tuple[int, str], float]


def usage_of(pid: int) -> Usage:
    """Read the usage of a process. Without /proc, there are no threads in it."""
    used = psutil.Process(pid).cpu_times()
    return Usage(time.monotonic(), float(used.user + used.system), _threads(Path(f"/proc/{pid}/task"), pid))


def seconds_of(pids: list[int]) -> float:
    """Return the total CPU seconds of some processes."""
    return sum(usage_of(pid).seconds for pid in pids)


def by_thread(before: Usage, after: Usage) -> dict[str, float]:
    """Return the CPU seconds between two moments by thread name, highest first. Threads of a pool count as one.

    Threads that ended in between are in the rest, because their last figures are unknown.
    """
    used: Counter[str] = Counter()
    for thread, seconds in after.threads.items():
        used[_pool(thread[1])] += seconds - before.threads.get(thread, 0.0)  # type: ignore[assignment]
    rest = after.seconds - before.seconds - sum(used.values())
    if used and rest > 0:
        used[LEFT] += rest  # type: ignore[assignment]
    return dict(used.most_common())


def gathered(threads: Mapping[str, float], least: float) -> dict[str, float]:
    """Merge threads that used less than `least` of the total."""
    whole = sum(threads.values()) or 1.0
    kept = {name: seconds for name, seconds in threads.items() if seconds / whole >= least and name != LEFT}
    rest = sum(threads.values()) - sum(kept.values())
    return kept | ({LEFT: rest} if rest > 0 else {})


def _pool(name: str) -> str:
    """Return the name of a pool's thread without its number: `scorer_0` and `rocksdb:low3` lose it."""
    return name.rstrip("0123456789").rstrip("_-:") or name


def _threads(folder: Path, pid: int) -> dict[tuple[int, str], float]:
    threads = {}
    for task in folder.iterdir() if folder.is_dir() else ():
        try:
            nanoseconds = int((task / "schedstat").read_text().split()[0])
            name = (task / "comm").read_text().strip()
        except (OSError, IndexError, ValueError):
            continue  # the thread has ended, or the kernel keeps no such figures
        threads[int(task.name), MAIN if int(task.name) == pid else name] = nanoseconds / NANOSECONDS
    return threads
