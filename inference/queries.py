"""A batch of queries as arrays of fixed width, for kernels. `Query` has the same content for people and notebooks.

A query is one record of dtype QUERY, and up to three vectors: of the short-term intent, the long-term intent and the
search. Lists are padded, and a field of the record has the length of each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from inference.kernels.gaps import gap_bucket
from inference.placements import Placement
from inference.retrieval.filters import Filters, excludes_session
from inference.retrieval.vectors import inverse_norms, quantise
from inference.types import NO_KEYS, Keys, Query, Vector, stable_key

RECENT, HABITS, LABELS, EARLIER = 24, 80, 8, 96
"""Greatest numbers in a query: items of the session and of earlier ones, items bought, categories and brands, and items
of the session before those."""
SHORT_TERM, LONG_TERM, SEARCH = 0, 1, 2
"""Places of the vectors."""
BOUGHT = 3
PAST_TENSES = ("viewed", "clicked", "chose", "bought")
"""The actions on items, in the past tense. `recent_actions` are places in this tuple."""

ACTIONS = ("view", "click", "cart", "purchase")
"""The same actions by their types in messages."""

QUERY = np.dtype(
    [
        ("shopper", "<u8"),
        ("session", "<u8", RECENT),
        ("recent", "<u8", RECENT),
        ("habits", "<u8", HABITS),
        ("categories", "<u8", LABELS),
        ("brands", "<u8", LABELS),
        ("category_shares", "<f8", LABELS),
        ("brand_shares", "<f8", LABELS),
        ("price_mean", "<f8"),
        ("price_deviation", "<f8"),
        ("habit_weights", "<f4", HABITS),
        ("habit_elapsed_days", "<f4", HABITS),
        ("habit_interval_days", "<f4", HABITS),
        ("session_length", "<i4"),
        ("recent_length", "<i4"),
        ("habits_length", "<i4"),
        ("categories_length", "<i4"),
        ("brands_length", "<i4"),
        ("k", "<i4"),
        ("earlier_length", "<i4"),
        ("earlier", "<u4", EARLIER),
        ("recent_actions", "u1", RECENT),
        ("habit_regular", "u1", HABITS),
        ("recent_gaps", "u1", RECENT),
        ("pause", "u1"),
        ("searching", "u1"),
    ],
    align=True,
)
"""One query. `session`, `recent`, `habits`, `categories` and `brands` are stable keys, newest or heaviest first.

