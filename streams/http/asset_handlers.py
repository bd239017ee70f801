"""The functions behind the routes of data assets. Their docstrings are the texts of the OpenAPI document."""

from __future__ import annotations

from streams.assets.building import data_finding
from streams.assets.inventory import Inventory
from streams.http.handlers import Backend, Call
from streams.http.messages import DataFindings


async def assets(backend: Backend, _call: Call) -> Inventory:
    """Return the inventory of data assets: topics, tables, models, event types, keys, and what feeds what.

    It contains frequent values of the shop's own fields and keys, and names of producers, but no ids or searches of
    shoppers. It is at most 15 seconds old. Facts that the brokers do not report are left out, with the reason.
    """
    return await backend.assets.inventory()


async def findings(backend: Backend, _call: Call) -> DataFindings:
    """Return what is wrong with the data that producers send, the serious and the oldest first.

    A finding names the producer, which is untrusted text, and says since when, what it means for shoppers, and what to
    do. Findings are those of all workers.
    """
    return DataFindings(findings=tuple(map(data_finding, backend.quality.findings)))
