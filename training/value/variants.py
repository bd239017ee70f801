"""A shop with less data: what is left out of its events and of its catalogue. No I/O."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields

Names = frozenset[str]
NO_NAMES: Names = frozenset()
Ages = frozenset[tuple[float, float]]
"""Periods before the test period, in days: older than the first number, at most as old as the second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """The data that a shop lacks.

    Attributes:
        types: types of events that it does not collect.
        fields: fields of events that it leaves empty.
        context: keys of the events' `context` that it leaves out.
        attributes: attributes of items that it leaves empty.
        ages: periods of history that it has deleted.
        fitted: whether its ranker is fitted to its own events before the test period. Otherwise it is the bundle's.
    """

    types: Names = NO_NAMES
    fields: Names = NO_NAMES
    context: Names = NO_NAMES
    attributes: Names = NO_NAMES
    ages: Ages = frozenset()
    fitted: bool = False

    def __or__(self, other: Variant) -> Variant:
        """Return the shop that lacks what either of two shops lacks. The ranker is fitted if one of both is."""
        return Variant(**{each.name: getattr(self, each.name) | getattr(other, each.name) for each in fields(Variant)})

    @property
    def key(self) -> str:
        """A text that is equal for equal variants, in every process."""
        parts = {each.name: getattr(self, each.name) for each in fields(Variant)}
        return json.dumps({name: value if isinstance(value, bool) else sorted(value) for name, value in parts.items()})

    def canonical(self, types: Names) -> Variant:
        """Return the variant that gives the same lists with the least left out. `types` are those of the log.

        Without any event, it makes no difference which of their fields and periods are missing.
        """
        if types <= self.types:
            return Variant(types=types, attributes=self.attributes, fitted=False)
        return self


WHOLE = Variant()
"""The shop with all data."""
