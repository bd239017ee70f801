"""Rendering of pages: templates, links and headers. All text is escaped. Scripts and styles come only from files."""

from __future__ import annotations

import json
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.datastructures import MutableHeaders
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from streams.console.access import Viewer
from streams.console.cards import FALLBACKS

HERE = Path(__file__).parent
BASE = "/console"
HEADERS = {
    # Item images are on the shop's servers.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' https:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    # `no-referrer` would hide the origin of forms, which is checked.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def link(page: str, **parameters: object) -> str:
    """Return the address of a page. Parameters without a value are left out."""
    given = [(name, str(value)) for name, value in parameters.items() if value not in (None, "")]
    return f"{BASE}/{page}" + (f"?{urlencode(given)}" if given else "")


def _values(**values: object) -> Markup:
    """Return the value of an attribute `hx-vals`."""
    return escape(json.dumps(values))


def _milliseconds(took_ms: float) -> str:
    return f"{took_ms:.1f} ms" if took_ms < 100 else f"{took_ms:,.0f} ms"


def _percent(share: float) -> str:
    return f"{share:.1%}" if 0 < share < 0.1 else f"{share:.0%}"


def _in_words(fallback: str) -> str:
    return FALLBACKS.get(fallback, fallback)


_templates = Environment(
    loader=FileSystemLoader(HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
)
_templates.globals.update(link=link, values=_values)
_templates.filters.update(ms=_milliseconds, percent=_percent, in_words=_in_words)


def render(template: str, **values: object) -> str:
    """Return a rendered template."""
    return _templates.get_template(template).render(values)


@dataclass(frozen=True, slots=True)
class View:
    """What every page shows: the viewer, the shopper whose pages these are, and the section of the menu."""

    viewer: Viewer
    user: str
    section: str

    def page(self, template: str, **values: object) -> HTMLResponse:
        """Return a whole page."""
        return HTMLResponse(render(template, view=self, **values))


def go_to(page: str, **parameters: object) -> Response:
    """Return a redirection to another page."""
    return RedirectResponse(link(page, **parameters), HTTPStatus.SEE_OTHER)


class SafeHeaders:
    """Middleware that adds the headers of `HEADERS` to every answer, and lets no page be cached."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """AnsweringList a request."""

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self._app(scope, receive, send_safely)


def event_text(name: str, html: str) -> str:
    """Return a server-sent event."""
    lines = "".join(f"data: {line}\n" for line in html.splitlines() if line.strip())
    return f"event: {name}\n{lines}\n"
