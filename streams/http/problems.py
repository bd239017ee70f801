"""Errors of the HTTP service, as problem details (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

import msgspec
from starlette.responses import Response

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
