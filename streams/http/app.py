"""The application: admits, reads and answers requests, and turns every failure into problem details."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from time import perf_counter
from typing import Any, get_origin

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from inference.types import Identifier
from streams.contracts.refusals import UNREADABLE
from streams.http import bodies
from streams.http.auth import Clients
from streams.http.bodies import JSON
from streams.http.handlers import Backend, Call
from streams.http.openapi import document
from streams.http.owners import Answer, Sent
from streams.http.problems import Refused, unavailable, wrong_json, wrong_parameter, wrong_parameters
from streams.http.routes import MOST_ENTRIES, ROUTES, RouteSpec
from streams.metrics import Metrics
from streams.settings_service import Service
from streams.worker.health import Health

OPENAPI = "/openapi.json"
log = logging.getLogger(__name__)

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Gate:
    """Checks of every request before its route.

    Attributes:
        clients: the clients that are admitted.
        health: whether lists can be made yet.
        metrics: counts the requests.
        timeout_s: seconds for reading, waiting and answering.
    """

    clients: Clients
    health: Health
    metrics: Metrics
    timeout_s: float

    def admit(self, spec: RouteSpec, request: Request) -> str:
        """Admit a request, and return its client's name. Raises Refused."""
        headers = request.headers
        client = self.clients.admit(spec.role, headers.get("authorization"), request.url.hostname)
        if self.health.stopping or not self.health.catalogue_read:
            state = "stopping" if self.health.stopping else "starting"
            raise unavailable("not-ready", f"the worker is {state}: ask again, or ask another worker")
        return client.name


def application(settings: Service, gate: Gate, backend: Backend, pages: Sequence[BaseRoute] = ()) -> Starlette:
    """Return the ASGI application of all routes, and of the console's `pages`."""
    routes: list[BaseRoute] = [
        # An id may contain a slash, in the path as %2F.
        Route(spec.path.replace("}", ":path}"), _endpoint(spec, gate, backend), methods=[spec.method])
        for spec in ROUTES
    ]
    described = _encode(document())

    async def describe(_request: Request) -> Response:
        return Response(described, media_type=JSON)

    routes += [Route(OPENAPI, describe), *pages]
    cors = Middleware(
        CORSMiddleware,
        allow_origins=list(settings.cors_origins),
        allow_methods=["GET", "POST"],
        allow_headers=["Authorization", "Content-Type"],
        max_age=600,
    )
    return Starlette(
        routes=routes,
        middleware=[cors] if settings.cors_origins else [],
        exception_handlers={HTTPException: _no_route},
    )


def _endpoint(spec: RouteSpec, gate: Gate, backend: Backend) -> Callable[[Request], Awaitable[Response]]:
    duration = gate.metrics.http_duration.labels(spec.path)

    async def answer(request: Request) -> Response:
        began = perf_counter()
        response = await respond(request)
        duration.observe(perf_counter() - began)
        gate.metrics.http_requests.labels(spec.path, str(response.status_code)).inc()
        return response

    async def respond(request: Request) -> Response:
        try:
            client = gate.admit(spec, request)
            # The time for reading the body is included, so a slow sender holds no request open.
            async with asyncio.timeout(gate.timeout_s):
                found = await spec.handler(backend, await _call(spec, request, client))
        except Refused as refused:
            return refused.response()
        except TimeoutError:
            return unavailable("timeout", f"required an answer within {gate.timeout_s:g} s").response()
        except Exception:
            log.exception("a request to %s failed", spec.path)
            return Refused(HTTPStatus.INTERNAL_SERVER_ERROR, "failed", "the worker's log has the reason").response()
        if isinstance(found, Answer):
            return Response(found.body, found.status, media_type=found.media_type)
        return Response(_encode(found), spec.status, media_type=JSON)

    return answer


async def _no_route(_request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    status = HTTPStatus(error.status_code)
    kind = "unknown-path" if status == HTTPStatus.NOT_FOUND else "wrong-request"
    return Refused(status, kind, f"required a path and a method of {OPENAPI}", headers=error.headers).response()


async def _call(spec: RouteSpec, request: Request, client: str) -> Call:
    path, query = _path(request), _query(spec, request)
    content, body = None, None
    if spec.body is not None or spec.entry is not None:
        headers = request.headers
        content = await bodies.read(
            request.stream(), headers.get("content-type"), headers.get("content-encoding"), spec.most_bytes
        )
        body = _body(spec, content)
    sent = Sent(method=spec.method, target=_target(request), headers=request.headers, body=content)
    return Call(path=path, query=query, body=body, sent=sent, client=client)


def _body(spec: RouteSpec, content: bytes) -> Any:
    # Entries stay bytes here. They are decoded with the contract, and published as they came.
    if spec.body is None:
        return bodies.entries(content, MOST_ENTRIES)
    try:
        return msgspec.json.decode(content, type=spec.body)
    except UNREADABLE as error:
        raise wrong_json(error, content, spec.body) from None


def _target(request: Request) -> str:
    # The path before decoding: a slash in an id must stay %2F, or the owner would see another path.
    path = request.scope["raw_path"].decode("ascii")
    query = request.scope["query_string"].decode("ascii")
    return f"{path}?{query}" if query else path


def _path(request: Request) -> dict[str, str]:
    return {name: _identifier(value, name) for name, value in request.path_params.items()}


def _identifier(value: str, name: str) -> str:
    try:
        return msgspec.convert(value, Identifier)
    except msgspec.ValidationError as error:
        raise wrong_parameter(error, name, value) from None


def _query(spec: RouteSpec, request: Request) -> Any:
    if spec.query is None:
        return None
    many = _repeated(spec.query)
    given: dict[str, object] = {}
    for name, value in request.query_params.multi_items():
        if name in many:
            given.setdefault(name, []).append(value)  # type: ignore[attr-defined]  # a list
        else:
            given[name] = value
    try:
        return msgspec.convert(given, spec.query, strict=False)
    except msgspec.ValidationError:
        raise wrong_parameters(given, spec.query) from None


@cache
def _repeated(query: type[msgspec.Struct]) -> frozenset[str]:
    """Return the names of the parameters that may be repeated. Annotations are evaluated once: that takes 200 µs."""
    kinds = {field.name: getattr(field.type, "__origin__", field.type) for field in msgspec.structs.fields(query)}
    return frozenset(name for name, kind in kinds.items() if get_origin(kind) is tuple)
