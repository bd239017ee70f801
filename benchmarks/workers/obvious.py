"""A plain Faust agent: reads the table, writes the table, sends. Settings and logging as in Faust's tutorial.

Values have the same sizes as the project's, and nothing is computed.
"""

from __future__ import annotations

import sys

import faust

from benchmarks.workers import given_settings
from benchmarks.workers.sizes import LIST, updated
from streams.settings import Settings
from streams.worker.faust.app import broker_url


def application(settings: Settings) -> faust.App:
    """Make the app."""
    app = faust.App(
        settings.kafka.app_id,
        broker=broker_url(settings.kafka),
        datadir=str(settings.state.data_dir),
        store="rocksdb://",
        topic_partitions=settings.topics.partitions,
        consumer_auto_offset_reset="earliest",
        web_enabled=False,
    )
    source = app.topic(settings.topics.clicks, key_type=bytes, value_type=bytes)
    lists = app.topic(settings.topics.recommendations, key_type=bytes, value_type=bytes)
    profiles = app.Table("profiles", key_type=bytes, value_type=bytes, options={"driver": "rocksdict"})

    @app.agent(source)  # type: ignore[untyped-decorator]  # Faust is untyped
    async def recommend(stream: faust.Stream[bytes]) -> None:
        async for user, _ in stream.items():  # noqa: PERF102 - a stream, not a dictionary
            profiles[user] = updated(profiles.get(user))
            await lists.send(key=user, value=LIST)

    return app


if __name__ == "__main__":
    app = application(given_settings())
    faust.Worker(app, loglevel="WARNING", quiet=True).execute_from_commandline()
    sys.exit()
