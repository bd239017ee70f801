"""`replay` on the shipped model: the same bytes every time, and one clear line for each error."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.contracts.serde import encode_json
from streams.settings_groups import PREFIX
from tests.streams.desk import ITEMS, Desk, assert_one_line, desk_in, happenings


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return desk_in(tmp_path)


def test_every_event_has_its_list_in_order_and_two_runs_write_the_same_bytes(desk: Desk) -> None:
    for output in ("out.jsonl", "again.jsonl"):
        result = desk.replay(output=output)
        assert result.exit_code == 0, result.output
        assert "2 shoppers" in result.output
    assert [each["trigger"]["event_id"] for each in desk.lists()] == [event.event_id for event in happenings()]
    assert [each["user_id"] for each in desk.lists()] == [event.user_id for event in happenings()]
    assert all(each["items"] and each["fallback"] is None for each in desk.lists())
    assert desk.file("out.jsonl").read_bytes() == desk.file("again.jsonl").read_bytes()


def test_k_is_the_length_of_a_list_and_keeps_its_beginning(desk: Desk) -> None:
    for size in ("1", "3"):
        assert desk.replay("-k", size, output=size).exit_code == 0
    assert [len(each["items"]) for each in desk.lists("3")] == [3] * len(happenings())
    assert [each["items"] for each in desk.lists("1")] == [each["items"][:1] for each in desk.lists("3")]


@pytest.mark.parametrize("size", ["0", "1001", "many"])
def test_a_size_that_is_none_is_a_usage_error(desk: Desk, size: str) -> None:
    assert desk.replay("-k", size).exit_code == 2
    assert not desk.file("out.jsonl").exists()


def test_an_empty_file_of_events_gives_an_empty_file(desk: Desk) -> None:
    desk.file("none.jsonl").write_bytes(b"\n")
    assert desk.replay(events="none.jsonl").exit_code == 0
    assert desk.file("out.jsonl").read_bytes() == b""


@pytest.mark.parametrize(
    ("bad", "where"),
    [(b"{", "$"), (b'{"type":"sale"}', "$.type"), (encode_json(ITEMS[0]), "$"), (b"\xff", "$")],
)
def test_a_bad_line_of_events_ends_it_with_its_place(desk: Desk, bad: bytes, where: str) -> None:
    lines = list(map(encode_json, happenings()))
    desk.file("bad.jsonl").write_bytes(b"\n".join([*lines[:2], b"", bad, *lines[2:]]))
    assert_one_line(desk.replay(events="bad.jsonl"), 1, f"{desk.file('bad.jsonl')}:4: {where}")


def test_a_bad_line_of_the_catalogue_ends_both_commands_with_its_place(desk: Desk) -> None:
    desk.file("items.jsonl").write_bytes(encode_json(ITEMS[0]) + b'\n{"item_id":"x"}\n')
    for result in (desk.encode(), desk.replay()):
        assert_one_line(result, 1, f"{desk.file('items.jsonl')}:2: $.title")
    assert not desk.file("vectors.npz").exists()


def test_files_that_are_not_there_are_named_before_the_model_is_loaded(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"{PREFIX}MODEL_PATH", "no-such-model")
    for result in (desk.encode(catalog="gone"), desk.replay(events="gone"), desk.replay("--vectors", "gone")):
        assert result.exit_code == 2
        assert "gone' does not exist" in result.stderr


def test_an_output_that_cannot_be_written_is_one_clear_line(desk: Desk) -> None:
    assert_one_line(desk.replay(output="no-such-folder/out.jsonl"), 2, "no-such-folder")
    assert_one_line(desk.encode(output="no-such-folder/out.npz"), 2, "no-such-folder")
