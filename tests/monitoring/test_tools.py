"""Prometheus' programs: found on the machine, otherwise fetched, otherwise a clear error."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.errors import StreamsError
from tests.monitoring import tools


@pytest.mark.parametrize("name", ["amtool", "prometheus-alertmanager"])
def test_a_program_of_the_machine_goes_first(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / name
    program.touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert tools.found(name.removeprefix("prometheus-")) == program


def test_what_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Neither the program nor apt-get.
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(tools, "CACHE", tmp_path / "tools")
    with pytest.raises(StreamsError, match=r"promtool is not on PATH: install Debian's package prometheus, .*apt-get"):
        tools.found("promtool")
    assert not list((tmp_path / "tools").iterdir())
