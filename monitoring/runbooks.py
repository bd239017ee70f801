"""Where operators read what to do."""

from __future__ import annotations

RUNBOOKS = "docs/runbooks"
"""The folder in the repository. For links that can be followed, put the address before it at which people read the
repository, and run `python -m monitoring`."""


def page(name: str) -> str:
    """Return the address of a runbook."""
    return f"{RUNBOOKS}/{name}.md"
