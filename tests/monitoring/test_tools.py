"""Prometheus' programs: from PATH, else downloaded, else an error."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.errors import StreamsError
from tests.monitoring import tools


@pytest.mark.parametrize("name", ["amtool", "prometheus-alertmanager"])
def test_a_program_on_the_path_is_used(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / name
    program.touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert tools.found(name.removeprefix("prometheus-")) == program


def test_an_unavailable_program_is_an_error_with_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Neither the program nor apt-get.
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(tools, "CACHE", tmp_path / "tools")
    with pytest.raises(StreamsError, match=r"promtool is not on PATH: install Debian's package prometheus, .*apt-get"):
        tools.found("promtool")
    assert not list((tmp_path / "tools").iterdir())
