"""An open-loop schedule: the time at which each event is due, regardless of earlier events. No I/O.

Latency is measured from the time at which an event was due. A sender that waits for answers, or that measures from the
time of the send, hides the delays that shoppers see (coordinated omission).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Schedule:
    """`rate` events per second for `warm_up_s`, which is not measured, and then for `measured_s`."""

    rate: float
    measured_s: float
    warm_up_s: float

    @property
    def total(self) -> int:
        """The number of events."""
        return round(self.rate * (self.warm_up_s + self.measured_s))

    @property
    def first_measured(self) -> int:
        """The number of the first measured event."""
        return round(self.rate * self.warm_up_s)

    def due_s(self, number: int) -> float:
        """Return the time at which an event is due, in seconds from the start."""
        return number / self.rate
