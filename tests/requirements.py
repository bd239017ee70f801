"""The result of a test with a missing requirement."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def fail_or_skip(reason: str) -> NoReturn:
    """Fail in CI, and skip elsewhere: without Java, the other tests still run."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
