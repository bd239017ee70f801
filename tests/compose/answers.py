"""A script for a worker's container: `python - PREFIX COUNT` reads until COUNT events with PREFIX are answered."""

from __future__ import annotations

import asyncio
import sys

from aiokafka import AIOKafkaConsumer

from streams.contracts import serde
from streams.kafka.clients import client_options
from streams.settings import Settings, load_settings

TIMEOUT_S = 120


async def answered(settings: Settings, prefix: str, count: int) -> set[str]:
    """Return the ids of the events that are answered before the timeout."""
    found: set[str] = set()
    options = {**client_options(settings.kafka), "auto_offset_reset": "earliest"}
    async with AIOKafkaConsumer(settings.topics.recommendations, **options) as consumer:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                async for record in consumer:
                    event_id = serde.decode_recommendations(record.value).trigger.event_id
                    found |= {event_id} if event_id.startswith(prefix) else set()
                    if len(found) == count:
                        break
        except TimeoutError:
            pass
    return found


if __name__ == "__main__":
    sys.stdout.write(str(len(asyncio.run(answered(load_settings(), sys.argv[1], int(sys.argv[2]))))))
