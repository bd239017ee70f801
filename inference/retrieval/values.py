"""A column of values: the number of each row's value, and the values by number."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

Value = TypeVar("Value", bound=Hashable)


class Values(Generic[Value]):
    """A value of each row as its number; 0 for none."""

    def __init__(self) -> None:
        self._code_of: dict[Value | None, int] = {None: 0}
        self._values: list[Value | None] = [None]
        self._codes: npt.NDArray[np.int32] = np.empty(0, dtype=np.int32)

    def set(self, row: int, value: Value | None) -> None:
        """Store the value of a row, None for none."""
        self._codes = with_room(self._codes, row, 0)
        self._codes[row] = self._code(value)
        if len(self._code_of) > 2 * len(self._codes) + 1:  # most values are those of former items
            self._forget_unused()

    def get(self, row: int) -> Value | None:
        """Return the value of a row that was set."""
        return self._values[int(self._codes[row])]

    def rows_with(self, accepts: Callable[[Value], bool], rows: int) -> npt.NDArray[np.bool_]:
        """Return which of the first `rows` rows have a value that is accepted. Each value is tested once."""
        accepted = [value is not None and accepts(value) for value in self._values]
        mask: npt.NDArray[np.bool_] = np.array(accepted, dtype=np.bool_)[self._codes[:rows]]
        return mask

    def counts(self, rows: npt.NDArray[np.int32]) -> dict[Value, int]:
        """Return how many of some rows have each value."""
        held = self._codes[rows]
        if len(self._values) <= 4 * len(rows):
            numbers = np.bincount(held)
            codes = np.flatnonzero(numbers)
            counts = numbers[codes]
        else:
            codes, counts = np.unique(held, return_counts=True)
        found = {self._values[code]: count for code, count in zip(codes.tolist(), counts.tolist(), strict=True)}
        return {value: count for value, count in found.items() if value is not None}

    def having(self, value: Value, rows: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_]:
        """Return which of some rows have a value, (n,)."""
        mask: npt.NDArray[np.bool_] = self._codes[rows] == self._code_of.get(value, -1)
        return mask

    def _forget_unused(self) -> None:
        used, numbers = np.unique(np.append(self._codes, np.int32(0)), return_inverse=True)
        self._codes = numbers[:-1].astype(np.int32)
        self._values = [self._values[code] for code in used.tolist()]
        self._code_of = {value: code for code, value in enumerate(self._values)}

    def _code(self, value: Value | None) -> int:
        code = self._code_of.get(value)
        if code is None:
            code = self._code_of[value] = len(self._values)
            self._values.append(value)
        return code


def with_room(values: npt.NDArray[Any], row: int, none: float) -> npt.NDArray[Any]:
    """Return an array with a place for a row."""
    if row < len(values):
        return values
    return np.concatenate([values, np.full(max(len(values), row + 1 - len(values)), none, dtype=values.dtype)])
