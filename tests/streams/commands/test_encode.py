"""The vectors file of `encode` in `replay`: the same lists with it, and one clear line if it does not fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from streams.contracts.serde import encode_json
from tests.streams.desk import ITEMS, Desk, assert_one_line, desk_in


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return desk_in(tmp_path)


def test_encode_writes_every_items_vector_and_replay_answers_the_same_from_them(desk: Desk) -> None:
    assert desk.encode().exit_code == 0
    with np.load(desk.file("vectors.npz")) as file:
        assert file["item_ids"].tolist() == [item.item_id for item in ITEMS]
        assert (file["vectors"].dtype, len(file["vectors"])) == (np.int8, len(ITEMS))
    assert desk.replay().exit_code == 0
    given = desk.replay("--vectors", str(desk.file("vectors.npz")), output="given.jsonl")
    assert given.exit_code == 0, given.output
    assert desk.file("given.jsonl").read_bytes() == desk.file("out.jsonl").read_bytes()


@pytest.mark.parametrize("vectors", ["another model", "another size", "torn", "cut short", "no arrays", "empty"])
def test_vectors_that_do_not_fit_are_named_and_nothing_is_written(desk: Desk, vectors: str) -> None:
    assert desk.encode().exit_code == 0
    path = desk.file("vectors.npz")
    with np.load(path) as file:
        arrays = dict(file)
    match vectors:
        case "another model":
            np.savez(path, **{**arrays, "space": np.array("other-7")})
        case "another size":
            np.savez(path, **{**arrays, "vectors": arrays["vectors"][:, :-1]})
        case "torn":
            content = bytearray(path.read_bytes())
            content[200:400] = bytes(200)
            path.write_bytes(content)
        case "cut short":
            path.write_bytes(path.read_bytes()[:-300])
        case "no arrays":
            np.savez(path, something=np.zeros(3))
        case _:
            path.write_bytes(b"")
    assert_one_line(desk.replay("--vectors", str(path)), 2, f"{path}: required ")
    assert not desk.file("out.jsonl").exists()


@pytest.mark.parametrize("damage", ["one array", "a compression that nobody knows"])
def test_vectors_in_another_dress_are_named(desk: Desk, damage: str) -> None:
    assert desk.encode().exit_code == 0
    path = desk.file("vectors.npz")
    if damage == "one array":
        with path.open("wb") as file:
            np.save(file, np.zeros((8, 384), dtype=np.int8))
    else:
        entries = path.read_bytes().split(b"PK\x01\x02")
        path.write_bytes(b"PK\x01\x02".join([entries[0], *(each[:6] + b"\x4d" + each[7:] for each in entries[1:])]))
    assert_one_line(desk.replay("--vectors", str(path)), 2, f"{path}: required ")


def test_vectors_of_another_model_are_told_from_whose(desk: Desk) -> None:
    assert desk.encode().exit_code == 0
    path = desk.file("vectors.npz")
    with np.load(path) as file:
        np.savez(path, **{**file, "space": np.array("other-7")})
    assert_one_line(desk.replay("--vectors", str(path)), 2, "vectors of shop-minilm-l3-", "got int8 of other-7")


def test_vectors_of_some_items_are_enough_to_begin_with(desk: Desk) -> None:
    desk.file("some.jsonl").write_bytes(b"\n".join(map(encode_json, ITEMS[:3])))
    assert desk.encode(catalog="some.jsonl").exit_code == 0
    assert desk.replay("--vectors", str(desk.file("vectors.npz"))).exit_code == 0
    assert {item["item_id"] for each in desk.lists() for item in each["items"]} > {"i5", "i6"}
