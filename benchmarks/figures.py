"""Summary figures of measurements. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Numbers = Sequence[float] | npt.NDArray[np.float64]


def percentile(values: Numbers, percent: float) -> float:
    """Return the smallest of `values` that at least `percent` of them do not exceed, or NaN if there are no values."""
    if not len(values):
        return float("nan")
    return float(np.percentile(np.asarray(values, dtype=np.float64), percent, method="inverted_cdf"))


@dataclass(frozen=True, slots=True)
class Spread:
    """Repeats of one measurement."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Numbers) -> Spread:
        """Summarise at least one value."""
        return cls(float(np.median(values)), float(min(values)), float(max(values)))

    def text(self, digits: int = 0) -> str:
        """Return the median with the range in brackets."""
        return f"{self.median:.{digits}f} ({self.least:.{digits}f} to {self.most:.{digits}f})"


def grows(latencies: Numbers, tolerance_s: float) -> bool:
    """Return whether latency grows during a run: the median of its last third exceeds that of its first third.

    An overloaded worker falls behind by a fixed share of every second, so its latency grows from start to end.
    """
    third = len(latencies) // 3
    if not third:
        return False
    return float(np.median(latencies[-third:]) - np.median(latencies[:third])) > tolerance_s


def kibibytes(size: float) -> str:
    """Return a size in bytes as KiB."""
    return f"{size / 1024:,.1f} KiB"


def mebibytes(size: float) -> str:
    """Return a size in bytes as MiB."""
    return f"{size / (1 << 20):,.0f} MiB"
