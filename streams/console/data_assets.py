"""The data assets on the Data page: topics, tables and models, what feeds what, and a page of each.

The inventory is made when it is requested, at most once in a few seconds, and not while nobody looks.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from inference.plain_text import printable
from streams.assets.inventory import Asset, Inventory, Lineage, Node
from streams.console.access import Viewer
from streams.console.backend import ConsoleBackend
from streams.console.data_streams import StreamRow
from streams.console.pages import View, link, render
from streams.console.shop import LONGEST_ID
from streams.console.words import current_language, gettext
from streams.exports.drawing import compact, lineage_svg, neighbourhood
from streams.http.problems import Refused

LONGEST_NAME = 300
LISTED = {"topic": "Topics", "table": "Tables", "changelog": "Changelogs", "model": "Models"}
"""Kinds of assets on the page, with their titles."""
KINDS = {
    "topic": "topic", "table": "table", "changelog": "changelog", "model": "model", "event": "event type",
    "context": "key of context", "attribute": "attribute of items", "producer": "producer",
    "source": "candidate source", "feature": "feature of the ranker", "list": "lists",
}  # fmt: skip
"""Kinds of nodes for people."""
OWNERS = {"shop": "the shop", "recommender": "the recommender", "operator": "the operator"}
CHANGELOG = "Restores the table elsewhere"
"""Purpose of a changelog."""
_TITLE = re.compile(r"<title>.*?</title>")


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetRow:
    """An asset in the table. `lag` is that of the slowest consumer group, None if no group reads it."""

    asset: Asset
    name: str
    purpose: str
    lag: int | None


async def assets(backend: ConsoleBackend, request: Request, viewer: Viewer) -> Response:
    """Return the part of the Data page with the assets and their lineage."""
    inventory = await backend.service.assets.inventory()
    view = _view(request, viewer)
    groups = [
        (gettext(title), [_row(each) for each in inventory.assets if each.kind == kind])
        for kind, title in LISTED.items()
    ]
    drawing = _drawing(compact(inventory.lineage), view)
    unknown = sorted({reason for each in inventory.assets for reason in each.unknown.items()})
    html = render(
        "_data_assets.html", view=view, groups=[each for each in groups if each[1]], drawing=drawing, unknown=unknown
    )
    return HTMLResponse(html)


async def asset(backend: ConsoleBackend, request: Request, viewer: Viewer) -> Response:
    """Show an asset, or another node of the lineage, with its neighbours. Raises Refused for an unknown one."""
    inventory, name = await backend.service.assets.inventory(), request.query_params.get("id", "")[:LONGEST_NAME]
    node = next((each for each in inventory.lineage.nodes if each.id == name), None)
    found = inventory.asset(name)
    if node is None and found is None:
        raise Refused(HTTPStatus.NOT_FOUND, "unknown-asset", gettext("There is no such data asset."))
    kind = node.kind if node is not None else found.kind if found is not None else ""
    view = _view(request, viewer)
    return view.page(
        "data_asset.html",
        title=printable(found.name if found else node.title if node else name),
        kind=gettext(KINDS.get(kind, kind)),
        row=_row(found) if found else None,
        owner=gettext(OWNERS.get(found.owner, found.owner)) if found else "",
        streams=_streams_of(backend.streams.overview(current_language()).rows, name, found),
        drawing=_drawing(neighbourhood(inventory.lineage, name), view, marked=name) if node else "",
        sources=_nodes(inventory, inventory.lineage.upstream(name)),
        targets=_nodes(inventory, inventory.lineage.downstream(name)),
        shoppers=(),
    )


def _view(request: Request, viewer: Viewer) -> View:
    return View(viewer, request.query_params.get("user", "")[:LONGEST_ID], "data")


def _row(found: Asset) -> AssetRow:
    lags = [each.lag for each in found.consumers if each.lag is not None]
    purpose = gettext(CHANGELOG if found.kind == "changelog" else found.purpose)
    return AssetRow(asset=found, name=printable(found.name), purpose=purpose, lag=max(lags, default=None))


def _drawing(lineage: Lineage, view: View, marked: str | None = None) -> Markup:
    """Return the drawing of a graph. The tooltips, which are English, are left out in other languages."""
    drawn = lineage_svg(
        lineage, lambda node: link("data/asset", id=node.id, user=view.user), marked, gettext("Lineage")
    )
    return Markup(drawn if current_language() == "en" else _TITLE.sub("", drawn))  # noqa: S704 - drawn with escapes


def _streams_of(rows: Sequence[StreamRow], name: str, found: Asset | None) -> list[StreamRow]:
    """Return the streams of a topic, an event type or a producer."""
    kind, _, rest = name.partition("/")
    if kind == "topic" and found is not None:
        return [row for row in rows if row.stream.topic == found.name]
    wanted = {"event": "type", "producer": "producer"}.get(kind)
    return [row for row in rows if wanted and getattr(row.stream, wanted) == rest]


def _nodes(inventory: Inventory, ids: set[str]) -> list[Node]:
    return [node for node in inventory.lineage.nodes if node.id in ids]
