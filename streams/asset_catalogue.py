"""The inventory of an installation, from its settings, its workers' profiles, its brokers and its model."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from time import monotonic, time
from typing import Any

import msgspec

from inference.errors import BundleError
from inference.manifest import Manifest
from inference.manifest_files import read_manifest
from streams.assets.building import inventory_of
from streams.assets.expectations import Finding
from streams.assets.history import AssetHistory
from streams.assets.inventory import BrokerFacts, Inventory, TopicFacts
from streams.assets.observed import AbsentModel, Observed
from streams.assets.registry import TOPICS
from streams.contracts.messages import ModelPin
from streams.errors import StreamsError
from streams.exports.asyncapi import asyncapi
from streams.kafka.asset_facts import broker_facts
from streams.kafka.asset_profiles import read_history, read_profiles
from streams.kafka.reading import Progress, unseen
from streams.kafka.topics import TABLES, changelog_topic, declare
from streams.serving.folders import ModelFolders, configured_at
from streams.serving.pins import pinned_model
from streams.settings import Settings, load_settings

RECENT_S = 60.0
"""Seconds of the profiles that rates are made of."""
KEPT_S = 15.0
"""Seconds for which an inventory is kept. The next caller makes a new one."""


@dataclass(slots=True)
class AssetCatalogue:
    """Makes inventories. The work is done in another thread, at most once in KEPT_S.

    Attributes:
        settings: the settings.
        history: the profiles of all workers.
        manifest: returns the manifest of the serving model, None if it is not known.
        ask_brokers: returns what the brokers know about topics.
        findings: returns the open findings of data quality.
    """

    settings: Settings
    history: AssetHistory
    manifest: Callable[[], Manifest | None]
    ask_brokers: Callable[[], Awaitable[BrokerFacts]] | None = None
    findings: Callable[[], Sequence[Finding]] = tuple
    _kept: Inventory | None = None
    _kept_until: float = 0.0
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def inventory(self) -> Inventory:
        """Return the inventory. If the brokers do not answer, it says so where facts are missing."""
        async with self._lock:
            if self._kept is None or monotonic() > self._kept_until:
                # The event loop goes on to apply profiles, so the thread works on a copy.
                history, broker = self.history.copy(), await self._broker()
                found = tuple(self.findings())
                self._kept = await asyncio.to_thread(inventory, self.settings, history, broker, self.manifest(), found)
                self._kept_until = monotonic() + KEPT_S
            return self._kept

    async def _broker(self) -> BrokerFacts:
        ask = self.ask_brokers or (lambda: broker_facts(self.settings.kafka, topic_names(self.settings).values()))
        try:
            return await ask()
        except StreamsError as error:
            return BrokerFacts(unknown={"brokers": str(error)})


async def read_inventory(settings: Settings, progress: Progress = unseen, *, judged: bool = True) -> Inventory:
    """Return the inventory of an installation whose workers run elsewhere, for commands. Raises StreamsError.

    Findings are those that the workers have, from the same profiles. If these cannot be read, the inventory says so.
    Without `judged` there are no findings, and only the last hours of the profiles are read.
    """
    broker = await broker_facts(settings.kafka, topic_names(settings).values())
    pinned = await pinned_model(settings)
    manifest, absent = await asyncio.to_thread(serving_model, settings, pinned)
    history, findings = AssetHistory(), tuple[Finding, ...]()
    try:
        if judged:
            profiled = await read_profiles(settings, progress)
            history, findings = profiled.history, tuple(profiled.quality.findings)
        else:
            newest_ms = broker.topics.get(settings.topics.asset_profiles, TopicFacts()).last_ms
            history = await read_history(settings, newest_ms, progress)
    except StreamsError as error:
        broker = msgspec.structs.replace(broker, unknown={**broker.unknown, "profiles": str(error)})
    return inventory(settings, history, broker, manifest, findings, absent)


def serving_model(settings: Settings, pinned: ModelPin | None) -> tuple[Manifest | None, AbsentModel | None]:
    """Return the manifest of the model that workers with these settings serve, or the model if it cannot be read here.

    The bundle of a pinned model may be on the workers' machines only. Both are None without any bundle and pin.
    """
    folders = ModelFolders(settings.model.directory, configured_at(settings.model.path))
    model = pinned or folders.newest()
    if model is None:
        return None, None
    try:
        return read_manifest(folders.path(model)), None
    except BundleError as error:
        instead = None if folders.configured is None else read_manifest(folders.configured.path)
        return None, AbsentModel(model.name, model.version, f"pinned, but not readable here: {error}", instead)


def inventory(
    settings: Settings,
    history: AssetHistory,
    broker: BrokerFacts,
    manifest: Manifest | None,
    findings: tuple[Finding, ...] = (),
    absent: AbsentModel | None = None,
) -> Inventory:
    """Return the inventory of an installation. `absent` is the serving model if its manifest cannot be read here."""
    names, now_ms = topic_names(settings), round(time() * 1000)
    hours = history.hours()
    # Without a new profile for two intervals, nothing arrives or no worker runs: the old rate is not that of now.
    is_old = now_ms - history.newest_ms > 1000 * (RECENT_S + 2 * settings.assets.interval_seconds)
    declared = {topic.name: topic.partitions for topic in declare(settings)}
    return inventory_of(
        Observed(
            app_id=settings.kafka.app_id,
            now_ms=now_ms,
            names=names,
            partitions={logical: declared[name] for logical, name in names.items()},
            profiles=history.last_hours(),
            window={} if is_old else history.window(RECENT_S),
            window_seconds=RECENT_S,
            hourly=history.hourly_messages(),
            since_ms=hours[0] if hours else None,
            broker=broker,
            manifest=manifest,
            absent=absent,
            sources=settings.retrieval.sources,
            findings=findings,
        )
    )


def default_asyncapi() -> dict[str, Any]:
    """Return the AsyncAPI document of the default settings, without brokers and workers: `clients/asyncapi.json`."""
    settings = load_settings(env_file=None)
    empty = inventory(settings, AssetHistory(), BrokerFacts(), None)
    return asyncapi(empty, settings.kafka.bootstrap_servers, is_encrypted=False)


def topic_names(settings: Settings) -> dict[str, str]:
    """Return the full names of the topics by the name of their setting, and of the changelogs as `changelog/TABLE`."""
    topics = {name: str(getattr(settings.topics, name)) for name in TOPICS}
    return topics | {f"changelog/{table}": changelog_topic(settings, table) for table in TABLES}
