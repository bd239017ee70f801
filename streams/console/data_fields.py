"""The page of a stream: its fields, with their types, completeness, quantiles and frequent values.

Names of open fields and frequent values are untrusted text. Values that identify a shopper are not in the profiles.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from inference.plain_text import printable
from streams.assets.columns import Column
from streams.assets.fields import FIELDS, FieldSpec, Kind
from streams.assets.profile import DELAY, SIZE, StreamProfile
from streams.console.numbers import date_text, number_text
from streams.console.words import gettext

KINDS = {Kind.ID: "id", Kind.LABEL: "label", Kind.TEXT: "text", Kind.NUMBER: "number"}
"""Kinds of the contract's fields for people."""
OPEN_TYPES = {"text": "text", "number": "number", "boolean": "boolean", "list": "list", "object": "object"}
"""Types of the values of open fields for people."""
PERSONAL = {
    "email": "e-mail addresses",
    "phone": "phone numbers",
    "card": "card numbers",
    "address": "postal addresses",
}
"""Classes of personal data for people."""
BY_CONTRACT = {
    "user": "identifies a shopper", "action": "belongs to one shopper", "text": "written by shoppers",
}  # fmt: skip
"""Classes of personal data of the contract's fields, for people."""
FREQUENT = 5
RANKS = (0.0, 0.01, 0.25, 0.5, 0.75, 0.99, 1.0)
BOX_WIDTH = 100.0


@dataclass(frozen=True, slots=True)
class Value:
    """A frequent value, and the share of the messages with the field that have it."""

    text: str
    share: float


@dataclass(frozen=True, slots=True)
class Box:
    """A box plot from the 1st to the 99th percentile, over BOX_WIDTH: the middle half and the median, and the numbers.

    `what` is the meaning of the numbers: a length, or nothing for the values themselves.
    """

    left: float
    right: float
    median: float
    low_text: str
    median_text: str
    high_text: str
    range_text: str
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldRow:
    """A field of a stream.

    Attributes:
        name, kind: its name, and its type for people.
        required: whether the contract requires it.
        now, before: completeness in the last minutes and in the last hours, None without messages.
        distinct: an estimate of the number of distinct values, "" if they are not counted.
        box: the quantiles, None without numbers.
        frequent: the most frequent values.
        personal: the classes of personal data.
        is_found: whether the detector found the personal data, in contrast to the contract.
    """

    name: str
    kind: str
    required: bool
    now: float | None
    before: float | None
    distinct: str
    box: Box | None
    frequent: list[Value]
    personal: str
    is_found: bool


def fields_of(kind: str, now: StreamProfile | None, hours: StreamProfile) -> list[FieldRow]:
    """Return the fields of a stream: those of the contract in its order, then the keys of the open field.

    Args:
        kind: type of the messages.
        now: profile of the last minutes, None without messages.
        hours: profile of the last hours. The values are those of the last hours.
    """
    specs = {spec.name: spec for spec in FIELDS.get(kind, ())}
    names = [*specs, *sorted(name for name in hours.columns if name not in specs and name not in (DELAY, SIZE))]
    return [_row(name, specs.get(name), now, hours) for name in names if name in hours.columns]


def box_of(column: Column, name: str = "", what: str = "") -> Box | None:
    """Return the box plot of a column, None without numbers."""
    found = column.quantiles(RANKS)
    if found is None:
        return None
    least, low, first, median, third, high, most = found
    text = date_text if name == "released_at" else number_text
    width = high - low

    # If all values are equal, the box has no width and is drawn in the middle.
    def place(value: float) -> float:
        return BOX_WIDTH * min(max((value - low) / width, 0.0), 1.0) if width > 0 else BOX_WIDTH / 2

    return Box(
        left=place(first),
        right=place(third),
        median=place(median),
        low_text=text(low),
        median_text=text(median),
        high_text=text(high),
        range_text=f"{text(least)} … {text(most)}",
        what=what,
    )


def _row(name: str, spec: FieldSpec | None, now: StreamProfile | None, hours: StreamProfile) -> FieldRow:
    column = hours.columns[name]
    found = [gettext(PERSONAL.get(each, each)) for each in sorted(column.personal)]
    lengths = spec is not None and spec.kind is Kind.TEXT
    return FieldRow(
        name=printable(name),
        kind=gettext(KINDS[spec.kind]) if spec else _open_type(column.types),
        required=spec is not None and spec.required,
        now=now.completeness(name) if now else None,
        before=hours.completeness(name),
        distinct="" if column.distinct is None else number_text(round(column.distinct)),
        box=box_of(column, name, gettext("characters") if lengths else ""),
        frequent=[
            Value(printable(each.value), min(each.at_least / max(column.present, 1), 1.0))
            for each in column.frequent(FREQUENT)
        ],
        personal=", ".join(found) or _class_of(spec),
        is_found=bool(found),
    )


def _class_of(spec: FieldSpec | None) -> str:
    """Return the class of personal data of a field of the contract, "" for none."""
    if spec is None or not spec.shopper:
        return ""
    if spec.kind is Kind.TEXT:
        return gettext(BY_CONTRACT["text"])
    return gettext(BY_CONTRACT["user" if spec.name == "user_id" else "action"])


def _open_type(types: Mapping[str, int]) -> str:
    """Return the types of an open field's values, most frequent first, with shares if there are several."""
    total = sum(types.values())
    ordered = sorted(types.items(), key=lambda each: (-each[1], each[0]))
    names = [(gettext(OPEN_TYPES.get(name, name)), number / max(total, 1)) for name, number in ordered]
    if len(names) == 1:
        return names[0][0]
    return ", ".join(f"{name} {share:.0%}" for name, share in names)
