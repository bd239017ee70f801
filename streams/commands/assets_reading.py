"""Reads the inventory for commands, with a display of the progress."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from streams.settings import Settings

if TYPE_CHECKING:
    from streams.assets.inventory import Inventory
    from streams.kafka.reading import Progress


def current(settings: Settings, *, judged: bool) -> Inventory:
    """Return the inventory, with a display of the progress on stderr. Findings need `judged`, and all profiles."""
    from streams.asset_catalogue import read_inventory

    with reading("Reading the profiles of the streams") as progress:
        return asyncio.run(read_inventory(settings, progress, judged=judged))


@contextmanager
def reading(title: str) -> Iterator[Progress]:
    """Show the progress of a reader on stderr. Yields the function that it calls."""
    from rich.console import Console
    from rich.progress import Progress as Bars

    with Bars(console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(title, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)
