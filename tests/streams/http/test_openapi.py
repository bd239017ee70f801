"""The OpenAPI document, the routes and the documentation belong together."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from streams.contracts.serde import encode_json
from streams.http.openapi import document
from streams.http.problems import MEDIA_TYPE
from streams.http.routes import ROUTES, RouteSpec
from tests.streams.http.service import HttpHarness, http_service
from tests.streams.shoppers import act, item_of

PAGE = (Path(__file__).parents[3] / "docs" / "http.md").read_text()
STORED = Path(__file__).parents[3] / "clients" / "openapi.json"
DOCUMENT = json.loads(json.dumps(document()))
JSON = {"Content-Type": "application/json"}
REQUESTS: dict[str, dict[str, Any]] = {
    "/v1/carts/related": {"json": {"items": ["i1"]}},
    "/v1/rank": {"json": {"items": ["i1", "i2", "nothing"], "user": "u"}},
    "/v1/events": {"content": encode_json(act("view", "i1")), "headers": JSON},
    "/v1/items": {"content": b"[" + encode_json(item_of("i1")) + b"]", "headers": JSON},
    "/v1/search": {"params": {"q": "warm socks", "user": "u"}},
}
"""What each route needs beside its path."""


def operation(spec: RouteSpec) -> dict[str, Any]:
    found: dict[str, Any] = DOCUMENT["paths"][spec.path][spec.method.lower()]
    return found


def response_of(spec: RouteSpec, status: int) -> dict[str, Any]:
    """Return the description of an answer with this status."""
    found: dict[str, Any] = operation(spec)["responses"][str(status)]
    return DOCUMENT["components"]["responses"][str(status)] if "$ref" in found else found


def check(value: Any, schema: dict[str, Any]) -> None:
    from jsonschema import Draft202012Validator  # takes 2 s to load: not while tests are collected

    Draft202012Validator({**schema, "components": DOCUMENT["components"]}).validate(value)


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield from [value] if key == "$ref" else references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def test_every_route_is_described_and_nothing_else() -> None:
    described = {(method, path) for path, methods in DOCUMENT["paths"].items() for method in methods}
    assert described == {(spec.method.lower(), spec.path) for spec in ROUTES}
    operations = [operation(spec) for spec in ROUTES]
    assert len({each["operationId"] for each in operations}) == len(ROUTES)
    assert all(each["summary"].endswith(".") and "\n  " not in each["description"] for each in operations)


def test_all_references_have_a_schema() -> None:
    components = DOCUMENT["components"]
    names = {f"#/components/{kind}/{name}" for kind in ("schemas", "responses") for name in components[kind]}
    assert set(references(DOCUMENT)) <= names


def test_every_parameter_is_described() -> None:
    parameters = [each for spec in ROUTES for each in operation(spec)["parameters"]]
    assert parameters
    assert all(each["description"] for each in parameters)


@pytest.mark.parametrize("spec", ROUTES, ids=lambda spec: spec.path)
async def test_an_answer_is_as_described(spec: RouteSpec) -> None:
    async with http_service() as (harness, client):
        harness.remember(act("view", "i3"), act("purchase", "i9"))
        path = spec.path.replace("{user}", "u").replace("{item}", "i3")
        answer = await client.request(spec.method, path, **REQUESTS.get(spec.path, {}))
        response = response_of(spec, answer.status_code)
        assert answer.status_code == spec.status, answer.text
        check(answer.json(), response["content"][answer.headers["content-type"]]["schema"])
        await check_problem(harness, client, spec, path)


async def check_problem(harness: HttpHarness, client: Any, spec: RouteSpec, path: str) -> None:
    harness.health.stopping = True
    answer = await client.request(spec.method, path, **REQUESTS.get(spec.path, {}))
    content = response_of(spec, answer.status_code)["content"]
    assert answer.headers["content-type"] == MEDIA_TYPE
    check(answer.json(), content[MEDIA_TYPE]["schema"])


@pytest.mark.parametrize("spec", [spec for spec in ROUTES if spec.path in REQUESTS], ids=lambda spec: spec.path)
def test_a_request_is_as_described(spec: RouteSpec) -> None:
    given, described = REQUESTS[spec.path], operation(spec)
    parameters = {each["name"]: each for each in described["parameters"] if each["in"] == "query"}
    for name, value in given.get("params", {}).items():
        check(value, parameters[name]["schema"])
    assert {name for name, each in parameters.items() if each["required"]} <= set(given.get("params", {}))
    if "requestBody" in described:
        body = given["json"] if "json" in given else json.loads(given["content"])
        check(body, described["requestBody"]["content"]["application/json"]["schema"])


def test_the_stored_document_is_up_to_date() -> None:
    assert json.loads(STORED.read_text()) == DOCUMENT, "run `make clients`"


async def test_the_document_needs_no_token() -> None:
    from tests.streams.http.test_auth import TWO

    async with http_service(http_tokens=TWO) as (_, client):
        assert (await client.get("/openapi.json")).json() == DOCUMENT


def test_the_page_has_a_row_and_an_example_for_each_route() -> None:
    for spec in ROUTES:
        assert f"| `{spec.method} {spec.path}` | {spec.role} |" in PAGE
    examples = re.findall(r"curl [^\n]*?(/v1/[^\s'?]*)", PAGE.replace("\\\n", ""))
    for spec in ROUTES:
        pattern = re.sub(r"{\w+}", "[^/]+", spec.path)
        assert any(re.fullmatch(pattern, path) for path in examples), f"an example of {spec.path}"
