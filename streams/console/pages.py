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

from inference.plain_text import printable
from streams.console.access import Viewer
from streams.console.cards import FALLBACKS, LAST
from streams.console.numbers import bytes_text, clock_text, duration_text, number_text, rate_text
from streams.console.words import current_language, gettext, ngettext

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

HEADINGS = {
    HTTPStatus.BAD_REQUEST: "Bad Request",
    HTTPStatus.FORBIDDEN: "Forbidden",
    HTTPStatus.NOT_FOUND: "Not Found",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "Request Entity Too Large",
    HTTPStatus.TOO_MANY_REQUESTS: "Too Many Requests",
    HTTPStatus.INTERNAL_SERVER_ERROR: "Internal Server Error",
    HTTPStatus.SERVICE_UNAVAILABLE: "Service Unavailable",
}
"""Headings of error pages."""


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
    return gettext(FALLBACKS.get(fallback, fallback))


def _after_last(action: str) -> str:
    return gettext(LAST[action]) if action in LAST else action


def _lower_first(text: str) -> str:
    # Only the first letter: German nouns keep their capitals.
    return text[:1].lower() + text[1:]


def _with_code(text: str) -> Markup:
    """Return a text whose parts between backticks are code."""
    parts = enumerate(text.split("`"))
    return Markup().join(Markup("<code>{}</code>").format(part) if place % 2 else part for place, part in parts)


def heading_of(status: HTTPStatus) -> str:
    """Return the heading of an error page."""
    return gettext(HEADINGS.get(status, status.phrase))


_templates = Environment(
    loader=FileSystemLoader(HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
    extensions=["jinja2.ext.i18n"],
)
_templates.policies["ext.i18n.trimmed"] = True
_templates.globals.update(link=link, values=_values, language=current_language, gettext=gettext, ngettext=ngettext)
_templates.filters.update(
    ms=_milliseconds, percent=_percent, in_words=_in_words, after_last=_after_last, lower_first=_lower_first,
    number=number_text, duration=duration_text, rate=rate_text, bytes=bytes_text, clock=clock_text, clean=printable,
    with_code=_with_code,
)  # fmt: skip


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
        """Answer a request."""

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self._app(scope, receive, send_safely)


def event_text(name: str, html: str) -> str:
    """Return a server-sent event."""
    # An empty line ends an event, so the HTML's own ones are left out.
    lines = "".join(f"data: {line}\n" for line in html.splitlines() if line.strip())
    return f"event: {name}\n{lines}\n"
