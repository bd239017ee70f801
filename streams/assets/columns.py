"""The profile of one field: counts and sketches of its values, in bounded memory. No I/O.

The sketches are those of Apache DataSketches: HyperLogLog for distinct values (Flajolet et al. 2007), KLL for quantiles
(Karnin, Lang & Liberty 2016, doi:10.1109/FOCS.2016.17) and Misra-Gries counters for frequent values. Sketches of two
workers or two hours can be merged without loss.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
from datasketches import (
    frequent_items_error_type,
    frequent_strings_sketch,
    hll_sketch,
    hll_union,
    kll_floats_sketch,
    tgt_hll_type,
)

from streams.assets.personal import personal_classes

DISTINCT_LG = 11
"""Base-2 logarithm of the registers of HyperLogLog: 2 KB, a standard error of 2.3%."""
QUANTILES_K = 128
"""Size of a KLL sketch: ranks are right to 2%."""
FREQUENT_LG = 6
"""Base-2 logarithm of the counters: at most 48 values are counted."""
MOST_TEXT = 64
"""Characters of a value that are kept."""
MOST = float(np.finfo(np.float32).max)


class ColumnRecord(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """A column as bytes: the counts, and each sketch in the format of DataSketches; empty for none."""

    present: int = 0
    types: dict[str, int] = {}
    distinct: bytes = b""
    quantiles: bytes = b""
    frequent: bytes = b""
    examined: int = 0
    personal: dict[str, int] = {}


class Frequent(NamedTuple):
    """A frequent value, and bounds of how often it came."""

    value: str
    at_least: int
    at_most: int


class Column:
    """Profile of one field.

    Attributes:
        present: messages with a value.
        types: values by type: text, number, boolean, list, object. Empty if the contract knows the type.
        examined: texts that were searched for personal data.
        personal: of these, the texts with personal data, by class. See `streams.assets.personal`.
    """

    __slots__ = ("_distinct", "_frequent", "_quantiles", "examined", "personal", "present", "types")

    def __init__(self) -> None:
        self.present = 0
        self.types: Counter[str] = Counter()
        self.examined = 0
        self.personal: Counter[str] = Counter()
        self._distinct: hll_sketch | None = None
        self._quantiles: kll_floats_sketch | None = None
        self._frequent: frequent_strings_sketch | None = None

    # Writing

    def add_distinct(self, values: Sequence[str]) -> None:
        """Count distinct values."""
        if values:
            sketch = self._distinct = self._distinct or hll_sketch(DISTINCT_LG, tgt_hll_type.HLL_8)
            for value in set(values):
                sketch.update(value)

    def add_frequent(self, values: Mapping[str, int]) -> None:
        """Count values that are kept, cut to MOST_TEXT characters. Values of open fields are examined before."""
        if values and not self.personal:
            sketch = self._frequent = self._frequent or frequent_strings_sketch(FREQUENT_LG)
            for value, number in values.items():
                sketch.update(value[:MOST_TEXT], number)

    def add_numbers(self, values: Sequence[float]) -> None:
        """Add numbers to the quantiles, cut to the range of 32-bit floats. Those that are not finite are left out."""
        numbers = np.asarray(values, dtype=np.float64)
        kept = numbers[np.isfinite(numbers)].clip(-MOST, MOST)
        if len(kept):
            sketch = self._quantiles = self._quantiles or kll_floats_sketch(QUANTILES_K)
            sketch.update(kept.astype(np.float32))

    def examine(self, texts: Collection[str]) -> None:
        """Search texts for personal data. A column that has some keeps no frequent values."""
        for text in texts:
            self.examined += 1
            self.personal.update(personal_classes(text))
        if self.personal:
            self._frequent = None

    def merge(self, other: Column) -> None:
        """Add everything that another column counted."""
        self.present += other.present
        self.examined += other.examined
        # Most columns have neither of these counts. To merge columns is most of the work of an evaluation.
        if other.types:
            self.types.update(other.types)
        if other.personal:
            self.personal.update(other.personal)
        if other._distinct is not None:
            # DataSketches merges HyperLogLog by an object of its own. The other sketches take another one in.
            union = hll_union(DISTINCT_LG)
            for sketch in (self._distinct, other._distinct):
                if sketch is not None:
                    union.update(sketch)
            self._distinct = union.get_result(tgt_hll_type.HLL_8)
        if other._quantiles is not None:
            self._quantiles = self._quantiles or kll_floats_sketch(QUANTILES_K)
            self._quantiles.merge(other._quantiles)
        if self.personal:
            self._frequent = None
        elif other._frequent is not None:
            self._frequent = self._frequent or frequent_strings_sketch(FREQUENT_LG)
            self._frequent.merge(other._frequent)

    # Reading

    @property
    def distinct(self) -> float | None:
        """An estimate of the number of distinct values, None if they are not counted."""
        return None if self._distinct is None else float(self._distinct.get_estimate())

    def quantiles(self, ranks: Sequence[float]) -> list[float] | None:
        """Return the values at ranks from 0 (the smallest) to 1 (the largest), None without numbers."""
        sketch = self._quantiles
        if sketch is None:
            return None
        exact: dict[float, float] = {0: sketch.get_min_value(), 1: sketch.get_max_value()}
        return [exact[rank] if rank in exact else sketch.get_quantile(rank, True) for rank in ranks]

    def shares_below(self, values: Sequence[float]) -> list[float] | None:
        """Return the share of the numbers up to each of ascending distinct `values`, None without numbers."""
        if self._quantiles is None:
            return None
        return list(self._quantiles.get_cdf(list(values), inclusive=True))[: len(values)]

    def frequent(self, most: int = 10) -> list[Frequent]:
        """Return the most frequent values, best first, ties by value. Rare ones may be missing."""
        if self._frequent is None:
            return []
        found = self._frequent.get_frequent_items(frequent_items_error_type.NO_FALSE_NEGATIVES)
        ordered = sorted(found, key=lambda each: (-each[1], each[0]))[:most]
        return [Frequent(value, low, high) for value, _, low, high in ordered]

    def record(self) -> ColumnRecord:
        """Return the column as bytes."""
        return ColumnRecord(
            present=self.present,
            types=dict(self.types),
            distinct=b"" if self._distinct is None else self._distinct.serialize_compact(),
            quantiles=b"" if self._quantiles is None else self._quantiles.serialize(),
            frequent=b"" if self._frequent is None else self._frequent.serialize(),
            examined=self.examined,
            personal=dict(self.personal),
        )

    @classmethod
    def of(cls, record: ColumnRecord) -> Column:
        """Return the column of a record. Raises ValueError if a sketch is unreadable."""
        column = cls()
        column.present = record.present
        column.types = Counter(record.types)
        column.examined, column.personal = record.examined, Counter(record.personal)
        try:
            if record.distinct:
                column._distinct = hll_sketch.deserialize(record.distinct)
            if record.quantiles:
                column._quantiles = kll_floats_sketch.deserialize(record.quantiles)
            if record.frequent:
                column._frequent = frequent_strings_sketch.deserialize(record.frequent)
        except (RuntimeError, ValueError, IndexError, MemoryError, OverflowError) as error:
            raise ValueError(f"required sketches of DataSketches, got {error}") from None
        return column


def type_name(value: Any) -> str:
    """Return the type of a JSON value: text, number, boolean, list or object."""
    if isinstance(value, str):
        return "text"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return "list" if isinstance(value, list | tuple) else "object"
