"""The routes: what each one reads, answers and requires. The application and the OpenAPI document are made of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Literal

import msgspec

from streams.http.maker import ListMaker
from streams.http.messages import ListQuery, UserList
from streams.http.owners import FORWARDED, Answer, Owners
from streams.http.queries import ListRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request that is admitted and read.

    Attributes:
        path: parameters in the path.
        query: parameters behind it, an object of the route's class.
        body: the body, an object of the route's class, None without one.
        target: path and query as they came, for the owner of a profile.
        headers: headers of the request, in lower case.
    """

    path: Mapping[str, str]
    query: Any = None
    body: Any = None
    target: str = ""
    headers: Mapping[str, str]


@dataclass(slots=True)
class Backend:
    """What the routes need."""

    maker: ListMaker
    owners: Owners
    list_size: int

    async def of_owner(self, user_id: str, call: Call) -> Answer | None:
        """Return the answer of the owner of a shopper's profile, None if this worker has to answer."""
        if self.owners.is_readable(user_id) or FORWARDED.lower() in call.headers:
            return None
        own = {name: call.headers[name] for name in ("authorization",) if name in call.headers}
        return await self.owners.forward(user_id, call.target, own)


async def recommendations(backend: Backend, call: Call) -> UserList | Answer:
    """Return a list for a shopper who arrives now.

    It needs no event. A shopper without a history gets the list of a new visitor.
    """
    user_id = call.path["user"]
    if (answer := await backend.of_owner(user_id, call)) is not None:
        return answer
    request = ListRequest(k=call.query.k or backend.list_size, user_id=user_id, exclude=call.query.exclude)
    made = await backend.maker.make(request)
    return UserList(
        user_id=user_id,
        items=made.items,
        model=made.model,
        fallback=made.fallback,
        produced_at=made.produced_at,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteSpec:
    """A route.

    Attributes:
        method, path: as in a request. Parameters in braces are ids, which may contain slashes.
        handler: function that answers it; its docstring documents the route.
        role: role that the client needs.
        answer: class of the answer.
        query, body: classes of the parameters and of the body, None for none.
        status: status of a successful answer.
        most_bytes: most bytes of a body, after decompression.
    """

    method: Literal["GET", "POST"]
    path: str
    handler: Callable[[Backend, Call], Awaitable[msgspec.Struct | Answer]]
    role: str
    answer: type[msgspec.Struct]
    query: type[msgspec.Struct] | None = None
    body: Any = None
    status: HTTPStatus = HTTPStatus.OK
    most_bytes: int = 64 << 10


ROUTES = (
    RouteSpec(
        method="GET",
        path="/v1/users/{user}/recommendations",
        handler=recommendations,
        role="read",
        query=ListQuery,
        answer=UserList,
    ),
)
