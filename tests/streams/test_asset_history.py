"""The history in Parquet: hours are added once, and queries read the folder and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.asset_history import HistoryFolder
from streams.assets.profile import Profiles
from streams.errors import StreamsError
from streams.exports.questions import QUESTIONS, TABLES
from tests.streams.assets.inventories import messages
from tests.streams.assets.streams import profiles

HOUR_MS = 3_600_000
MIDNIGHT_MS = 1_770_076_800_000


def hours(*numbers: int) -> dict[int, Profiles]:
    return {MIDNIGHT_MS + number * HOUR_MS: profiles(messages()) for number in numbers}


def test_hours_are_added_once_also_across_days(tmp_path: Path) -> None:
    folder = HistoryFolder(tmp_path / "history")
    assert folder.hours() == set()
    assert folder.record(hours(-1, 0, 1)) == [MIDNIGHT_MS + n * HOUR_MS for n in (-1, 0, 1)]
    assert folder.record(hours(0, 1, 2)) == [MIDNIGHT_MS + 2 * HOUR_MS]
    assert folder.record(hours(0)) == []
    assert folder.hours() == set(hours(-1, 0, 1, 2))
    assert sorted(each.name for each in (tmp_path / "history" / "streams").iterdir()) == [
        "2026-02-02.parquet", "2026-02-03.parquet"
    ]  # fmt: skip
    columns, rows = folder.query("SELECT count(*) AS n, sum(messages) AS m, sum(refused) AS r FROM streams")
    assert (columns, rows) == (["n", "m", "r"], [(4 * 5, 4 * 47, 4)])


def test_fields_have_their_profiles(tmp_path: Path) -> None:
    folder = HistoryFolder(tmp_path)
    folder.record(hours(0))
    _, ((present, complete, greatest),) = folder.query(
        "SELECT present, completeness, greatest FROM fields WHERE field = 'price' AND producer = 'web'"
    )
    assert (present, complete, greatest) == (10, 0.5, 38)
    _, personal = folder.query(
        "SELECT field, personal['email'] FROM fields WHERE cardinality(personal) > 0 ORDER BY ALL"
    )
    assert personal == [("context.note", 1)]
    _, frequent = folder.query("SELECT frequent['phone'] FROM fields WHERE field = 'context.device' ORDER BY ALL")
    assert frequent == [(20,), (20,)]


def test_an_hour_whose_recording_crashed_between_the_tables_is_recorded_again(tmp_path: Path) -> None:
    folder = HistoryFolder(tmp_path)
    folder.record(hours(0))
    (tmp_path / "streams" / "2026-02-03.parquet").unlink()
    assert folder.record(hours(0)) == [MIDNIGHT_MS]
    assert folder.query("SELECT count(*) FROM fields WHERE field = 'query'")[1] == [(1,)]


@pytest.mark.parametrize("name", QUESTIONS)
def test_every_question_has_an_answer(name: str, tmp_path: Path) -> None:
    folder = HistoryFolder(tmp_path)
    folder.record(hours(0, 1))
    columns, rows = folder.query(QUESTIONS[name])
    assert columns
    assert rows


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_text('/etc/passwd')",
        "COPY (SELECT 1) TO 'x.csv'",
        "DROP VIEW streams",
        "SET enable_external_access = true",
        "SELECT 1; SELECT 2",
        "INSTALL httpfs",
        "SELECT no_such_column FROM streams",
        "",
    ],
)
def test_a_query_that_does_anything_else_is_refused(sql: str, tmp_path: Path) -> None:
    folder = HistoryFolder(tmp_path)
    folder.record(hours(0))
    with pytest.raises(StreamsError, match="the query"):
        folder.query(sql)
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted(TABLES)


def test_without_a_history_the_error_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(StreamsError, match="assets record"):
        HistoryFolder(tmp_path).query("SELECT 1")


def test_a_folder_with_a_quote_in_its_name_works(tmp_path: Path) -> None:
    folder = HistoryFolder(tmp_path / "it's")
    folder.record(hours(0))
    assert folder.query("SELECT count(DISTINCT hour) FROM streams")[1] == [(1,)]
