"""Access to the console, and to actions in it.

Without tokens, all viewers are on this machine: they see everything, and may act as shoppers only if the console is in
the mode `write`. With tokens, a viewer enters a token once. The worker keeps the token in memory and gives the browser
a random session id in a cookie. Neither a script nor a stolen cookie reveals the token.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from http import HTTPStatus
from secrets import token_urlsafe
from time import monotonic
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from streams.console.words import gettext
from streams.http.auth import ADMIN, Clients
from streams.http.problems import Refused
from streams.settings_service import Service, is_loopback

COOKIE = "intentstream-console"
SESSION_S = 8 * 3600
MOST_SESSIONS = 100


@dataclass(frozen=True, slots=True)
class Viewer:
    """A viewer who is admitted.

    Attributes:
        may_inspect: whether the viewer sees profiles, other shoppers' events and the service itself.
        may_act: whether the viewer's clicks are events.
        can_leave: whether there is a session to end.
        authorization: header for other workers, None without tokens.
    """

    may_inspect: bool
    may_act: bool
    can_leave: bool
    authorization: str | None


@dataclass(slots=True)
class Access:
    """Admits viewers, by the tokens and roles of the HTTP service."""

    settings: Service
    clients: Clients
    now: Callable[[], float] = monotonic
    _sessions: dict[bytes, tuple[str, float]] = field(default_factory=dict)

    @property
    def has_tokens(self) -> bool:
        """Whether viewers need a token."""
        return self.settings.tokens is not None

    def admit(self, request: Request) -> Viewer:
        """Admit a viewer. Raises Refused, with status 401 if the viewer has to enter a token."""
        authorization = request.headers.get("authorization") or self._of_session(request)
        roles = self.clients.admit("read", authorization, request.url.hostname).roles
        is_admin = ADMIN in roles
        return Viewer(
            may_inspect=is_admin,
            may_act=is_admin and (self.has_tokens or self.settings.console == "write"),
            can_leave=self.has_tokens,
            authorization=authorization,
        )

    def check_origin(self, request: Request) -> None:
        """Refuse a request that a page of another site sent: a form needs no CORS check. Raises Refused."""
        # An old browser sends no Sec-Fetch-Site. It is judged by the origin alone.
        origin = urlsplit(request.headers.get("origin", "")).netloc
        site = request.headers.get("sec-fetch-site", "same-origin")
        if origin != request.headers.get("host") or site != "same-origin":
            raise Refused(HTTPStatus.FORBIDDEN, "wrong-origin", gettext("required a form of the console itself"))

    def enter(self, request: Request, token: str, response: Response) -> None:
        """Begin a session with a token, and set its cookie in the response. Raises Refused if the token is unknown."""
        authorization = f"Bearer {token}"
        self.clients.admit("read", authorization, request.url.hostname)
        session = token_urlsafe(32)
        self._forget_old()
        self._sessions[_digest(session)] = authorization, self.now() + SESSION_S
        response.set_cookie(
            COOKIE,
            session,
            max_age=SESSION_S,
            path=request.scope["root_path"] or "/",
            httponly=True,
            samesite="strict",
            # Except on loopback a session needs TLS, which a proxy in front of the worker terminates.
            secure=not is_loopback(request.url.hostname or ""),
        )

    def leave(self, request: Request, response: Response) -> None:
        """End the session of a request."""
        self._sessions.pop(_digest(request.cookies.get(COOKIE, "")), None)
        response.delete_cookie(COOKIE, path=request.scope["root_path"] or "/")

    def _of_session(self, request: Request) -> str | None:
        authorization, ends = self._sessions.get(_digest(request.cookies.get(COOKIE, "")), (None, 0.0))
        return authorization if ends > self.now() else None

    def _forget_old(self) -> None:
        self._sessions = {key: held for key, held in self._sessions.items() if held[1] > self.now()}
        # A dict keeps the order of insertion, so the first session is the oldest.
        while len(self._sessions) >= MOST_SESSIONS:
            del self._sessions[next(iter(self._sessions))]


def _digest(session: str) -> bytes:
    # The id itself is not kept, and a look-up by its hash takes the same time for all wrong ones.
    return sha256(session.encode()).digest()
