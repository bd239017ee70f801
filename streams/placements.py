"""The placements of a shop: which lists an event has, and how each is made. No I/O."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

import msgspec

from inference.placements import DEFAULT, EVERYWHERE, Placement, PlacementName
from inference.retrieval.sources import NAMES
from streams.errors import ConfigurationError

VARIABLE = "INTENTSTREAM_PLACEMENTS_FILE"
EventType = Literal["search", "view", "click", "cart", "purchase"]
DEFAULT_EVENTS: Mapping[str, tuple[str, ...]] = dict.fromkeys(get_args(EventType), (DEFAULT,))
"""Every type of event has one list, at the default placement."""


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The content of the file: placements by name, and those of each type of event."""

    placements: Mapping[PlacementName, Placement] = {}
    events: Mapping[EventType, tuple[PlacementName, ...]] = {}


@dataclass(frozen=True, slots=True)
class Placements:
    """The placements of a shop.

    Attributes:
        named: placements by name, always with the default one.
        events: for every type of event, the names of the placements at which it has a list.
    """

    named: Mapping[str, Placement] = field(default_factory=lambda: {DEFAULT: EVERYWHERE})
    events: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: DEFAULT_EVENTS)

    def only(self, name: str) -> Placements:
        """Return placements at which each event has one list, at the placement with this name.

        Raises:
            ConfigurationError: no placement has this name.
        """
        _require_known(name, self.named, "placement")
        return Placements(self.named, dict.fromkeys(DEFAULT_EVENTS, (name,)))


DEFAULT_ONLY = Placements()
"""The placements without a file."""


def parse_placements(content: bytes, path: Path, sources: Collection[str]) -> Placements:
    """Read placements from the content of a file, JSON if its name ends in `.json`, otherwise TOML.

    `sources` are the names of the sources in use. Raises ConfigurationError with the place of the fault.
    """
    try:
        file = (msgspec.json.decode if path.suffix == ".json" else msgspec.toml.decode)(content, type=_File)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{VARIABLE}: {path}: {error}") from error
    named = {DEFAULT: EVERYWHERE, **file.placements}
    for name, placement in named.items():
        for source in (*(placement.sources or ()), *placement.weights):
            _require_known(source, sources, f"{VARIABLE}: {path}: source of the placement {name}")
    for kind, names in file.events.items():
        if len(set(names)) < len(names):
            raise ConfigurationError(
                f"{VARIABLE}: {path}: events.{kind}: required each placement once, got {', '.join(names)}"
            )
        for name in names:
            _require_known(name, named, f"{VARIABLE}: {path}: events.{kind}")
    return Placements(named, {**DEFAULT_EVENTS, **{str(kind): names for kind, names in file.events.items()}})


def _require_known(name: str, known: Collection[str], where: str) -> None:
    if name not in known:
        off = ", which INTENTSTREAM_SOURCES leaves out" if name in NAMES else ""
        raise ConfigurationError(f"{where}: required one of {', '.join(known)}, got {name!r}{off}")
