"""Clients with tokens and roles, and their budgets of requests."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from http import HTTPStatus
from time import monotonic

from streams.http.problems import Refused
from streams.settings_service import Service, is_loopback

ADMIN = "admin"
SCHEME = "bearer"


@dataclass(slots=True)
class Budget:
    """A token bucket: `rate` requests at once, and as many in each second after it."""

    rate: float
    left: float
    at_s: float

    def take(self, now_s: float) -> float:
        """Take one request and return 0, or return the seconds until the next one is allowed."""
        self.left = min(self.rate, self.left + (now_s - self.at_s) * self.rate)
        self.at_s = now_s
        if self.left < 1:
            return (1 - self.left) / self.rate
        self.left -= 1
        return 0.0


@dataclass(slots=True)
class Client:
    """A client: its name, its token's hash, its roles, and its budget; None without a limit."""

    name: str
    digest: bytes
    roles: frozenset[str]
    budget: Budget | None


class Clients:
    """All clients of the settings. Without tokens, everybody on this machine is one client with all roles.

    Args:
        settings: the settings of the service.
        now: the time in seconds.
    """

    def __init__(self, settings: Service, now: Callable[[], float] = monotonic) -> None:
        self._rate = settings.requests_per_second
        self._now = now
        self._host = settings.host
        self._clients: list[Client] = []
        self._anyone = Client("", b"", frozenset({ADMIN}), self._budget())
        if settings.tokens is not None:
            for text in settings.tokens.get_secret_value().split(","):
                name, roles, digest = text.strip().split(":")
                given = frozenset(roles.split("+"))
                self._clients.append(Client(name, bytes.fromhex(digest), given, self._budget()))

    def admit(self, role: str, authorization: str | None, host: str | None) -> Client:
        """Admit a request to a route for `role`, and return its client.

        `host` is the name by which the client calls this server.

        Raises:
            Refused: the token is missing or unknown, it lacks the role, or its client sent too many requests.
        """
        client = self._client(authorization) if self._clients else self._local(host)
        if client.budget is not None and (wait_s := client.budget.take(self._now())):
            raise Refused(
                HTTPStatus.TOO_MANY_REQUESTS,
                "too-many-requests",
                f"required at most {self._rate} requests a second (INTENTSTREAM_HTTP_REQUESTS_PER_SECOND)",
                headers={"Retry-After": str(max(1, round(wait_s)))},
            )
        if role not in client.roles and ADMIN not in client.roles:
            raise Refused(HTTPStatus.FORBIDDEN, "missing-role", f"required a token with the role {role}")
        return client

    def _client(self, authorization: str | None) -> Client:
        scheme, _, token = (authorization or "").partition(" ")
        # The settings contain only hashes of tokens.
        digest = sha256(token.strip().encode()).digest()
        found = None
        for client in self._clients:  # compare all, each in constant time: the duration does not depend on tokens
            if hmac.compare_digest(client.digest, digest):
                found = client
        if found is None or scheme.lower() != SCHEME:
            raise Refused(
                HTTPStatus.UNAUTHORIZED,
                "unknown-token",
                "required the header `Authorization: Bearer TOKEN` with a token of INTENTSTREAM_HTTP_TOKENS",
                headers={"WWW-Authenticate": 'Bearer realm="intentstream"'},
            )
        return found

    def _local(self, host: str | None) -> Client:
        # A web page can make its own host name resolve to 127.0.0.1 (DNS rebinding) and would then be allowed to read
        # the answers. Its requests carry that name.
        if host is None or not (is_loopback(host) or host == self._host):
            raise Refused(
                HTTPStatus.FORBIDDEN, "wrong-host", "required a loopback address as the host: no tokens are configured"
            )
        return self._anyone

    def _budget(self) -> Budget | None:
        return Budget(self._rate, self._rate, self._now()) if self._rate else None
