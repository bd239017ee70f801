"""Privileges, limits and ports of every service of docker-compose.yml."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.deployment.compose import ROOT, SERVICES, Service

MODELS = str(ROOT / "exported_models")
VERSION = re.compile(r":v?\d+\.\d+\.\d+(-[a-z]+)?$")

every_service = pytest.mark.parametrize("service", [pytest.param(s, id=name) for name, s in SERVICES.items()])


@every_service
def test_a_service_has_least_privilege(service: Service) -> None:
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "pid", "ipc", "network_mode", "devices"} & service.keys()
    user, _, group = service["user"].partition(":")
    assert int(user) > 0
    assert group.isdecimal()


@every_service
def test_memory_logs_and_temporary_files_of_a_service_are_limited(service: Service) -> None:
    assert 0 < int(service["mem_limit"]) <= 4 << 30
    assert set(service["logging"]["options"]) == {"max-size", "max-file"}
    assert all("size=" in mount for mount in service["tmpfs"])


@every_service
def test_an_image_has_a_version_tag(service: Service) -> None:
    assert VERSION.search(service["image"])


@every_service
def test_ports_are_published_on_loopback_only(service: Service) -> None:
    assert {port["host_ip"] for port in service.get("ports", [])} <= {"127.0.0.1"}


@every_service
def test_bind_mounts_exist_and_are_read_only(service: Service) -> None:
    binds = [volume for volume in service.get("volumes", []) if volume["type"] == "bind"]
    assert [volume["source"] for volume in binds if not Path(volume["source"]).is_dir()] == []
    # The learning loop writes new versions of the model into the folder that workers watch.
    may_write = [MODELS] if service.get("command") == ["learn"] else []
    assert [volume["source"] for volume in binds if not volume.get("read_only")] == may_write


def test_grafana_has_no_login() -> None:
    grafana = SERVICES["grafana"]["environment"]
    assert grafana["GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION"] == "true"
    assert grafana["GF_AUTH_BASIC_ENABLED"] == "false"
    assert grafana["GF_AUTH_ANONYMOUS_ORG_ROLE"] == "Viewer"
    assert not [name for name in grafana if "PASSWORD" in name]
