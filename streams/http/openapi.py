"""The OpenAPI 3.1 document, generated from the routes and the classes that decode and encode their messages."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from importlib.metadata import version
from typing import Any

import msgspec

from inference.types import Identifier
from streams.contracts.schema import cleaned
from streams.http.bodies import JSON
from streams.http.messages import Problem
from streams.http.problems import MEDIA_TYPE
from streams.http.routes import MOST_ENTRIES, ROUTES, RouteSpec

Document = dict[str, Any]

ABOUT = """\
Lists on request, ranked by the model and the profiles that also answer events on Kafka; and events and items for shops
without a Kafka client. Without configured tokens the service needs none, and listens on loopback only.
"""
REFUSALS = {
    "400": "A parameter, the body or an entry is wrong; `detail` and `errors` say what",
    "401": "The token is missing or unknown",
    "403": "The token lacks the role, or the host is not loopback while no tokens are configured",
    "404": "There is no such user or item",
    "413": "The body is too large",
    "415": "The body is not declared as JSON, or not plain or gzip",
    "429": "The client sends too many requests; `Retry-After` says when to try again",
    "500": "The worker failed; its log has the reason",
    "503": "The worker starts, stops or is busy, or an answer came too late; try again",
}
IN_PATH = {"user": "id of the shopper", "item": "id of the item"}
"""Descriptions of the parameters in paths."""


def document() -> Document:
    """Return the document."""
    kinds: list[Any] = [Problem, *dict.fromkeys(kind for spec in ROUTES for kind in _kinds(spec))]
    schemas, components = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    of_kind = {id(kind): schema for kind, schema in zip(kinds, schemas, strict=True)}
    problem = {MEDIA_TYPE: {"schema": of_kind[id(Problem)]}}
    paths: dict[str, Document] = {}
    for spec in ROUTES:
        paths.setdefault(spec.path, {})[spec.method.lower()] = {
            "operationId": spec.handler.__name__,
            **_texts(spec),
            "parameters": [*_path_parameters(spec), *_query_parameters(spec, components)],
            **_body(spec, of_kind),
            "responses": {
                str(spec.status.value): {
                    "description": spec.status.phrase,
                    "content": {JSON: {"schema": of_kind[id(spec.answer)]}},
                },
                **{status: {"$ref": f"#/components/responses/{status}"} for status in REFUSALS},
            },
        }
    # The classes of parameters are written out as parameters, so the document needs no schemas of them.
    queries = {spec.query.__name__ for spec in ROUTES if spec.query is not None}
    found: Document = cleaned({
        "openapi": "3.1.0",
        "info": {"title": "Intentstream", "version": version("intentstream"), "description": ABOUT},
        "paths": paths,
        "components": {
            "schemas": {name: schema for name, schema in components.items() if name not in queries},
            "responses": {
                status: {"description": text, "content": problem} for status, text in REFUSALS.items()
            },
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}, {}],
    })  # fmt: skip
    return found


def _kinds(spec: RouteSpec) -> Iterable[Any]:
    return (kind for kind in (spec.answer, spec.query, spec.body, spec.entry) if kind is not None)


def _texts(spec: RouteSpec) -> Document:
    """Return the summary and the description: the first sentence and the whole docstring of the handler."""
    text = inspect.cleandoc(spec.handler.__doc__ or "")
    return {"summary": text.partition("\n\n")[0], "description": f"{text}\n\nNeeds the role `{spec.role}`."}


def _path_parameters(spec: RouteSpec) -> list[Document]:
    schema = msgspec.json.schema(Identifier)
    return [
        {"name": name, "in": "path", "required": True, "description": IN_PATH[name], "schema": schema}
        for name in re.findall(r"{(\w+)}", spec.path)
    ]


def _query_parameters(spec: RouteSpec, components: Document) -> list[Document]:
    if spec.query is None:
        return []
    schema = components[spec.query.__name__]
    required = schema.get("required", ())
    given = {name: _without_null(own) for name, own in schema["properties"].items()}
    return [
        {"name": name, "in": "query", "required": name in required, "description": own["description"], "schema": own}
        for name, own in given.items()
    ]


def _without_null(schema: Document) -> Document:
    """Return the schema of a parameter's value: the classes allow null for a parameter that is left out."""
    (value,) = (each for each in schema.get("anyOf", [schema]) if each.get("type") != "null")
    return dict(value)


def _body(spec: RouteSpec, of_kind: dict[int, Document]) -> Document:
    if spec.body is not None:
        schema = of_kind[id(spec.body)]
    elif spec.entry is not None:
        one = of_kind[id(spec.entry)]
        schema = {"oneOf": [one, {"type": "array", "items": one, "minItems": 1, "maxItems": MOST_ENTRIES}]}
    else:
        return {}
    return {"requestBody": {"required": True, "content": {JSON: {"schema": schema}}}}
