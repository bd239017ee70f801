"""A worker has exclusive use of its directory."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from streams.commands.worker import faults_of_the_machine, lock_directory
from streams.errors import ConfigurationError, StateError


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