`shopper` is the key of the shopper, with which the keys of the shopper's sessions begin; 0 if unknown.
`category_shares` and `brand_shares` are in [0, 1]. `price_mean` and `price_deviation` are of log(1 + price), NaN if
unknown. `recent_actions` are places in PAST_TENSES. `habit_regular` is 1 for an item that was bought at least three
times. `recent_gaps` are buckets of the time from each of `recent` to the newest of them, and `pause` that of the time
from the newest to the query, see `kernels.gaps`. `searching` is 1 if the shopper searches. `earlier` has the lowest 32
bits of the keys of items that came before `session` in it: they are not listed.
"""

Queries = npt.NDArray[np.void]
"""Records of dtype QUERY, (n,)."""


@dataclass(frozen=True, slots=True, eq=False)
class QueryBatch:
    """Queries that are processed together.

    Attributes:
        records: dtype QUERY, (n,).
        vectors: int8 (n, 3, dim), as `inference.retrieval.vectors.quantise` rounds them; 0 for a missing one.
        inverse_norms: 1 / ‖vector‖, float32 (n, 3); 0 for a missing vector.
        texts: the text of each search, None for a query that is no search.
        exclude: stable keys of items that must not be listed, query by query.
        exclude_starts: int64 (n + 1,): those of query i are `exclude[exclude_starts[i]:exclude_starts[i + 1]]`.
        filters: the filters of each query, all of which its items must pass; none for a query that is ranked from the
            whole catalogue. Empty if no query has any. See `filtered`.
    """

    records: Queries
    vectors: npt.NDArray[np.int8]
    inverse_norms: Vector
    texts: list[str | None]
    exclude: Keys
    exclude_starts: npt.NDArray[np.int64]
    filters: Sequence[Filters] = ()

    def __len__(self) -> int:
        return len(self.records)

    def at(self, placement: Placement, filters: Sequence[Filters] = (), k: int | None = None) -> QueryBatch:
        """Return the queries, which have no filters, for lists at a placement.

        Args:
            placement: the placement, with its filter and its number of items.
            filters: further filters of each query, such as those of a request; none by default.
            k: items in a list, instead of the placement's.
        """
        batch, size = self, placement.k if k is None else k
        if size is not None:
            records = self.records.copy()
            records["k"] = size
            batch = replace(self, records=records)
        if placement.filter is None and not filters:
            return batch
        own = () if placement.filter is None else (placement.filter,)
        return batch.filtered([(*own, *others) for others in (filters or [()] * len(batch))])

    def filtered(self, filters: Sequence[Filters]) -> QueryBatch:
        """Return the same queries with these filters, one tuple for each query, in place of those that they have.

        The items that a query's filters exclude are added to `exclude`. Call it once for a batch: afterwards `exclude`
        is no longer the session alone.
        """
        if not any(filters):
            return self
        starts, records = self.exclude_starts.tolist(), self.records.copy()
        excluded = []
        for place, own in enumerate(filters):
            keys = [self.exclude[starts[place] : starts[place + 1]]]
            if own:
                # These filters want the items of the session as well, also those before the last 24.
                if not excludes_session(own):
                    keys, records[place]["earlier_length"] = [], 0
                if any(each.exclude_bought for each in own):
                    keys.append(_bought(records[place]))
                given = [stable_key(item_id) for each in own for item_id in each.exclude_items]
                keys.append(np.array(given, dtype=np.uint64))
            excluded.append(np.concatenate([NO_KEYS, *keys]))
        return replace(
            self,
            records=records,
            exclude=np.concatenate([NO_KEYS, *excluded]),
            exclude_starts=np.cumsum([0, *map(len, excluded)], dtype=np.int64),
            filters=filters,
        )

    def without_bought(self) -> QueryBatch:
        """Return the same queries, of which those that are no search exclude the items that the shopper bought."""
        excluded = [
            np.concatenate([own, _bought(record)]) if record["searching"] == 0 else own
            # The last start is the end of all keys, so `split` returns an empty part more than there are records.
            for own, record in zip(np.split(self.exclude, self.exclude_starts[1:]), self.records, strict=False)
        ]
        return replace(
            self,
            exclude=np.concatenate([NO_KEYS, *excluded]),
            exclude_starts=np.cumsum([0, *map(len, excluded)], dtype=np.int64),
        )

    def take(self, places: Sequence[int]) -> QueryBatch:
        """Return the queries at `places`, in their order."""
        starts = self.exclude_starts.tolist()
        excluded = [self.exclude[starts[place] : starts[place + 1]] for place in places]
        return QueryBatch(
            records=self.records[places],
            vectors=self.vectors[places],
            inverse_norms=self.inverse_norms[places],
            texts=[self.texts[place] for place in places],
            exclude=np.concatenate([NO_KEYS, *excluded]),
            exclude_starts=np.cumsum([0, *map(len, excluded)], dtype=np.int64),
            filters=[self.filters[place] for place in places] if self.filters else (),
        )

    @classmethod
    def joined(cls, batches: Sequence[QueryBatch]) -> QueryBatch:
        """Return the queries of several batches, at least one, as one batch."""
        # Starts count within their batch. The lengths do not, so the new starts are the sums of all lengths.
        lengths = [np.diff(each.exclude_starts) for each in batches]
        return cls(
            records=np.concatenate([each.records for each in batches]),
            vectors=np.concatenate([each.vectors for each in batches]),
            inverse_norms=np.concatenate([each.inverse_norms for each in batches]),
            texts=[text for each in batches for text in each.texts],
            exclude=np.concatenate([each.exclude[: each.exclude_starts[-1]] for each in batches]),
            exclude_starts=np.concatenate([[0], np.cumsum(np.concatenate(lengths))]).astype(np.int64),
            filters=_joined_filters(batches),
        )

    @classmethod
    def of(cls, queries: Sequence[Query], dim: int) -> QueryBatch:
        """Return the queries as arrays, with vectors of `dim` dimensions. Lists are cut to the widths of a record.

        Raises:
            ValueError: a remembered action is none of PAST_TENSES.
        """
        records = np.zeros(len(queries), dtype=QUERY)
        vectors = np.zeros((len(queries), 3, dim), dtype=np.float32)
        for record, own, query in zip(records, vectors, queries, strict=True):
            _fill(record, query)
            for place, vector in enumerate((query.short_term, query.long_term, query.text_vector)):
                if vector is not None:
                    own[place] = vector
        integers = quantise(vectors)
        return cls(
            records=records,
            vectors=integers,
            inverse_norms=inverse_norms(integers.astype(np.float32)),
            texts=[query.text for query in queries],
            exclude=np.concatenate([NO_KEYS, *(query.exclude for query in queries)]),
            exclude_starts=np.cumsum([0, *(len(query.exclude) for query in queries)], dtype=np.int64),
        )


def is_earlier(record: np.void, keys: Keys) -> npt.NDArray[np.bool_]:
    """Return which of some items (n,) the query's shopper saw earlier in a long session, before `session`."""
    # A record has only the lowest 32 bits of these keys, so the keys are cut to 32 bits as well.
    earlier = record["earlier"][: record["earlier_length"]]
    return np.isin(keys.astype(np.uint32), earlier) if len(earlier) else np.zeros(len(keys), dtype=np.bool_)


