"""History of the streams' profiles: Parquet files of a day, written and queried by DuckDB."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streams.assets.fields import REFUSED
from streams.assets.profile import DELAY, SIZE, Stream, StreamProfile
from streams.errors import ConfigurationError, StreamsError
from streams.exports.questions import TABLES

if TYPE_CHECKING:
    import duckdb

HOUR_MS = 3_600_000
Profiles = Mapping[Stream, StreamProfile]
Row = tuple[Any, ...]
RANKS = (0.0, 0.05, 0.5, 0.95, 1.0)
"""Ranks of the quantiles in a row of a field."""


class HistoryFolder:
    """A folder with `streams/DAY.parquet` and `fields/DAY.parquet`. One process may write at a time.

    Raises ConfigurationError if DuckDB is missing.
    """

    def __init__(self, folder: Path) -> None:
        if find_spec("duckdb") is None:
            raise ConfigurationError("the history needs duckdb: pip install 'intentstream[assets]'")
        self._folder = folder

    def hours(self) -> set[int]:
        """Return the starts of the recorded hours, in milliseconds."""
        files = self._files("streams")
        if not files:
            return set()
        with _connected() as database:
            rows = database.execute("SELECT DISTINCT epoch_ms(hour) FROM read_parquet(?)", [files]).fetchall()
        return {hour_ms for (hour_ms,) in rows}

    def record(self, hours: Mapping[int, Profiles]) -> list[int]:
        """Add hours that are not recorded yet, and return them. A file changes as a whole, by one rename."""
        known = self.hours()
        new = sorted(hour_ms for hour_ms in hours if hour_ms not in known)
        by_day: defaultdict[str, list[int]] = defaultdict(list)
        for hour_ms in new:
            by_day[f"{datetime.fromtimestamp(hour_ms / 1000, UTC):%Y-%m-%d}"].append(hour_ms)
        for day, of_day in by_day.items():
            # An hour counts as recorded if it is in the table of streams, so that one is written last.
            for table, rows_of in (("fields", field_rows), ("streams", stream_rows)):
                rows = [row for hour_ms in of_day for row in rows_of(hour_ms, hours[hour_ms])]
                self._append(table, day, rows, of_day)
        return new

    def query(self, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Return the columns and rows of a query on the tables `streams` and `fields`. It reads this folder only.

        Raises StreamsError if there is no history yet, for an error in the query, and if it is not one SELECT.
        """
        import duckdb

        if not self._files("streams"):
            detail = "required a recorded hour; `intentstream assets record` adds each one two hours after its start"
            raise StreamsError(f"{self._folder}: {detail}")
        with _connected() as database:
            for table in TABLES:
                files = ", ".join(_quoted(each) for each in self._files(table))
                database.execute(f"CREATE VIEW {table} AS SELECT * FROM read_parquet([{files}])")  # noqa: S608 - own names
            database.execute(f"SET allowed_directories = [{_quoted(str(self._folder.resolve()))}]")
            database.execute("SET enable_external_access = false")
            database.execute("SET lock_configuration = true")
            try:
                statements = database.extract_statements(sql)
                if [each.type for each in statements] != [duckdb.StatementType.SELECT]:
                    raise StreamsError("the query: required one SELECT, which changes nothing")
                found = database.execute(sql)
                return [name for name, *_ in found.description or ()], found.fetchall()
            except duckdb.Error as error:
                raise StreamsError(f"the query: {error}") from None

    def _append(self, table: str, day: str, rows: Sequence[tuple[Any, ...]], hours: Sequence[int]) -> None:
        path = self._folder.resolve() / table / f"{day}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        columns = TABLES[table]
        staged = path.with_suffix(".new")
        with _connected() as database:
            declared = ", ".join(f"{name} {kind}" for name, kind in columns.items())
            database.execute(f"CREATE TABLE rows ({declared})")
            if path.exists():
                # A crash between the two tables leaves fields of an hour that is not in `streams`: replace them.
                again = "SELECT * FROM read_parquet(?) WHERE NOT list_contains(?, epoch_ms(hour))"
                database.execute(f"INSERT INTO rows {again}", [str(path), list(hours)])
            if rows:
                places = ", ".join("?" for _ in columns)
                database.executemany(f"INSERT INTO rows VALUES ({places})", rows)  # noqa: S608
            order = "hour, topic, type, producer" + (", field" if table == "fields" else "")
            target = f"{_quoted(str(staged))} (FORMAT parquet, COMPRESSION zstd)"
            database.execute(f"COPY (SELECT * FROM rows ORDER BY {order}) TO {target}")  # noqa: S608
        staged.replace(path)

    def _files(self, table: str) -> list[str]:
        return sorted(str(each.resolve()) for each in (self._folder / table).glob("*.parquet"))


def _connected() -> duckdb.DuckDBPyConnection:
    import duckdb

    return duckdb.connect(":memory:", config={"threads": 1, "autoinstall_known_extensions": False})


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def stream_rows(hour_ms: int, profiles: Mapping[Stream, StreamProfile]) -> Iterable[Row]:
    """Yield a row of each stream, with the columns STREAMS."""
    for stream, profile in profiles.items():
        refused = profile.messages if stream.type == REFUSED else 0
        yield (
            _moment(hour_ms), *stream, profile.messages, refused, dict(profile.outcomes), dict(profile.marks),
            _moment(profile.first_ms), _moment(profile.last_ms), _median(profile, SIZE), _median(profile, DELAY),
        )  # fmt: skip


def field_rows(hour_ms: int, profiles: Mapping[Stream, StreamProfile]) -> Iterable[Row]:
    """Yield a row of each field of each stream, with the columns FIELDS."""
    for stream, profile in profiles.items():
        for name, column in profile.columns.items():
            if name in (SIZE, DELAY):
                continue
            quantiles = column.quantiles(RANKS)
            spread = (None,) * len(RANKS) if quantiles is None else quantiles
            distinct = None if column.distinct is None else round(column.distinct)
            frequent = {each.value: each.at_least for each in column.frequent()}
            yield (
                _moment(hour_ms), *stream, name, column.present, profile.completeness(name), distinct, *spread,
                dict(column.types), frequent, dict(column.personal),
            )  # fmt: skip


def _median(profile: StreamProfile, column: str) -> float | None:
    found = profile.columns[column].quantiles((0.5,)) if column in profile.columns else None
    return None if found is None else found[0]


def _moment(at_ms: int) -> datetime | None:
    """Return a time in UTC without a zone, as DuckDB's TIMESTAMP has none."""
    try:
        return datetime.fromtimestamp(at_ms / 1000, UTC).replace(tzinfo=None)
    except (ValueError, OverflowError, OSError):
        return None
