"""An open-loop schedule: when each event is due, whatever became of the ones before it. Pure.

Latency is measured from the moment an event was due. A sender that waits for answers, or that measures from the moment
it got round to sending, would hide exactly the delays that shoppers see (coordinated omission).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Schedule:
    """`rate` events a second for `warm_up_s`, which is not measured, and then for `measured_s`."""

    rate: float
    measured_s: float
    warm_up_s: float

    @property
    def total(self) -> int:
        """How many events are sent."""
        return round(self.rate * (self.warm_up_s + self.measured_s))

    @property
    def first_measured(self) -> int:
        """The number of the first event that counts."""
        return round(self.rate * self.warm_up_s)

    def due_s(self, number: int) -> float:
        """Return when an event is due, in seconds from the start."""
        return number / self.rate
