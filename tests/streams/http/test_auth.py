"""Tokens, roles, budgets, and the protection of a service without tokens."""

from __future__ import annotations

from hashlib import sha256

import pytest

from streams.errors import ConfigurationError
from streams.http.auth import Clients
from streams.http.problems import Refused
from streams.settings import load_settings
from streams.settings_service import Service
from tests.streams.http.service import http_service

HOST = "127.0.0.1"


def client(name: str, roles: str, token: str) -> str:
    return f"{name}:{roles}:{sha256(token.encode()).hexdigest()}"


def service(**settings: object) -> Service:
    return load_settings({"http_port": 9200, **settings}, env_file=None).service


TWO = ",".join(
    (client("shop", "read", "open"), client("loader", "write+read", "sesame"), client("ops", "admin", "all"))
)


def status(clients: Clients, role: str, authorization: str | None, host: str | None = "shop.example") -> int:
    try:
        clients.admit(role, authorization, host)
    except Refused as refused:
        return refused.problem.status
    return 200


@pytest.mark.parametrize(
    ("authorization", "read", "write", "admin"),
    [
        ("Bearer open", 200, 403, 403),
        ("bearer sesame", 200, 200, 403),
        ("Bearer all", 200, 200, 200),
        ("Bearer other", 401, 401, 401),
        ("Basic open", 401, 401, 401),
        ("open", 401, 401, 401),
        ("Bearer", 401, 401, 401),
        ("", 401, 401, 401),
        (None, 401, 401, 401),
    ],
)
def test_a_token_allows_the_roles_of_its_client(authorization: str | None, read: int, write: int, admin: int) -> None:
    clients = Clients(service(http_tokens=TWO))
    assert [status(clients, role, authorization) for role in ("read", "write", "admin")] == [read, write, admin]


def test_each_client_has_its_own_budget_and_no_time_is_lost() -> None:
    now = 0.0
    clients = Clients(service(http_tokens=TWO, http_requests_per_second=2), now=lambda: now)
    assert [status(clients, "read", "Bearer open") for _ in range(3)] == [200, 200, 429]
    assert status(clients, "read", "Bearer all") == 200
    now = 0.5
    assert [status(clients, "read", "Bearer open") for _ in range(2)] == [200, 429]
    now = 100.0
    assert [status(clients, "read", "Bearer open") for _ in range(3)] == [200, 200, 429]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.8.0.1"])
def test_without_tokens_this_machine_may_do_everything(host: str) -> None:
    assert status(Clients(service()), "admin", None, host) == 200


@pytest.mark.parametrize("host", ["evil.example", "10.0.0.1", "", None])
def test_without_tokens_a_page_that_rebinds_its_name_is_refused(host: str | None) -> None:
    assert status(Clients(service()), "read", None, host) == 403


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "shop.example"])
def test_without_tokens_nothing_listens_beyond_loopback(host: str) -> None:
    with pytest.raises(ConfigurationError, match=f"INTENTSTREAM_HTTP_HOST={host} needs INTENTSTREAM_HTTP_TOKENS"):
        service(http_host=host)
    assert service(http_host=host, http_tokens=TWO).host == host
    assert service(http_host=host, http_port=0).port == 0


@pytest.mark.parametrize(
    "tokens",
    [
        "open",
        "shop:read:open",
        client("shop", "reader", "x"),
        client("", "read", "x"),
        TWO + "," + client("another", "read", "open"),
        TWO + "," + client("shop", "read", "another"),
    ],
)
def test_wrong_tokens_are_refused_and_not_repeated(tokens: str) -> None:
    with pytest.raises(ConfigurationError, match="INTENTSTREAM_HTTP_TOKENS") as caught:
        service(http_tokens=tokens)
    assert "got a secret value" in str(caught.value)


def test_the_url_for_other_workers_is_that_of_host_and_port_unless_given() -> None:
    assert service().url == "http://127.0.0.1:9200"
    assert service(http_host="::1").url == "http://[::1]:9200"
    assert service(http_advertised_url="https://worker-1.example:8443/").url == "https://worker-1.example:8443"
    assert service(http_host="0.0.0.0", http_tokens=TWO).url.startswith("http://")
    assert "0.0.0.0" not in service(http_host="0.0.0.0", http_tokens=TWO).url


async def test_requests_without_a_token_are_challenged() -> None:
    async with http_service(http_tokens=TWO) as (_, http):
        answer = await http.get("/v1/users/u/recommendations")
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Bearer realm="intentstream"')
        answer = await http.get("/v1/users/u/recommendations", headers={"Authorization": "Bearer open"})
        assert answer.status_code == 200


async def test_only_listed_origins_may_read_answers() -> None:
    async with http_service(http_cors_origins="https://shop.example") as (_, http):
        for origin, allowed in (("https://shop.example", "https://shop.example"), ("https://evil.example", None)):
            answer = await http.get("/v1/users/u/recommendations", headers={"Origin": origin})
            assert answer.headers.get("access-control-allow-origin") == allowed
    async with http_service() as (_, http):
        answer = await http.get("/v1/users/u/recommendations", headers={"Origin": "https://shop.example"})
        assert "access-control-allow-origin" not in answer.headers
