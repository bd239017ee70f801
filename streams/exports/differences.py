"""The differences of two inventories: of two days, two installations, or before and after a release."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from streams.assets.inventory import Asset, Field, Inventory
from streams.assets.registry import STRICTEST

Weight = Literal["breaks", "check", "note"]
COMPLETENESS = 0.05
"""Least change of a field's completeness that is reported."""
_FACTS = ("purpose", "owner", "key", "partitions", "retention_hours", "is_compacted", "part_of")


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """A difference.

    Attributes:
        asset: id of the asset.
        what: the fact or the field, as `price: completeness`.
        before, after: the values as texts, empty for none.
        weight: `breaks` for a topic, table or required field that is gone, or a type that changed; `check` for more
            personal data, a missing producer or a change of completeness; `note` for others.
    """

    asset: str
    what: str
    before: str
    after: str
    weight: Weight


def differences(before: Inventory, after: Inventory) -> tuple[Difference, ...]:
    """Return the differences, those that break something first. Counts, rates and times are no differences."""
    old, new = ({each.id: each for each in inventory.assets} for inventory in (before, after))
    found = [
        *(_gone(old[name]) for name in old.keys() - new.keys()),
        *(_difference(name, "asset", "", new[name].name, "note") for name in new.keys() - old.keys()),
        *(each for name in old.keys() & new.keys() for each in _of_asset(old[name], new[name])),
    ]
    edges = [{(each.source, each.target) for each in inventory.lineage.edges} for inventory in (before, after)]
    found += [_difference(source, "feeds", target, "", "check") for source, target in edges[0] - edges[1]]
    found += [_difference(source, "feeds", "", target, "note") for source, target in edges[1] - edges[0]]
    weights = ("breaks", "check", "note")
    return tuple(sorted(found, key=lambda each: (weights.index(each.weight), each.asset, each.what, each.after)))


def _gone(asset: Asset) -> Difference:
    is_observed = asset.kind in ("event", "context", "attribute", "model")
    return _difference(asset.id, "asset", asset.name, "", "check" if is_observed else "breaks")


def _of_asset(old: Asset, new: Asset) -> Iterable[Difference]:
    for fact in _FACTS:
        before, after = getattr(old, fact), getattr(new, fact)
        if before != after and None not in (before, after):
            yield _difference(new.id, fact.replace("_", " "), _text(before), _text(after), _weight_of(fact))
    if old.personal != new.personal:
        is_more = STRICTEST.index(new.personal) > STRICTEST.index(old.personal)
        yield _difference(new.id, "personal data", old.personal, new.personal, "check" if is_more else "note")
    producers = [{each.name for each in asset.producers if each.messages is not None} for asset in (old, new)]
    for name in producers[0] - producers[1]:
        yield _difference(new.id, "producer", name, "", "check")
    for name in producers[1] - producers[0]:
        yield _difference(new.id, "producer", "", name, "note")
    fields = [{each.name: each for each in asset.fields} for asset in (old, new)]
    for name in fields[0].keys() - fields[1].keys():
        yield _difference(new.id, name, "field", "", "breaks" if fields[0][name].required else "check")
    for name in fields[1].keys() - fields[0].keys():
        yield _difference(new.id, name, "", "field", "note")
    for name in fields[0].keys() & fields[1].keys():
        yield from _of_field(new.id, fields[0][name], fields[1][name])


def _of_field(asset: str, old: Field, new: Field) -> Iterable[Difference]:
    if set(old.types) != set(new.types) and old.types and new.types:
        is_wider = set(old.types) <= set(new.types)
        yield _difference(
            asset, f"{new.name}: type", _text(old.types), _text(new.types), "check" if is_wider else "breaks"
        )
    if old.required != new.required:
        yield _difference(asset, f"{new.name}: required", _text(old.required), _text(new.required), "breaks")
    if set(new.found) - set(old.found):
        yield _difference(
            asset, f"{new.name}: personal data", _text(sorted(old.found)), _text(sorted(new.found)), "check"
        )
    if None not in (old.completeness, new.completeness):
        before, after = old.completeness or 0.0, new.completeness or 0.0
        if abs(before - after) >= COMPLETENESS:
            weight: Weight = "check" if after < before else "note"
            yield _difference(asset, f"{new.name}: completeness", f"{before:.1%}", f"{after:.1%}", weight)


def _weight_of(fact: str) -> Weight:
    return (
        "breaks" if fact in ("key", "partitions", "is_compacted") else "check" if fact == "retention_hours" else "note"
    )


def _difference(asset: str, what: str, before: str, after: str, weight: Weight) -> Difference:
    return Difference(asset=asset, what=what, before=before, after=after, weight=weight)


def _text(value: object) -> str:
    if isinstance(value, tuple | list):
        return ", ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
