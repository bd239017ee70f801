"""The routes of the console: admission, errors, forms and streams."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from urllib.parse import parse_qsl

from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from inference.ranking.sentences import Language
from streams.console import data, data_assets, flow, shop, shopper, value
from streams.console.access import Access, Viewer
from streams.console.backend import ConsoleBackend
from streams.console.gauges import EVERY_S
from streams.console.pages import BASE, HERE, SafeHeaders, event_text, go_to, heading_of, link, render
from streams.console.words import InLanguage, gettext
from streams.errors import InvalidEvent
from streams.http.problems import Refused, unavailable
from streams.worker.health import Health

log = logging.getLogger(__name__)

MOST_STREAMS = 40
MOST_FORM_BYTES = 20_000
SOON_S = 0.3
"""Least time between two updates of a shopper's page."""
CHECK_S = 1.0
"""Time after which a stream looks whether the worker stops, also if nothing is new."""

Parts = Callable[[ConsoleBackend, Viewer, Mapping[str, str]], Awaitable[Sequence[tuple[str, str]]]]
"""Function that returns the parts of a page, by the parameters of its address: their names and HTML."""


@dataclass(slots=True)
class Console:
    """The console of a worker. `language` is that of its pages."""

    backend: ConsoleBackend
    access: Access
    health: Health
    language: Language = "en"
    _streams: int = field(default=0, init=False)

    def routes(self) -> list[BaseRoute]:
        """Return the routes for the application of the HTTP service."""
        pages = [
            Route("/", self._page(shop.home)),
            Route("/search", self._page(shop.search)),
            Route("/suggest", self._page(shop.suggest)),
            Route("/item", self._page(shop.item)),
            Route("/cart", self._page(shop.cart)),
            Route("/act", self._form(shop.act), methods=["POST"]),
            Route("/live", self._stream(shop.live)),
            Route("/shopper", self._page(shopper.page, inspects=True)),
            Route("/shopper/why", self._page(shopper.why, inspects=True)),
            Route("/shopper/what-if", self._page(shopper.what_if, inspects=True)),
            Route("/shopper/live", self._stream(shopper.live, inspects=True)),
            Route("/flow", self._page(flow.page, inspects=True)),
            Route("/flow/live", self._stream(flow.live, inspects=True, every_s=EVERY_S)),
            Route("/data", self._page(data.page, inspects=True, follows=False)),
            Route("/data/live", self._stream(data.live, inspects=True, follows=False, every_s=EVERY_S)),
            Route("/data/assets", self._page(data_assets.assets, inspects=True, follows=False)),
            Route("/data/asset", self._page(data_assets.asset, inspects=True, follows=False)),
            Route("/data/stream", self._page(data.stream, inspects=True, follows=False)),
            Route("/data/stream/live", self._stream(data.stream_live, inspects=True, follows=False, every_s=EVERY_S)),
            Route("/value", self._page(value.page, inspects=True, follows=False)),
            Route("/login", self._login, methods=["GET", "POST"]),
            Route("/leave", self._leave, methods=["POST"]),
            Mount("/static", StaticFiles(directory=HERE / "static")),
        ]
        middleware = [Middleware(SafeHeaders), Middleware(InLanguage, language=self.language)]
        return [Route("/", _to_console), Mount(BASE, routes=pages, middleware=middleware)]

    async def close(self) -> None:
        """Stop reading from Kafka."""
        await self.backend.feed.close()

    def _page(
        self,
        make: Callable[[ConsoleBackend, Request, Viewer], Awaitable[Response]],
        *,
        inspects: bool = False,
        follows: bool = True,
    ) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            try:
                viewer = self._admit(request, inspects=inspects)
                async with self._feed(follows=follows):
                    return await make(self.backend, request, viewer)
            except Refused as refused:
                return self._refusal(request, refused)
            except Exception:
                log.exception("a page of the console failed: %s", request.url.path)
                detail = gettext("The worker's log has the reason.")
                return self._refusal(request, Refused(HTTPStatus.INTERNAL_SERVER_ERROR, "failed", detail))

        return answer

    def _form(
        self, make: Callable[[ConsoleBackend, dict[str, str]], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def answer(backend: ConsoleBackend, request: Request, viewer: Viewer) -> Response:
            self.access.check_origin(request)
            if not viewer.may_act:
                detail = gettext("This console is read-only: clicks are no events.")
                raise Refused(HTTPStatus.FORBIDDEN, "read-only", detail)
            return await make(backend, await _fields(request))

        return self._page(answer)

    def _stream(
        self, parts: Parts, *, inspects: bool = False, follows: bool = True, every_s: float = SOON_S
    ) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            try:
                viewer = self._admit(request, inspects=inspects)
                if self._streams >= MOST_STREAMS:
                    raise unavailable("busy", f"required fewer than {MOST_STREAMS} open pages")
            except Refused as refused:
                return Response(status_code=refused.problem.status)
            # The header makes nginx pass on each event at once instead of collecting the answer.
            events = self._events(partial(parts, self.backend, viewer, request.query_params), every_s, follows=follows)
            return StreamingResponse(events, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})

        return answer

    def _feed(self, *, follows: bool) -> AbstractAsyncContextManager[None]:
        """Return a context in which the feed reads from Kafka, for a page that follows it."""
        return self.backend.feed.watched() if follows else nullcontext()

    async def _events(
        self, parts: Callable[[], Awaitable[Sequence[tuple[str, str]]]], every_s: float, *, follows: bool
    ) -> AsyncIterator[str]:
        """Yield the changed parts of a page, at most once in `every_s`, until the connection is closed."""
        feed, shown = self.backend.feed, dict[str, str]()
        self._streams += 1
        try:
            async with self._feed(follows=follows):
                while not self.health.stopping:
                    for name, html in await parts():
                        if shown.get(name) != html:
                            shown[name] = html
                            yield event_text(name, html)
                    yield ": \n\n"  # only a write detects a closed connection
                    if follows:
                        await feed.change(CHECK_S, at_least_s=every_s)
                    else:
                        await asyncio.sleep(every_s)
        except (Refused, InvalidEvent):
            return  # the worker is busy, or the topic has something else: the browser connects again
        finally:
            self._streams -= 1

    def _admit(self, request: Request, *, inspects: bool) -> Viewer:
        viewer = self.access.admit(request)
        if self.health.stopping or not self.health.catalogue_read:
            raise unavailable("not-ready", gettext("The worker is starting or stopping."))
        if inspects and not viewer.may_inspect:
            detail = gettext("This page needs a token with the role admin.")
            raise Refused(HTTPStatus.FORBIDDEN, "missing-role", detail)
        return viewer

    def _refusal(self, request: Request, refused: Refused) -> Response:
        status = HTTPStatus(refused.problem.status)
        if status == HTTPStatus.UNAUTHORIZED:
            if "hx-request" in request.headers:  # htmx would put the page into a part of this one
                return Response(status_code=status, headers={"HX-Redirect": link("login")})
            return go_to("login")
        body = render("error.html", heading=heading_of(status), detail=refused.problem.detail)
        return HTMLResponse(body, status, headers=refused.headers)

    async def _login(self, request: Request) -> Response:
        if not self.access.has_tokens:
            return go_to("")
        if request.method == "GET":
            return HTMLResponse(render("login.html", wrong=False))
        response = RedirectResponse(link(""), HTTPStatus.SEE_OTHER)
        try:
            self.access.check_origin(request)
            token = (await _fields(request)).get("token", "").strip()
            self.access.enter(request, token, response)
        except Refused as refused:
            return HTMLResponse(render("login.html", wrong=True), refused.problem.status)
        return response

    async def _leave(self, request: Request) -> Response:
        response = RedirectResponse(link("login"), HTTPStatus.SEE_OTHER)
        try:
            self.access.check_origin(request)
        except Refused as refused:
            return self._refusal(request, refused)
        self.access.leave(request, response)
        return response


async def _to_console(_request: Request) -> Response:
    return RedirectResponse(link(""), HTTPStatus.SEE_OTHER)


async def _fields(request: Request) -> dict[str, str]:
    """Return the fields of a form, the last value of each. Raises Refused if it is too large."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_FORM_BYTES:
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too-large", gettext("The form is too large."))
    return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
