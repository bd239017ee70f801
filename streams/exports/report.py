"""The inventory as one HTML file that needs no network and no script, light or dark like the reader's system."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from inference.plain_text import printable
from streams.assets import texts
from streams.assets.inventory import KINDS, Asset, Inventory, Lineage, Node
from streams.exports.drawing import compact, lineage_svg, neighbourhood, sparkline

TITLES = {
    "topic": "Topics", "table": "Tables", "changelog": "Changelogs", "model": "Models", "event": "Event types",
    "context": "Keys of context", "attribute": "Attributes of items",
}  # fmt: skip


def report(inventory: Inventory) -> str:
    """Return the page. Names of producers, keys and values are untrusted: everything is escaped."""
    environment = Environment(
        loader=PackageLoader("streams.exports"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, finalize=_shown,
    )  # fmt: skip
    lineage = inventory.lineage
    anchors = {node.id: f"node-{number}" for number, node in enumerate(lineage.nodes)}

    def link(node: Node) -> str:
        return f"#{anchors[node.id]}"

    def around(name: str) -> Markup:
        return Markup(lineage_svg(neighbourhood(lineage, name), link, marked=name))  # noqa: S704 - drawn with escapes

    found = sorted({each.id for each in inventory.assets if any(field.found for field in each.fields)})
    page: str = environment.get_template("report.html").render(
        inventory=inventory,
        lineage=lineage,
        whole=Markup(lineage_svg(compact(lineage), link)),  # noqa: S704
        around=around,
        spark=lambda asset: Markup(sparkline(asset.hourly)),  # noqa: S704
        kinds=[(TITLES[kind], _of_kind(inventory, kind)) for kind in KINDS if _of_kind(inventory, kind)],
        others=[node for node in lineage.nodes if not node.is_asset],
        anchors=anchors,
        names=lambda ids: _ordered(lineage, ids),
        found=[inventory.asset(name) for name in found],
        unknown=sorted({reason for each in inventory.assets for reason in each.unknown.items()}),
        rate=sum(each.rate or 0 for each in inventory.assets if each.kind == "event"),
        texts=texts,
    )
    return page


def _shown(value: object) -> object:
    """Return a value of the page without characters that hide or turn text around. Markup is drawn with escapes."""
    return printable(value) if type(value) is str else value


def _of_kind(inventory: Inventory, kind: str) -> list[Asset]:
    return [each for each in inventory.assets if each.kind == kind]


def _ordered(lineage: Lineage, ids: set[str]) -> list[Node]:
    return [node for node in lineage.nodes if node.id in ids]
