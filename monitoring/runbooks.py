"""The address of the runbooks."""

from __future__ import annotations

RUNBOOKS = "docs/runbooks"
"""The folder in the repository. To make the links work in a browser, prefix it with the address of the repository and
run `python -m monitoring`."""


def page(name: str) -> str:
    """Return the address of a runbook."""
    return f"{RUNBOOKS}/{name}.md"
