"""`python -m tests.training.value.two_producers EVENTS OUTPUT FAULT`: a log of two producers, one with a fault.

The shoppers are divided at random: `shop-web` sends the events of one half as they are, `shop-app` those of the other.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from random import Random
from typing import Any
from zlib import crc32

import click

GOOD, BAD = "shop-web", "shop-app"
FAULTS = ("shuffled", "duplicates")
"""`shuffled`: the items of actions are exchanged at random. `duplicates`: each event is sent again with a new id."""


def two_producers(lines: Iterable[bytes], fault: str, seed: int = 0) -> list[bytes]:
    """Return the lines of a file of events with their producers, those of shop-app with a fault."""
    events: list[dict[str, Any]] = [json.loads(line) for line in lines]
    for event in events:
        event["ce_source"] = BAD if crc32(event["user_id"].encode()) & 1 else GOOD
    wrong = [event for event in events if event["ce_source"] == BAD]
    if fault == "shuffled":
        actions = [event for event in wrong if "item_id" in event]
        items = [event["item_id"] for event in actions]
        Random(seed).shuffle(items)
        for event, item in zip(actions, items, strict=True):
            event["item_id"] = item
    else:
        events += [{**event, "event_id": f"{event['event_id']}-again"} for event in wrong]
    return [json.dumps(event).encode() + b"\n" for event in events]


@click.command()
@click.argument("events", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.argument("output", type=click.Path(path_type=Path, dir_okay=False))
@click.argument("fault", type=click.Choice(FAULTS))
def main(events: Path, output: Path, fault: str) -> None:
    """Write OUTPUT from a file of EVENTS."""
    with events.open("rb") as source, output.open("wb") as target:
        target.writelines(two_producers(source, fault))


if __name__ == "__main__":
    main()
