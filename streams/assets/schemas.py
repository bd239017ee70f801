"""The fields of messages and their profiles, for the inventory. No I/O."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, get_args

import msgspec
from msgspec import inspect

from streams.assets.columns import Column
from streams.assets.fields import FIELDS, OPEN_FIELDS, Kind
from streams.assets.inventory import Field, Frequent, Spread
from streams.assets.profile import StreamProfile
from streams.assets.registry import PERSONAL_FIELDS, STRICTEST, AssetSpec

RANKS = (0.0, 0.05, 0.5, 0.95, 1.0)
_TYPES: dict[type[inspect.Type], str] = {
    inspect.StrType: "text", inspect.LiteralType: "text", inspect.IntType: "number", inspect.FloatType: "number",
    inspect.BoolType: "boolean", inspect.DateTimeType: "time", inspect.BytesType: "bytes",
    inspect.ListType: "list", inspect.TupleType: "list", inspect.VarTupleType: "list",
    inspect.DictType: "object", inspect.StructType: "object",
}  # fmt: skip
_SHOPPERS = ("shopper", "pseudonym")


def contract_fields(spec: AssetSpec) -> tuple[Field, ...]:
    """Return the fields of an asset's messages by their contract, without a profile."""
    if spec.message is None:
        return tuple(Field(name=part, types=("bytes",), personal=spec.personal) for part in spec.parts)
    message = (get_args(spec.message) or (spec.message,))[0]
    found: Any = inspect.type_info(message)
    tag = [Field(name=found.tag_field, types=("text",), required=True)] if found.tag_field else []
    return (
        *tag,
        *(
            Field(
                name=each.encode_name,
                types=tuple(_types(each.type)),
                required=each.required,
                personal=_personal(each.encode_name, spec),
            )
            for each in found.fields
        ),
    )


def profiled_fields(contract: Iterable[Field], kind: str, profile: StreamProfile) -> tuple[Field, ...]:
    """Return the fields of a type of message with their profiles: the contract's, then the observed keys."""
    open_field = OPEN_FIELDS[kind]
    by_name = {spec.name: spec for spec in FIELDS[kind]}
    fields = []
    for field in contract:
        column = profile.columns.get(field.name)
        fields.append(field if column is None else _profiled(field, by_name[field.name].kind, column, profile))
    open_keys = [name for name in profile.columns if name.startswith(f"{open_field}.")]
    return (*fields, *(open_key(name, profile) for name in sorted(open_keys)))


def open_key(name: str, profile: StreamProfile) -> Field:
    """Return a key of an open field: its types are those that were observed."""
    column = profile.columns[name]
    types = tuple(kind for kind, _ in column.types.most_common())
    return _profiled(Field(name=name, types=types, personal="open"), Kind.LABEL, column, profile)


def strictest(classes: Iterable[str]) -> str:
    """Return the strictest of several classes of personal data."""
    return max(classes, key=STRICTEST.index, default="none")


def _profiled(field: Field, kind: Kind, column: Column, profile: StreamProfile) -> Field:
    values = column.quantiles(RANKS)
    personal = strictest([field.personal, *(["found"] if column.personal else [])])
    return msgspec.structs.replace(
        field,
        personal=personal,
        found=dict(column.personal),
        examined=column.examined,
        completeness=profile.completeness(field.name),
        distinct=None if column.distinct is None else round(column.distinct),
        frequent=tuple(
            Frequent(value=each.value, at_least=each.at_least, at_most=each.at_most) for each in column.frequent()
        ),
        spread=None if values is None else _spread("length" if kind is Kind.TEXT else "number", values),
    )


def _spread(of: Literal["length", "number"], values: list[float]) -> Spread:
    least, low, median, high, greatest = values
    return Spread(of=of, least=least, low=low, median=median, high=high, greatest=greatest)


def _types(found: inspect.Type) -> list[str]:
    parts = found.types if isinstance(found, inspect.UnionType) else (found,)
    names = [_TYPES.get(type(each), "") for each in parts]
    return list(dict.fromkeys(name for name in names if name)) or ["object"]


def _personal(name: str, spec: AssetSpec) -> str:
    return PERSONAL_FIELDS.get(name, "none") if spec.personal in _SHOPPERS else "none"
