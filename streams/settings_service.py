"""Groups of settings beside the event path: endpoints, profiles of data assets, and the learning loop."""

from __future__ import annotations

from contextlib import suppress
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path
from socket import gethostname
from typing import Self

from pydantic import Field, model_validator

from streams.settings_groups import PREFIX, Group
from streams.settings_values import BaseUrl, ClientTokens, Console, Count, Duration, Host, Origins, Port


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


class Assets(Group):
    """Profiles of the streams' content."""

    interval_seconds: float = Field(
        20.0, ge=0, le=3600, alias="assets_interval_seconds",
        description="Interval between two profiles of the streams' content; 0: no profiles",
    )  # fmt: skip
    lineage: str | None = Field(
        None, alias="assets_lineage",
        description="OpenLineage events of trainings and model changes: a JSON Lines file or a URL; unset: none",
    )  # fmt: skip
    retention_days: Duration = Field(
        15,
        alias="assets_retention_days",
        description="Retention of the profiles, and of what is learned from them",
    )
    reference_minutes: float = Field(
        180.0, gt=0, le=20_160, alias="assets_reference_minutes",
        description="Least time from which the expectations of a stream are learned",
    )  # fmt: skip
    expectations_file: Path | None = Field(
        None,
        alias="assets_expectations_file",
        description="TOML file of expectations that change the learned ones; unset: none",
    )
    value_file: Path | None = Field(
        None,
        alias="assets_value_file",
        description="Report of `intentstream value` (value.json) for the console and the metrics; unset: none",
    )


class Learner(Group):
    """Refits of the ranker, and the guardrail. Times are event times."""

    every_hours: Duration = Field(24, alias="learn_every_hours", description="Time between two refits of the ranker")
    held_out_hours: Duration = Field(
        24, alias="learn_held_out_hours", description="Length of the newest period, on which a new ranker is judged"
    )
    drift_hours: Duration = Field(
        6, alias="learn_drift_hours", description="Length of the newest period that is compared with the time before it"
    )
    half_life_days: Duration = Field(
        14, alias="learn_half_life_days", description="Half-life of a list's weight in a refit"
    )
    lists_per_day: Count = Field(5000, alias="learn_lists_per_day", description="Lists gathered in a day, at most")
    lists_kept: Count = Field(30_000, alias="learn_lists_kept", description="Newest lists kept on disk")
    least_lists: Count = Field(
        200, alias="learn_least_lists", description="Fewest lists with an action, both to fit and to judge a ranker"
    )
    margin: float = Field(
        0.01, ge=0, le=1, alias="learn_margin", description="Least gain in NDCG@20, as a share of the present ranker's"
    )
    confidence: float = Field(
        0.95, gt=0.5, lt=1, alias="learn_confidence",
        description="Confidence required for a gain, for drift, and for a drop of the click rate",
    )  # fmt: skip
    versions_kept: int = Field(
        5, ge=1, le=1000, alias="learn_versions_kept", description="Newest published versions that stay in the folder"
    )
    guard_hours: Duration = Field(
        48, alias="learn_guard_hours", description="Time after a publication in which the click rate is observed"
    )
    guard_drop: float = Field(
        0.1, ge=0, lt=1, alias="learn_guard_drop", description="Relative drop of the click rate that is accepted"
    )
