"""A worker has exclusive use of its directory, which only its user can read."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.commands.worker import faults_of_the_machine, lock_directory
from streams.errors import ConfigurationError, StateError


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    """Restore the process's umask, which a worker sets."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def modes(directory: Path) -> dict[str, int]:
    return {str(path.relative_to(directory)): path.stat().st_mode & 0o777 for path in directory.rglob("*")}


def test_a_new_directory_and_later_files_are_private(tmp_path: Path) -> None:
    directory = tmp_path / "data"
    with lock_directory(directory):
        (directory / "profiles" / "0").mkdir(parents=True)
        (directory / "profiles" / "0" / "000001.sst").write_bytes(b"profiles")
    assert directory.stat().st_mode & 0o777 == 0o700
    assert modes(directory) == {
        "worker.lock": 0o600,
        "profiles": 0o700,
        "profiles/0": 0o700,
        "profiles/0/000001.sst": 0o600,
    }


def test_an_existing_directory_becomes_private_and_links_out_of_it_are_not_followed(tmp_path: Path) -> None:
    directory, outside = tmp_path / "data", tmp_path / "outside"
    (directory / "profiles").mkdir(parents=True)
    (directory / "profiles" / "LOG").write_text("")
    outside.write_text("")
    (directory / "link").symlink_to(outside)
    lock_directory(directory).close()
    assert directory.stat().st_mode & 0o777 == 0o700
    assert modes(directory)["profiles/LOG"] == 0o600
    assert outside.stat().st_mode & 0o777 == 0o644


def test_a_directory_of_another_user_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(path: Path, mode: int) -> None:
        raise PermissionError(path)

    monkeypatch.setattr(Path, "chmod", refuse)
    with caplog.at_level("INFO"):
        lock_directory(tmp_path / "data").close()
    assert "belongs to another user" in caplog.text


def test_a_second_worker_on_one_directory_is_refused_until_the_first_one_stops(tmp_path: Path) -> None:
    directory = tmp_path / "new" / "data"
    with (
        lock_directory(directory),
        pytest.raises(ConfigurationError, match=r"INTENTSTREAM_DATA_DIR=.*another worker uses"),
    ):
        lock_directory(directory)
    lock_directory(directory).close()


def test_a_directory_that_cannot_be_made_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match=r"INTENTSTREAM_DATA_DIR=.*required a directory"):
        lock_directory(tmp_path / "file" / "data")


def test_a_full_disk_at_the_start_is_one_line_with_the_path(tmp_path: Path) -> None:
    with pytest.raises(StateError, match=r"/d/kernels: the disk is full: free space"), faults_of_the_machine(tmp_path):
        raise OSError(errno.ENOSPC, "No space left on device", "/d/kernels")
    with pytest.raises(FileNotFoundError), faults_of_the_machine(tmp_path):
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", "/d/kernels")
