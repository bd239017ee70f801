"""Groups of settings of what listens: the endpoint of metrics and health, and the HTTP service."""

from __future__ import annotations

from contextlib import suppress
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path
from socket import gethostname
from typing import Self

from pydantic import Field, model_validator

from streams.settings_groups import PREFIX, Group
from streams.settings_values import BaseUrl, ClientTokens, Console, Duration, Host, Origins, Port


class Http(Group):
    """Endpoint of metrics and health."""

    host: Host = Field("127.0.0.1", alias="metrics_host", description="Address of the metrics endpoint")
    port: Port = Field(9100, alias="metrics_port", description="Port of the metrics endpoint; 0 turns it off")


class Service(Group):
    """HTTP service: lists on request, events and items."""

    host: Host = Field("127.0.0.1", alias="http_host", description="Address of the HTTP service")
    port: Port = Field(0, alias="http_port", description="Port of the HTTP service; 0: off")
    advertised_url: BaseUrl = Field(
        None,
        alias="http_advertised_url",
        description="URL at which other workers reach this one; unset: by host and port",
    )
    tokens: ClientTokens = Field(
        None, alias="http_tokens", description="Clients as NAME:ROLES:SHA256; unset: no login, loopback only"
    )
    requests_per_second: int = Field(
        1000, alias="http_requests_per_second", ge=0, le=1_000_000,
        description="Requests of a client in a burst, and in each second after it; 0: no limit",
    )  # fmt: skip
    timeout_seconds: float = Field(
        2.0, alias="http_timeout_seconds", gt=0, le=60, description="Time after which a request is answered with 503"
    )
    cors_origins: Origins = Field(
        (), alias="http_cors_origins", description="Web origins whose pages may call the service; unset: none"
    )
    suggestions_seconds: Duration = Field(300.0, description="Interval between two builds of the query suggestions")
    suggestions_blocked_file: Path | None = Field(
        None, description="Text file of words and phrases that no suggestion may contain, one a line; unset: none"
    )
    console: Console = Field(
        "off",
        alias="http_console",
        description="Console: off, read, or write, in which viewers act as shoppers without a token",
    )

    @property
    def url(self) -> str:
        """URL at which other workers reach this one."""
        if self.advertised_url is not None:
            return self.advertised_url
        host = gethostname() if self.host in ("0.0.0.0", "::") else self.host  # noqa: S104 - a comparison
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    @model_validator(mode="after")
    def _is_protected(self) -> Self:
        if self.port and self.tokens is None and not is_loopback(self.host):
            raise ValueError(
                f"{PREFIX}HTTP_HOST={self.host} needs {PREFIX}HTTP_TOKENS: without tokens the HTTP service listens on "
                "loopback only"
            )
        return self


@lru_cache(maxsize=64)
def is_loopback(host: str) -> bool:
    """Return whether a host is an address of this machine only."""
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return host == "localhost"
