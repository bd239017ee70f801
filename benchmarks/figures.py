"""Numbers out of measurements. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Numbers = Sequence[float] | npt.NDArray[np.float64]


def percentile(values: Numbers, percent: float) -> float:
    """Return the smallest of `values` that at least `percent` of them do not exceed; NaN where there are none."""
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
        """Sum up at least one value."""
        return cls(float(np.median(values)), float(min(values)), float(max(values)))

    def text(self, digits: int = 0) -> str:
        """Say the median, and the range in brackets."""
        return f"{self.median:.{digits}f} ({self.least:.{digits}f} to {self.most:.{digits}f})"


def grows(latencies: Numbers, tolerance_s: float) -> bool:
    """Whether latency grows in the course of a run: the median of its last third exceeds that of its first third.

    An overloaded worker falls behind by a fixed share of every second, so its latency grows from start to end.
    """
    third = len(latencies) // 3
    if not third:
        return False
    return float(np.median(latencies[-third:]) - np.median(latencies[:third])) > tolerance_s


def kibibytes(size: float) -> str:
    """Write bytes in KiB."""
    return f"{size / 1024:,.1f} KiB"


def mebibytes(size: float) -> str:
    """Write bytes in MiB."""
    return f"{size / (1 << 20):,.0f} MiB"
