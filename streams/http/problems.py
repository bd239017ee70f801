"""Errors of the HTTP service, as problem details (RFC 9457).

The text of a wrong parameter or body says where, what is required, and what came.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.responses import Response

from streams.contracts.refusals import refusal, shortened, translated
from streams.errors import InvalidEvent
from streams.http.messages import EntryProblem, Problem

MEDIA_TYPE = "application/problem+json"
TYPE = "urn:intentstream:problem:"


class Refused(Exception):  # noqa: N818 - the text is for the client
    """A request that is answered with a problem. `kind` is the last part of the problem's type."""

    def __init__(
        self,
        status: HTTPStatus,
        kind: str,
        detail: str,
        *,
        errors: tuple[EntryProblem, ...] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.problem = Problem(type=TYPE + kind, title=status.phrase, status=status, detail=detail, errors=errors)
        self.headers = headers

    def response(self) -> Response:
        """Return the answer."""
        return Response(
            msgspec.json.encode(self.problem), self.problem.status, headers=self.headers, media_type=MEDIA_TYPE
        )


def unavailable(kind: str, detail: str) -> Refused:
    """Return the refusal of a request that may succeed a second later."""
    return Refused(HTTPStatus.SERVICE_UNAVAILABLE, kind, detail, headers={"Retry-After": "1"})


NAME_CHARS = 64
"""Most characters of an unknown parameter's name that are shown."""


def wrong_parameters(given: Mapping[str, object], kind: type[msgspec.Struct]) -> Refused:
    """Return the refusal of parameters that are no `kind`, with all that is wrong."""
    return _refused("; ".join(_faults(given, kind)) or "required the parameters of the route, got others")


def wrong_parameter(error: msgspec.ValidationError, name: str, value: object) -> Refused:
    """Return the refusal of one parameter, with the error that was raised while it was read."""
    return _refused(_text(error, name, value))


def wrong_json(error: Exception, value: bytes, kind: Any, name: str = "the body", problem: str = "invalid") -> Refused:
    """Return the refusal of JSON that is no `kind`. `error`, of `UNREADABLE`, was raised while it was read."""
    found = refusal(error, value, kind)
    faults = (f"{each.where}: {each.detail}".removeprefix("$: ") for each in (found, *found.others))
    return _refused(f"{name}: {'; '.join(faults)}", problem)


def filter_text(error: msgspec.ValidationError, fields: Mapping[str, object]) -> str:
    """Return what is wrong with the fields of a filter that a page sent."""
    return _text(error, "", fields).removeprefix(".")


def _refused(detail: str, problem: str = "invalid") -> Refused:
    return Refused(HTTPStatus.BAD_REQUEST, problem, detail)


def _faults(given: Mapping[str, object], kind: type[msgspec.Struct]) -> Iterator[str]:
    fields = _fields(kind)
    if (unknown := next((name for name in given if name not in fields), None)) is not None:
        yield f"{unknown[:NAME_CHARS]}: required one of the parameters {', '.join(fields)}; got another one"
    for name, value in given.items():
        if name not in fields:
            continue
        try:
            msgspec.convert(value, fields[name].type, strict=False)
        except msgspec.ValidationError as error:
            yield _text(error, name, value)
    yield from (f"{name}: required, and not there" for name in fields if fields[name].required and name not in given)


@cache
def _fields(kind: type[msgspec.Struct]) -> dict[str, msgspec.structs.FieldInfo]:
    """Return the fields of a class by their names in a request. Annotations are evaluated once: that takes 200 µs."""
    return {field.encode_name: field for field in msgspec.structs.fields(kind)}


def _text(error: msgspec.ValidationError, name: str, value: object) -> str:
    """Return the error of a parameter. All parameters are texts, so the type of the value says nothing."""
    found: InvalidEvent = translated(error, msgspec.json.encode(value))
    where, detail = name + found.where.removeprefix("$"), found.detail
    if found.reason == "wrong_type" and isinstance(value, str):
        required = detail.partition(", got ")[0].removesuffix(" or null")
        detail = f"{required}, got {shortened(value)}"
    return f"{where}: {detail}"
