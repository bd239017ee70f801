"""The public topics as an AsyncAPI 3.0 document: channels, messages and schemas, operations, bindings of Kafka."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import msgspec

from streams.assets.inventory import Inventory
from streams.assets.registry import TOPICS, AssetSpec
from streams.contracts.messages import PRODUCER_HEADER
from streams.contracts.schema import MESSAGES, cleaned

Document = dict[str, Any]

ABOUT = """\
A streaming recommender for shops: shoppers' actions and the catalogue in, ranked lists out. Operations are those of
Intentstream itself: it receives what the shop sends, and sends what the shop receives.
"""
BINDING = "0.5.0"
"""Version of the Kafka bindings."""
HOUR_MS = 3_600_000


def asyncapi(inventory: Inventory, bootstrap_servers: str, *, is_encrypted: bool) -> Document:
    """Return the document. Names, partitions and retention are those of the inventory.

    `bootstrap_servers` are HOST:PORT,HOST:PORT; each becomes a server.
    """
    kinds = [kind for kind, _ in MESSAGES.values()]
    payloads, schemas = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    servers = {
        f"kafka{number}": {"host": host.strip(), "protocol": "kafka-secure" if is_encrypted else "kafka"}
        for number, host in enumerate(bootstrap_servers.split(","))
    }
    document: Document = {
        "asyncapi": "3.0.0",
        "id": f"urn:intentstream:{inventory.app_id}",
        "info": {
            "title": "Intentstream",
            "version": version("intentstream"),
            "description": ABOUT,
            "license": {"name": "Apache 2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": servers,
        "channels": {name: _channel(name, inventory) for name in MESSAGES},
        "operations": {
            f"{action}-{name}": {
                "action": action,
                "channel": {"$ref": f"#/channels/{name}"},
                "messages": [{"$ref": f"#/channels/{name}/messages/{name}"}],
                **({"bindings": _group(inventory)} if action == "receive" else {}),
            }
            for name in MESSAGES
            for action in [_action(_spec(name))]
        },
        "components": {
            "messages": {
                name: _message(name, text, payload)
                for (name, (_, text)), payload in zip(MESSAGES.items(), payloads, strict=True)
            },
            "schemas": schemas,
        },
    }
    described: Document = without_discriminators(cleaned(document))
    return described


def without_discriminators(node: Any) -> Any:
    """Return a schema without OpenAPI's objects `discriminator`: the constant `type` of each class does the same."""
    if isinstance(node, dict):
        kept = {key: value for key, value in node.items() if key != "discriminator"}
        return {key: without_discriminators(value) for key, value in kept.items()}
    return [without_discriminators(each) for each in node] if isinstance(node, list) else node


def logical(name: str) -> str:
    """Return the name of a message's topic in the registry."""
    return name.replace("-", "_")


def _spec(name: str) -> AssetSpec:
    return TOPICS[logical(name)]


def _action(spec: AssetSpec) -> str:
    return "receive" if "workers" in spec.consumers else "send"


def _channel(name: str, inventory: Inventory) -> Document:
    asset = inventory.asset(f"topic/{logical(name)}")
    if asset is None:
        raise AssertionError(f"the inventory has all topics, got none for {name}")
    topic: Document = {"topic": asset.name, "bindingVersion": BINDING}
    if asset.partitions is not None:
        topic["partitions"] = asset.partitions
    settings: Document = {}
    if asset.is_compacted is not None:
        settings["cleanup.policy"] = [*(["compact"] if asset.is_compacted else []), *(_deletes(asset.retention_hours))]
    if asset.retention_hours is not None:
        settings["retention.ms"] = round(asset.retention_hours * HOUR_MS)
    if settings.get("cleanup.policy"):
        topic["topicConfiguration"] = settings
    return {
        "address": asset.name,
        "title": name,
        "description": f"{asset.purpose}. Owner: {asset.owner}. Personal data: {asset.personal}.",
        "messages": {name: {"$ref": f"#/components/messages/{name}"}},
        "bindings": {"kafka": topic},
    }


def _deletes(retention_hours: float | None) -> list[str]:
    return [] if retention_hours is None else ["delete"]


def _group(inventory: Inventory) -> Document:
    return {"kafka": {"groupId": {"type": "string", "enum": [inventory.app_id]}, "bindingVersion": BINDING}}


def _message(name: str, text: str, payload: Document) -> Document:
    spec = _spec(name)
    message: Document = {
        "name": name,
        "title": name,
        "summary": text,
        "contentType": "application/json",
        "payload": payload,
        "bindings": {"kafka": {"key": {"type": "string", "description": spec.key}, "bindingVersion": BINDING}},
    }
    if spec.owner == "shop":
        message["headers"] = {
            "type": "object",
            "properties": {PRODUCER_HEADER: {"type": "string", "description": "name of the producer"}},
        }
    return message
