"""JSON Schema of the public messages, with the observed keys of `context` and `attributes`."""

from __future__ import annotations

from typing import Any

from streams.assets.inventory import Asset, Inventory
from streams.contracts.schema import schemas

_TYPES = {"text": "string", "number": "number", "boolean": "boolean", "list": "array", "object": "object"}
OPEN = {"clicks": "context", "searches": "context", "items": "attributes"}


def observed_schemas(inventory: Inventory) -> dict[str, dict[str, Any]]:
    """Return the schema of each public message, as `streams.contracts.schema` has it.

    The definitions that have an open field list its observed keys under `properties`, with their types. Other keys
    stay allowed: the contract is open, so a message with a new key is valid.
    """
    found = schemas()
    for name, field in OPEN.items():
        asset = inventory.asset(f"topic/{name}")
        keys = {} if asset is None else _keys(asset, field)
        if keys:
            for definition in [found[name], *found[name]["$defs"].values()]:
                if field in definition.get("properties", {}):
                    definition["properties"][field]["properties"] = keys
    return found


def _keys(asset: Asset, field: str) -> dict[str, Any]:
    observed = [each for each in asset.fields if each.name.startswith(f"{field}.") and not each.name.endswith(".*")]
    return {
        each.name.partition(".")[2]: {
            "type": [*(_TYPES[kind] for kind in each.types), "null"] if each.types else ["string", "null"],
            "description": f"observed in {each.completeness:.1%} of the messages" if each.completeness else "observed",
        }
        for each in observed
    }
