"""Profiles of streams: what they count, that they merge without loss, and that their memory is bounded."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from inference.types import Item
from streams.assets.columns import MOST_TEXT, Column
from streams.assets.profile import (
    DELAY,
    DISORDER,
    MOST_KEYS,
    MOST_STREAMS,
    OTHER_PRODUCERS,
    SIZE,
    UNKNOWN_ITEM,
    Observation,
    Profiles,
    Stream,
    StreamProfile,
    StreamRecord,
)
from tests.streams.assets.streams import observed, profiles
from tests.streams.shoppers import NOW_MS, act, search, unit_vector

CLICKS, SEARCHES = Stream("clicks", "click", "web"), Stream("searches", "search", "web")
ITEMS = Stream("items", "item", "web")


def numbers(column: Column, *ranks: float) -> list[Any]:
    return list(column.quantiles(ranks) or [])


def clicks(number: int, **context: object) -> list[Observation]:
    return [
        observed(
            msgspec.structs.replace(
                act("click", f"i{place % 7}", NOW_MS + place, user_id=f"u{place % 40}"),
                price=None if place % 4 == 0 else float(place),
                context=context,
            )
        )
        for place in range(number)
    ]


def test_a_profile_counts_the_messages_of_a_stream_and_describes_their_fields() -> None:
    profile = profiles(clicks(400, device="phone", page=3, beta=True))[CLICKS]
    assert (profile.messages, profile.readable, profile.outcomes) == (400, 400, {"ok": 400})
    assert (profile.first_ms, profile.last_ms) == (NOW_MS + 250, NOW_MS + 649)
    assert profile.columns["user_id"].distinct == pytest.approx(40, rel=0.1)
    assert {each.value: each.at_least for each in profile.columns["item_id"].frequent()}["i0"] == 58
    assert profile.completeness("price") == 0.75
    assert profile.completeness("session_id") == 0
    assert profile.completeness("no such field") == 0
    assert numbers(profile.columns["price"], 0, 0.5, 1) == [1, pytest.approx(200, abs=12), 399]
    assert list(profile.columns["price"].shares_below([200.0]) or []) == pytest.approx([0.5], abs=0.05)
    assert profile.columns[DELAY].quantiles([0, 1]) == [0.25, 0.25]
    assert numbers(profile.columns[SIZE], 0.5) == [pytest.approx(180, abs=60)]
    context = {name: dict(profile.columns[f"context.{name}"].types) for name in ("device", "page", "beta")}
    assert context == {"device": {"text": 400}, "page": {"number": 400}, "beta": {"boolean": 400}}
    assert profile.columns["context.device"].frequent() == [("phone", 400, 400)]


def test_searches_have_lengths_and_a_mean_vector_and_their_texts_are_not_kept() -> None:
    texts = ["red shoes", "blue shoes", "a tent"]
    searches = [observed(search(text), vector=unit_vector(text)) for text in texts]
    profile = profiles(searches)[SEARCHES]
    assert profile.columns["query"].quantiles([0, 1]) == [6, 10]
    assert profile.columns["query"].frequent() == []
    assert profile.vector_count == 3
    assert profile.vectors is not None
    np.testing.assert_allclose(profile.vectors, np.sum([*map(unit_vector, texts)], axis=0), atol=1e-5)


def test_refused_messages_count_by_reason_and_have_no_fields() -> None:
    stream = Stream("clicks", "refused", "app")
    refused = [
        Observation(stream, None, 17, 0, NOW_MS + n, reason) for n, reason in enumerate(["not_json", "empty"] * 3)
    ]
    profile = profiles(refused)[stream]
    assert (profile.messages, profile.readable, dict(profile.outcomes)) == (6, 0, {"not_json": 3, "empty": 3})
    assert list(profile.columns) == [SIZE]
    assert profile.completeness("user_id") is None


def test_marks_count_unknown_items_and_actions_before_those_of_the_message_before() -> None:
    late = [
        observed(act("click", "i", NOW_MS + at_ms), partition=part) for at_ms, part in [(0, 0), (5, 1), (3, 1), (4, 0)]
    ]
    marked = [late[0]._replace(marks=(UNKNOWN_ITEM,)), *late[1:]]
    assert profiles(marked)[CLICKS].marks == {UNKNOWN_ITEM: 1, DISORDER: 1}


def test_items_are_profiled_with_their_attributes() -> None:
    items = [
        Item(
            item_id=f"i{n}",
            title="A tent",
            category=("Camping", "Tents"),
            attributes={"colour": "red"} if n % 2 else {},
        )
        for n in range(10)
    ]
    profile = profiles([observed(item) for item in items])[ITEMS]
    assert profile.columns["category"].frequent() == [("Camping > Tents", 10, 10)]
    assert profile.completeness("attributes.colour") == 0.5
    assert profile.completeness("title") == 1
    assert profile.columns["in_stock"].frequent() == [("true", 10, 10)]
    assert DELAY not in profile.columns


@pytest.mark.parametrize("at_once", [1, 7, 1000])
def test_parts_of_a_stream_merge_to_the_whole_also_as_bytes(at_once: int) -> None:
    every = clicks(300, device="phone") + [observed(search(f"q{n}"), vector=unit_vector(f"q{n}")) for n in range(20)]
    whole, merged, examined = profiles(every), Profiles(), 0
    for start in range(0, len(every), at_once):
        part = profiles(every[start : start + at_once])
        examined += part[CLICKS].columns["context.device"].examined if CLICKS in part else 0
        records = {stream: msgspec.msgpack.encode(profile.record()) for stream, profile in part.items()}
        decoded = {stream: msgspec.msgpack.decode(data, type=StreamRecord) for stream, data in records.items()}
        merged.merge({stream: StreamProfile.of(record) for stream, record in decoded.items()})
    assert merged.keys() == whole.keys()
    assert whole[CLICKS].columns["context.device"].types == {"text": 300}
    # A text that repeats in a part is examined once there.
    assert merged[CLICKS].columns["context.device"].examined == examined > 0
    for stream, profile in whole.items():
        other = merged[stream]
        assert (other.messages, other.readable, other.outcomes) == (
            profile.messages,
            profile.readable,
            profile.outcomes,
        )
        assert (other.first_ms, other.last_ms, other.vector_count) == (
            profile.first_ms, profile.last_ms, profile.vector_count
        )  # fmt: skip
        assert other.columns.keys() == profile.columns.keys()
        for name, column in profile.columns.items():
            assert other.columns[name].present == column.present
            assert other.columns[name].types == column.types
            assert other.columns[name].distinct == (
                None if column.distinct is None else pytest.approx(column.distinct, rel=0.02)
            )
            assert other.columns[name].frequent(50) == column.frequent(50)
            assert other.columns[name].quantiles([0, 1]) == column.quantiles([0, 1])


def test_keys_producers_and_values_beyond_the_limits_share_a_place() -> None:
    every = clicks(10, **{f"key{n}": "v" * 1000 for n in range(60)})
    every += [observed(act("view", "i"), producer=f"p{n}") for n in range(2 * MOST_STREAMS)]
    made = profiles(every)
    assert len(made) <= MOST_STREAMS + 1
    assert made[Stream("clicks", "view", OTHER_PRODUCERS)].messages == MOST_STREAMS + 1
    columns = made[CLICKS].columns
    assert sum(name.startswith("context.") for name in columns) == MOST_KEYS + 1
    assert columns["context.*"].present == 10 * (60 - MOST_KEYS)
    assert made[CLICKS].completeness("context.*") == 1
    assert {len(each.value) for each in columns["context.key0"].frequent()} == {MOST_TEXT}


def test_merging_keeps_the_bound_on_keys() -> None:
    merged = Profiles()
    for start in range(0, 200, 10):
        merged.merge(profiles(clicks(3, **{f"key{n}": 1 for n in range(start, start + 10)})))
    assert sum(name.startswith("context.") for name in merged[CLICKS].columns) == MOST_KEYS + 1


def test_a_column_with_personal_data_keeps_no_values() -> None:
    every = clicks(5, note="gift") + clicks(5, note="write to jo@example.com") + clicks(5, note="gift")
    column = profiles(every, at_once=5)[CLICKS].columns["context.note"]
    assert column.personal == {"email": 1}
    assert column.frequent() == []
    assert column.record().frequent == b""
    clean = profiles(clicks(5, note="gift"))
    clean.merge({CLICKS: profiles(every)[CLICKS]})
    assert clean[CLICKS].columns["context.note"].frequent() == []


def test_each_value_that_is_kept_was_searched_for_personal_data() -> None:
    values = [f"gift {number}" for number in range(20)]
    every = [each for value in (*values, "write to jo@example.com") for each in clicks(1, note=value)]
    column = profiles(every)[CLICKS].columns["context.note"]
    assert (column.personal, column.examined) == ({"email": 1}, 21)
    assert column.record().frequent == b""


def test_a_key_that_is_personal_data_is_not_kept() -> None:
    columns = profiles(clicks(3, **{"jo@example.com": "yes", "note": "no"}))[CLICKS].columns
    assert {name for name in columns if name.startswith("context.")} == {"context.*", "context.note"}


def test_numbers_beyond_32_bits_and_odd_values_of_open_fields_break_nothing() -> None:
    odd = clicks(2, huge=1e300, many=["a", 1], nested={"x": 1}, nothing=None, whole=2**62)
    columns = profiles(odd)[CLICKS].columns
    assert numbers(columns["context.huge"], 1) == [pytest.approx(3.4e38, rel=0.01)]
    assert (columns["context.many"].types, columns["context.nested"].types) == ({"list": 2}, {"object": 2})
    assert "context.nothing" not in columns


def test_unreadable_sketches_are_refused() -> None:
    record = profiles(clicks(3))[CLICKS].record()
    for field in ("distinct", "quantiles", "frequent"):
        column = msgspec.structs.replace(record.columns["item_id"], **{field: b"\xff" * 40})
        broken = msgspec.structs.replace(record, columns={"item_id": column})
        with pytest.raises(ValueError, match="required sketches"):
            StreamProfile.of(broken)
