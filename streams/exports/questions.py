"""The two tables of the history of profiles, and questions with a name. It imports nothing: a help text needs it."""

from __future__ import annotations

from collections.abc import Mapping

STREAMS = {
    "hour": "TIMESTAMP", "topic": "VARCHAR", "type": "VARCHAR", "producer": "VARCHAR", "messages": "BIGINT",
    "refused": "BIGINT", "outcomes": "MAP(VARCHAR, BIGINT)", "marks": "MAP(VARCHAR, BIGINT)",
    "first_seen": "TIMESTAMP", "last_seen": "TIMESTAMP", "median_bytes": "DOUBLE", "median_delay_seconds": "DOUBLE",
}  # fmt: skip
"""Columns of the table of streams, with DuckDB's types. Times are UTC."""
FIELDS = {
    "hour": "TIMESTAMP", "topic": "VARCHAR", "type": "VARCHAR", "producer": "VARCHAR", "field": "VARCHAR",
    "present": "BIGINT", "completeness": "DOUBLE", "distinct_values": "BIGINT", "least": "DOUBLE", "low": "DOUBLE",
    "median": "DOUBLE", "high": "DOUBLE", "greatest": "DOUBLE", "types": "MAP(VARCHAR, BIGINT)",
    "frequent": "MAP(VARCHAR, BIGINT)", "personal": "MAP(VARCHAR, BIGINT)",
}  # fmt: skip
"""Columns of the table of fields. `low` and `high` are the 5% and 95% quantiles, of numbers or of lengths of texts."""
TABLES = {"streams": STREAMS, "fields": FIELDS}

QUESTIONS: Mapping[str, str] = {
    "volume": "SELECT hour, type, sum(messages) AS messages, sum(refused) AS refused FROM streams "
    "GROUP BY ALL ORDER BY hour DESC, type",
    "producers": "SELECT producer, topic, min(first_seen) AS first_seen, max(last_seen) AS last_seen, "
    "sum(messages) AS messages, sum(refused) AS refused FROM streams GROUP BY ALL ORDER BY producer, topic",
    "completeness": "SELECT type, producer, field, min(completeness) AS lowest, avg(completeness) AS mean, "
    "arg_min(hour, completeness) AS lowest_hour FROM fields WHERE completeness < 1 GROUP BY ALL "
    "ORDER BY mean - lowest DESC, type, producer, field",
    "personal": "SELECT field, producer, min(hour) AS since, max(hour) AS until, count(*) AS hours FROM fields "
    "WHERE cardinality(personal) > 0 GROUP BY ALL ORDER BY field, producer",
    "keys": "SELECT field, type, min(hour) AS first_hour, max(hour) AS last_hour, sum(present) AS messages FROM fields "
    "WHERE field LIKE '%.%' GROUP BY ALL ORDER BY field, type",
}
"""Questions with a name, as SQL."""
