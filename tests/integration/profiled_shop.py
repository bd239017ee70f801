"""A shop whose worker publishes the profiles of its streams every second."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from streams.settings import Settings
from tests.integration.catalogue_items import catalogue
from tests.integration.shop_client import ShopClient
from tests.integration.workers import WorkerProcess, worker, worker_settings

ITEMS = catalogue()


class ProfiledShop(NamedTuple):
    """The settings, a client of the shop, and its worker."""

    settings: Settings
    client: ShopClient
    worker: WorkerProcess


@asynccontextmanager
async def profiled_shop(kafka: str, name: str, directory: Path) -> AsyncIterator[ProfiledShop]:
    """Start a worker on topics of this name, and publish ITEMS. Yields after the worker has read them."""
    settings = worker_settings(kafka, name, assets_interval_seconds=1.0)
    async with ShopClient.connected(settings) as client, worker(settings, directory) as running:
        await client.publish_items(ITEMS)
        await running.wait_for_items(len(ITEMS))
        yield ProfiledShop(settings, client, running)
