"""Topics as data contracts of the Open Data Contract Standard 3.1 (ODCS): schema, classes, service level, quality."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from streams.assets.inventory import Asset, Field, Inventory
from streams.assets.registry import TOPICS
from streams.contracts.schema import MESSAGES

Contract = dict[str, Any]

API_VERSION = "v3.1.0"
_TYPES = {
    "text": "string", "number": "number", "boolean": "boolean", "time": "timestamp", "list": "array",
    "object": "object", "bytes": "string",
}  # fmt: skip
CLASSIFICATION = {"none": "public", "aggregate": "internal", "open": "internal", "free text": "confidential"}
"""Classification by class of personal data; the others are restricted."""


def contracts(inventory: Inventory, bootstrap_servers: str) -> dict[str, Contract]:
    """Return a contract for each public topic, by the name of its message.

    Keys of `context` and `attributes` are properties with the types that were observed. Completeness becomes a rule of
    quality only if the contract requires the field: what is merely observed is no promise.
    """
    made = {}
    for name in MESSAGES:
        asset = inventory.asset(f"topic/{name.replace('-', '_')}")
        if asset is not None:
            made[name] = _contract(name, asset, inventory, bootstrap_servers)
    return made


def _contract(name: str, asset: Asset, inventory: Inventory, bootstrap_servers: str) -> Contract:
    service: list[Contract] = []
    if asset.retention_hours is not None:
        service.append({"property": "retention", "value": asset.retention_hours, "unit": "h", "element": name})
    contract: Contract = {
        "apiVersion": API_VERSION,
        "kind": "DataContract",
        "id": str(uuid5(NAMESPACE_URL, f"urn:intentstream:{inventory.app_id}:{asset.id}")),
        "name": name,
        "version": version("intentstream"),
        "status": "active",
        "description": {"purpose": f"{asset.purpose}.", "usage": f"Owner: {asset.owner}. The key is the {asset.key}."},
        "servers": [{"server": "kafka", "type": "kafka", "host": bootstrap_servers, "format": "json"}],
        "schema": [
            {
                "name": name,
                "physicalName": asset.name,
                "logicalType": "object",
                "physicalType": "topic",
                "description": MESSAGES[name][1],
                "properties": [_property(field) for field in asset.fields],
            }
        ],
        "customProperties": [
            {"property": "personalData", "value": asset.personal},
            {"property": "consumers", "value": ", ".join(TOPICS[name.replace("-", "_")].consumers)},
        ],
    }
    if asset.partitions is not None:
        contract["customProperties"].append({"property": "partitions", "value": asset.partitions})
    if service:
        contract["slaProperties"] = service
    return contract


def _property(field: Field) -> Contract:
    found: Contract = {
        "name": field.name,
        "logicalType": _TYPES.get(field.types[0], "object") if field.types else "object",
        "physicalType": " or ".join(field.types) or "unknown",
        "required": field.required,
        "classification": CLASSIFICATION.get(field.personal, "restricted"),
    }
    if found["logicalType"] == "array":
        found["items"] = {"logicalType": "object"}
    if field.required:
        found["quality"] = [{"type": "library", "metric": "nullValues", "mustBe": 0}]
    return found
