"""A measured value with its interval, as reports contain it. No I/O."""

from __future__ import annotations

import msgspec


class Estimate(msgspec.Struct, frozen=True):
    """A mean and its 95% interval, by bootstrap over shoppers."""

    value: float
    low: float
    high: float
