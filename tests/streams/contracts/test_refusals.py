"""A refusal has all errors of a message, and names keys of mappings and prefixes of schema registries."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.contracts import serde
from streams.contracts.refusals import LARGEST_CHECKED
from streams.errors import InvalidEvent

VIEW = {"type": "view", "event_id": "e", "user_id": "u", "occurred_at": "2026-01-31T12:00:00Z", "item_id": "i"}
ITEM = {"item_id": "i", "title": "Tea"}


def error_of_event(key: bytes | None = b"u", **fields: Any) -> InvalidEvent:
    """Return the error of a view with these fields; None removes a field."""
    value = {name: each for name, each in {**VIEW, **fields}.items() if each is not None}
    with pytest.raises(InvalidEvent) as caught:
        serde.decode_item_action(key, json.dumps(value).encode())
    return caught.value


def error_of_item(**fields: Any) -> InvalidEvent:
    with pytest.raises(InvalidEvent) as caught:
        serde.decode_item(b"i", json.dumps({**ITEM, **fields}).encode())
    return caught.value


def faults(error: InvalidEvent) -> list[tuple[str, str]]:
    return [(each.reason, each.where) for each in (error, *error.others)]


def test_a_refusal_has_all_errors_of_a_message() -> None:
    error = error_of_event(b"v", event_id=None, price="9.50", quantity=0, occurred_at="yesterday", item_id="")
    assert set(faults(error)) == {
        ("missing_field", "$.event_id"),
        ("wrong_type", "$.price"),
        ("out_of_range", "$.quantity"),
        ("wrong_value", "$.occurred_at"),
        ("out_of_range", "$.item_id"),
        ("wrong_key", "key"),
    }
    assert len(faults(error)) == 6
    assert str(error).count("; ") >= 5


def test_a_message_with_one_error_has_no_others() -> None:
    assert faults(error_of_event(price=-1)) == [("out_of_range", "$.price")]
    assert faults(error_of_event(item_id=None)) == [("missing_field", "$.item_id")]
    assert faults(error_of_event(occurred_at="1960-01-01T00:00:00Z")) == [("out_of_range", "$.occurred_at")]
    assert faults(error_of_event(b"v")) == [("wrong_key", "key")]


def test_a_time_out_of_range_comes_with_a_wrong_key() -> None:
    error = error_of_event(b"v", occurred_at="1960-01-01T00:00:00Z")
    assert faults(error) == [("out_of_range", "$.occurred_at"), ("wrong_key", "key")]


@pytest.mark.parametrize("kind", ["viewed", 7, None])
def test_a_message_of_an_unknown_type_is_checked_for_the_fields_of_every_type(kind: object) -> None:
    error = error_of_event(type=kind, user_id=7, event_id=None, price="a")
    assert {where for _, where in faults(error)} == {"$.type", "$.user_id", "$.event_id"}


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"attributes": {"size": "M", "colour": 7}}, '$.attributes["colour"]'),
        ({"attributes": {"a.b [c]": None}}, '$.attributes["a.b [c]"]'),
        ({"attributes": {'a "quote"': 1}}, '$.attributes["a \\"quote\\""]'),
        ({"attributes": {"x" * 200: 1}}, '$.attributes["' + "x" * 63 + "…]"),
        ({"category": ["Home", 1]}, "$.category[1]"),
        ({"attributes": []}, "$.attributes"),
    ],
)
def test_an_error_within_a_field_of_an_item_has_its_place(fields: dict[str, Any], where: str) -> None:
    assert [each for _, each in faults(error_of_item(**fields))] == [where]


@pytest.mark.parametrize(
    ("context", "where"),
    [
        ({"a": 1, "b": {"c": {"d": 1}}}, '$.context["b"]["c"]'),
        ({"a": [1, [2]]}, '$.context["a"][1]'),
        ({"a": 1, "b": 2**64}, '$.context["b"]'),
    ],
)
def test_an_error_within_the_context_has_its_place(context: dict[str, Any], where: str) -> None:
    assert [each for _, each in faults(error_of_event(context=context))] == [where]


@pytest.mark.parametrize("rest", [b'{"type":"view"}', b"\x02\x08avro", b""])
def test_the_prefix_of_a_schema_registry_is_named(rest: bytes) -> None:
    with pytest.raises(InvalidEvent) as caught:
        serde.decode_item_action(b"u", b"\0\0\0\0\x11" + rest)
    assert (caught.value.reason, caught.value.where) == ("not_json", "$")
    assert "got the prefix of a schema registry (0x00 and the schema id 17) in front" in caught.value.detail


def test_utf_16_is_no_prefix_of_a_schema_registry() -> None:
    with pytest.raises(InvalidEvent) as caught:
        serde.decode_item_action(b"u", json.dumps(VIEW).encode("utf-16-be"))
    assert "registry" not in caught.value.detail


def test_a_key_behind_the_prefix_of_a_schema_registry_is_named() -> None:
    error = error_of_event(b"\0\0\0\0\x11u")
    assert error.detail.endswith("got it behind the prefix of a schema registry")


def test_a_large_message_has_its_first_error_only() -> None:
    error = error_of_event(event_id=None, price="9.50", context={"x": "y" * LARGEST_CHECKED})
    assert len(faults(error)) == 1


@given(
    st.dictionaries(
        st.sampled_from([*VIEW, "price", "quantity", "context", "session_id", "x"]),
        st.recursive(
            st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(max_size=9),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
            max_leaves=9,
        ),
    )
)
def test_any_changed_message_is_read_or_refused_with_each_fault_once(fields: dict[str, Any]) -> None:
    refused: list[InvalidEvent] = []
    try:
        serde.decode_item_action(b"u", json.dumps({**VIEW, **fields}).encode())
    except InvalidEvent as error:
        refused = [error]
    for each in refused:
        assert len(set(faults(each))) == len(faults(each))
        assert all("[...]" not in where for _, where in faults(each))


def test_an_error_can_be_pickled() -> None:
    error = error_of_event(event_id=None, user_id=None)
    again = pickle.loads(pickle.dumps(error))
    assert (again.reason, again.where, str(again)) == (error.reason, error.where, str(error))
    assert [each.where for each in again.others] == [each.where for each in error.others]