def _bought(record: np.void) -> Keys:
    """Return the stable keys of the items that the shopper bought, as far as the query has them."""
    recent = record["recent"][: record["recent_length"]]
    bought = recent[record["recent_actions"][: record["recent_length"]] == BOUGHT]
    return np.concatenate([record["habits"][: record["habits_length"]], bought])


def _joined_filters(batches: Sequence[QueryBatch]) -> Sequence[Filters]:
    if not any(each.filters for each in batches):
        return ()
    return [own for each in batches for own in (each.filters or [()] * len(each))]


def _fill(record: np.void, query: Query) -> None:
    habits, recent = query.habits, query.recent[:RECENT]
    record["shopper"] = query.shopper
    _put(record, "session", query.session)
    _put(record, "recent", [remembered.key for remembered in recent])
    _put(record, "habits", habits.keys)
    record["recent_actions"][: len(recent)] = [_place_of(remembered.action) for remembered in recent]
    newest_ms = recent[0].ago_ms if recent else 0
    record["recent_gaps"][: len(recent)] = [gap_bucket(remembered.ago_ms - newest_ms) for remembered in recent]
    record["pause"] = gap_bucket(newest_ms)
    bought = record["habits_length"]
    record["habit_weights"][:bought] = habits.weights[:HABITS]
    record["habit_elapsed_days"][:bought] = habits.elapsed_days[:HABITS]
    record["habit_interval_days"][:bought] = habits.interval_days[:HABITS]
    # A decayed number of purchases above 2 proves three.
    regular = habits.weights > 2 if habits.regular is None else habits.regular
    record["habit_regular"][:bought] = regular[:HABITS]
    for labels, shares, affinities in (
        ("categories", "category_shares", query.categories),
        ("brands", "brand_shares", query.brands),
    ):
        heaviest = _heaviest(affinities)
        _put(record, labels, [label for _, label in heaviest])
        record[shares][: len(heaviest)] = [share for share, _ in heaviest]
    record["price_mean"], record["price_deviation"] = query.price or (np.nan, np.nan)
    record["k"], record["searching"] = query.k, query.text is not None


def _put(record: np.void, name: str, keys: Keys | Sequence[int]) -> None:
    held = keys[: record[name].shape[0]]
    record[name][: len(held)] = held
    record[f"{name}_length"] = len(held)


def _heaviest(affinities: Mapping[int, float]) -> list[tuple[float, int]]:
    """Return the shares and labels of the heaviest LABELS, ties by the greater label."""
    return sorted(((share, label) for label, share in affinities.items()), reverse=True)[:LABELS]


def _place_of(action: str) -> int:
    if action not in PAST_TENSES:
        raise ValueError(f"action: required one of {', '.join(PAST_TENSES)}, got {action!r}")
    return PAST_TENSES.index(action)
