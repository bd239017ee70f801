"""Files of interactions and items: lazy reading, and errors with file and line."""

from __future__ import annotations

import codecs
import gzip
import io
import json
import pickle
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from streams.contracts.jsonlines import read_events, read_items, read_messages
from streams.contracts.serde import decode_interaction, decode_item
from streams.errors import ConfigurationError, InvalidEvent, InvalidLine
from tests.streams.strategies import ITEM, SEARCH, VIEW

LINES = [json.dumps(message).encode() for message in (VIEW, SEARCH, ITEM)]


def written(path: Path, *lines: bytes) -> Path:
    path.write_bytes(b"\n".join(lines))
    return path


def test_a_line_becomes_a_kafka_message(tmp_path: Path) -> None:
    view, search = read_events(written(tmp_path / "events.jsonl", LINES[0] + b"\r", b"", b"  ", LINES[1]))
    assert (view.topic, view.number, view.value) == ("clicks", 1, LINES[0])
    assert (search.topic, search.number, search.value) == ("searches", 4, LINES[1])
    for line in (view, search):
        assert decode_interaction(line.key, line.value) == line.message


def test_a_mixed_file_is_split_by_message_type(tmp_path: Path) -> None:
    path = written(tmp_path / "all.jsonl", *LINES)
    lines = list(read_messages(path))
    assert [line.topic for line in lines] == ["clicks", "searches", "items"]
    assert decode_item(lines[2].key, lines[2].value) == lines[2].message


@pytest.mark.parametrize(
    ("field", "producer"),
    [(b"", ""), (b', "ce_source": "shop-app"', "shop-app"), (b', "ce_source": 7', ""), (b', "ce_source": "\xff"', "")],
)
def test_a_line_may_name_its_producer_which_is_no_part_of_the_message(
    tmp_path: Path, field: bytes, producer: str
) -> None:
    (line,) = read_events(written(tmp_path / "events.jsonl", LINES[0][:-1] + field + b"}"))
    assert line.producer == producer
    assert line.message == decode_interaction(line.key, LINES[0])


def test_a_compressed_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl.gz"
    path.write_bytes(gzip.compress(LINES[2] + b"\n" + LINES[2] + b"\n"))
    assert [line.message.item_id for line in read_items(path)] == ["sku-1", "sku-1"]


@pytest.mark.parametrize("name", ["items.GZ", "items"])
def test_compression_is_found_by_the_contents(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(LINES[2] + b"\n"))
    assert [line.message.item_id for line in read_items(path)] == ["sku-1"]
    plain = written(tmp_path / "plain.gz", LINES[2])
    assert [line.message.item_id for line in read_items(plain)] == ["sku-1"]


def test_a_byte_order_mark_is_skipped(tmp_path: Path) -> None:
    path = written(tmp_path / "items.jsonl", codecs.BOM_UTF8 + LINES[2], LINES[2])
    assert [line.number for line in read_items(path)] == [1, 2]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
def test_utf_16_is_refused_by_name(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "items.jsonl"
    mark = codecs.BOM_UTF16_BE if encoding == "utf-16-be" else b""
    path.write_bytes(mark + LINES[2].decode().encode(encoding))
    with pytest.raises(ConfigurationError, match=r"items.jsonl:1: required JSON Lines in UTF-8, got UTF-16"):
        list(read_items(path))


def test_a_line_beyond_the_largest_message_is_refused_with_its_number_and_the_next_one_is_read(tmp_path: Path) -> None:
    long = json.dumps({**ITEM, "title": "t" * 5_000_000}).encode()
    path = written(tmp_path / "items.jsonl", LINES[2], long, LINES[2])
    refused: list[InvalidLine] = []
    assert [line.number for line in read_messages(path, refused.append)] == [1, 3]
    (error,) = refused
    assert str(error).endswith("items.jsonl:2: $: required a line of at most 1000000 bytes, got more")


def test_a_dash_reads_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(LINES[1] + b"\nx")))
    lines = read_events("-")
    assert next(lines).message.user_id == "Zoë"
    with pytest.raises(InvalidLine, match=r"^-:2: \$: required JSON"):
        next(lines)


def test_lines_are_read_lazily(tmp_path: Path) -> None:
    lines = read_events(written(tmp_path / "events.jsonl", LINES[0], b"{", LINES[1]))
    assert next(lines).number == 1
    with pytest.raises(InvalidLine):
        next(lines)


@pytest.mark.parametrize(
    ("bad", "where", "detail"),
    [
        (LINES[0].replace(b"9.5", b"-9.5"), "$.price", "required number >= 0.0, got -9.5"),
        (b'{"type": null, "title": "x"}', "$.type", "required string, got null"),
        (b'{"item_id": "sku-1"}', "$.title", "required, and not there"),
        (b"\xff", "$", "required JSON"),
        (b"[]", "$", "required object, got array"),
        (b"{", "$", "required JSON"),
    ],
)
def test_an_error_has_the_file_and_the_line(tmp_path: Path, bad: bytes, where: str, detail: str) -> None:
    path = written(tmp_path / "all.jsonl", LINES[0], b"", bad)
    with pytest.raises(InvalidLine) as caught:
        list(read_messages(path))
    assert str(caught.value).startswith(f"{path}:3: {where}: {detail}")
    assert isinstance(caught.value, InvalidEvent)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_an_item_among_events_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidLine, match=r":1: \$\.type: required, and not there"):
        list(read_events(written(tmp_path / "events.jsonl", LINES[2])))


def test_an_unreadable_file_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "cut.gz").write_bytes(gzip.compress(LINES[0] * 50)[:-20])
    damaged = bytearray(gzip.compress(LINES[0] * 50))
    damaged[20:24] = b"\xff\xff\xff\xff"
    (tmp_path / "damaged.gz").write_bytes(damaged)
    for name, cause in (
        ("missing.jsonl", "No such file"),
        (".", "Is a directory"),
        ("cut.gz", "ended before"),
        ("damaged.gz", "Error -3"),
    ):
        with pytest.raises(ConfigurationError, match=f"required a readable file of JSON Lines, got: .*{cause}"):
            list(read_events(tmp_path / name))
