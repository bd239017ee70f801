"""A worker has exclusive use of its directory."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.commands.worker import hold
from streams.errors import ConfigurationError


def test_a_second_worker_on_one_directory_is_told_so_and_may_have_it_afterwards(tmp_path: Path) -> None:
    directory = tmp_path / "new" / "data"
    with hold(directory), pytest.raises(ConfigurationError, match=r"INTENTSTREAM_DATA_DIR=.*another worker uses"):
        hold(directory)
    hold(directory).close()


def test_a_directory_that_cannot_be_made_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match=r"INTENTSTREAM_DATA_DIR=.*required a directory"):
        hold(tmp_path / "file" / "data")
