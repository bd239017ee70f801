"""Exports of the inventory: valid by the schemas of their formats, and complete."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import msgspec
import pytest

from streams.assets.inventory import Inventory
from streams.contracts.schema import MESSAGES
from streams.exports.asyncapi import asyncapi
from streams.exports.contracts import contracts
from streams.exports.json_schema import observed_schemas
from tests.streams.assets.inventories import small_inventory

INVENTORY = small_inventory()
SERVERS = "kafka-1:9092, kafka-2:9092"


def test_asyncapi_has_each_public_topic_with_its_bindings_and_no_dangling_reference() -> None:
    document = asyncapi(INVENTORY, SERVERS, is_encrypted=True)
    assert document["channels"].keys() == MESSAGES.keys()
    assert {each["host"] for each in document["servers"].values()} == {"kafka-1:9092", "kafka-2:9092"}
    assert {each["protocol"] for each in document["servers"].values()} == {"kafka-secure"}
    actions = {each["channel"]["$ref"].rpartition("/")[2]: each["action"] for each in document["operations"].values()}
    assert actions == {
        "clicks": "receive", "searches": "receive", "items": "receive", "models": "receive", "privacy": "receive",
        "recommendations": "send", "dead-letters": "send", "privacy-receipts": "send",
    }  # fmt: skip
    topic = document["channels"]["clicks"]["bindings"]["kafka"]
    assert (topic["partitions"], topic["topicConfiguration"]["retention.ms"]) == (8, 7 * 86_400_000)
    assert document["channels"]["items"]["bindings"]["kafka"]["topicConfiguration"] == {"cleanup.policy": ["compact"]}
    assert "ce_source" in document["components"]["messages"]["clicks"]["headers"]["properties"]
    for reference in references(document):
        node: Any = document
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]


def test_data_contracts_are_valid_by_the_published_schema() -> None:
    from jsonschema import Draft201909Validator

    schema = json.loads((files("open_data_contract_standard") / "schema.json").read_text())
    made = contracts(INVENTORY, SERVERS)
    assert made.keys() == MESSAGES.keys()
    for name, contract in made.items():
        errors = [error.message for error in Draft201909Validator(schema).iter_errors(contract)]
        assert errors == [], name
    properties = {each["name"]: each for each in made["clicks"]["schema"][0]["properties"]}
    assert (properties["user_id"]["classification"], properties["user_id"]["required"]) == ("restricted", True)
    assert (properties["context.page"]["logicalType"], properties["context.page"]["required"]) == ("number", False)
    assert made["clicks"]["slaProperties"][0]["value"] == 168
    assert contracts(small_inventory(), SERVERS)["clicks"]["id"] == made["clicks"]["id"]


@pytest.mark.parametrize(
    ("context", "is_valid"), [({"device": "tv", "page": 1, "new": True}, True), ({"page": "one"}, False), ({}, True)]
)
def test_json_schema_knows_the_observed_keys_and_allows_others(context: dict[str, Any], is_valid: bool) -> None:
    from jsonschema import Draft202012Validator

    schemas = observed_schemas(INVENTORY)
    click = {
        "type": "click", "event_id": "e", "user_id": "u", "item_id": "i", "occurred_at": "2026-01-01T00:00:00Z",
        "context": context,
    }  # fmt: skip
    for schema in schemas.values():
        Draft202012Validator.check_schema(schema)
    assert Draft202012Validator(schemas["clicks"]).is_valid(click) == is_valid


def test_the_document_of_an_inventory_from_a_file_is_the_same() -> None:
    read = msgspec.json.decode(msgspec.json.encode(INVENTORY), type=Inventory)
    assert asyncapi(read, SERVERS, is_encrypted=False) == asyncapi(INVENTORY, SERVERS, is_encrypted=False)


def references(node: Any) -> list[str]:
    if isinstance(node, dict):
        return [found for key, value in node.items() for found in ([value] if key == "$ref" else references(value))]
    return [found for each in node for found in references(each)] if isinstance(node, list) else []
