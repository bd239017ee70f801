"""The server: uvicorn on the worker's event loop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import uvicorn
from starlette.applications import Starlette

from streams.errors import ConfigurationError
from streams.http.maker import ListMaker
from streams.http.owners import Owners
from streams.settings_service import Service
from streams.suggestions.keeper import SuggestionKeeper

MOST_CONNECTIONS = 1000
BACKLOG = 512
"""Connections that wait to be accepted."""
KEEP_ALIVE_S = 30
STOP_S = 2
"""Seconds that requests in progress have when the worker stops."""


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the worker."""
        yield


@dataclass(slots=True)
class HttpServer:
    """The HTTP service of a worker. `bind` takes the address, `run` serves until `stop`, which calls `closing` last."""

    settings: Service
    app: Starlette
    maker: ListMaker
    owners: Owners
    suggestions: SuggestionKeeper
    closing: Callable[[], Awaitable[None]] | None = None
    _socket: socket.socket | None = None
    _server: _Server = field(init=False)
    _ended: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._ended.set()
        self._server = _Server(
            # The worker owns the event loop and the log. Proxy headers are not trusted: nothing depends on a client's
            # address.
            uvicorn.Config(
                self.app,
                loop="none",
                log_level="warning",
                lifespan="off",
                ws="none",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                limit_concurrency=MOST_CONNECTIONS,
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=STOP_S,
            )
        )

    def bind(self) -> None:
        """Take the address. Raises ConfigurationError if it is not free."""
        host, port = self.settings.host, self.settings.port
        # asyncio sets TCP_NODELAY only on sockets whose protocol is given. Without it, the second packet of an answer
        # waits 40 ms for the client's acknowledgement of the first.
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((host, port))
            self._socket.listen(BACKLOG)
        except OSError as error:
            self._socket.close()
            raise ConfigurationError(f"HTTP service at {host}:{port}: required a free address, got: {error}") from error

    async def run(self) -> None:
        """Serve until `stop`."""
        self._ended.clear()
        try:
            async with asyncio.TaskGroup() as group:
                working = [group.create_task(work) for work in (self.maker.run(), self.suggestions.run())]
                await self._server.serve([self._socket] if self._socket is not None else None)
                for each in working:
                    each.cancel()
        finally:
            self._ended.set()

    async def stop(self) -> None:
        """Answer the requests in progress, for at most `STOP_S` seconds, and close all connections."""
        self._server.should_exit = True
        with suppress(TimeoutError):
            # A second more than uvicorn's own limit, after which it cancels what is left.
            async with asyncio.timeout(STOP_S + 1):
                await self._ended.wait()
        await self.owners.close()
        if self.closing is not None:
            await self.closing()
