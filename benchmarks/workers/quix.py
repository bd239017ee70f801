"""Quix Streams doing the same: read the state, update it, send. Its clients are C (librdkafka), its state RocksDB.

It keeps what it wrote in memory until the next checkpoint, and then writes each shopper's profile once to the store and
to the changelog, so it promises less until then. The checkpoints come as often as our commits.
"""

from __future__ import annotations

from typing import Any

from quixstreams import Application, State

from benchmarks.workers import given_settings
from benchmarks.workers.sizes import LIST, updated
from streams.settings import Settings

STATE = "profile"


def recommend(_value: Any, state: State) -> bytes:
    """Count one event in the shopper's profile and answer it."""
    state.set_bytes(STATE, updated(state.get_bytes(STATE)))
    return LIST


def application(settings: Settings) -> Application:
    """Make the application."""
    app = Application(
        broker_address=settings.bootstrap_servers,
        consumer_group=settings.app_id,
        auto_offset_reset="earliest",
        commit_interval=settings.commit_interval_seconds,
        state_dir=settings.data_dir,
        loglevel="WARNING",
    )
    source = app.topic(settings.clicks_topic, key_deserializer="bytes", value_deserializer="bytes")
    lists = app.topic(settings.recommendations_topic, key_serializer="bytes", value_serializer="bytes")
    app.dataframe(source).apply(recommend, stateful=True).to_topic(lists)
    return app


if __name__ == "__main__":
    application(given_settings()).run()
