"""Google Merchant Center: a product feed as RSS 2.0, Atom or tab-separated text ("Product data specification").

Products with the same `item_group_id` are variants of one item. Feeds are untrusted: XML that declares entities is
refused, and nothing outside the file is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from xml.sax import SAXException  # the exception only; defusedxml parses
from xml.sax.handler import ContentHandler, feature_namespaces

from defusedxml.common import DefusedXmlException
from defusedxml.expatreader import DefusedExpatParser

from streams.errors import ConfigurationError
from training.importing.drafts import Format, ItemDraft
from training.importing.records import Record, Source, cells, csv_rows
from training.importing.values import NO_PRICE, Unusable, Values, description, path, text

CHUNK = 65_536
ATTRIBUTES = ("color", "size", "material", "pattern", "gender", "age_group", "condition")
REPEATED = {"product_type"}


def entries(source: Source) -> Iterator[Record]:
    """Read the products of a feed. Its first character decides whether it is XML."""
    with source.opened() as file:
        is_xml = file.read(200).lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"<")
    if is_xml:
        return _of_xml(source)
    return csv_rows(source, [("id",), ("title",)])


class _Products(ContentHandler):  # type: ignore[misc, unused-ignore]
    """Collects the children of each `item` or `entry` as texts. `ready` holds complete products."""

    def __init__(self, parser: DefusedExpatParser) -> None:
        super().__init__()
        self._parser = parser
        self._product: dict[str, str] | None = None
        self._depth = 0
        self._texts: list[str] = []
        self._line = 0
        self.ready: list[tuple[int, dict[str, str]]] = []

    def startElementNS(self, name: tuple[str | None, str], qname: str | None, attrs: Any) -> None:  # noqa: ARG002, N802
        if self._product is not None:
            self._depth += 1
            self._texts = [] if self._depth == 1 else self._texts
        elif name[1] in ("item", "entry"):
            self._product, self._depth, self._line = {}, 0, self._parser.getLineNumber()

    def characters(self, content: str) -> None:
        if self._depth == 1:
            self._texts.append(content)

    def endElementNS(self, name: tuple[str | None, str], qname: str | None) -> None:  # noqa: ARG002, N802
        if self._product is None:
            return
        if self._depth == 0:
            self.ready.append((self._line, self._product))
            self._product = None
            return
        if self._depth == 1:
            # A repeated attribute counts once: the first product type is the main one. `g:title` is before `title`.
            self._product.setdefault(name[1].lower(), "".join(self._texts))
        self._depth -= 1


def _of_xml(source: Source) -> Iterator[Record]:
    # A document type is allowed, since some feeds have one; it is useless to an attacker without entities.
    parser = DefusedExpatParser(forbid_dtd=False, forbid_entities=True, forbid_external=True)
    parser.setFeature(feature_namespaces, True)
    handler = _Products(parser)
    parser.setContentHandler(handler)
    with source.opened() as file:
        try:
            while chunk := file.read(CHUNK):
                parser.feed(chunk)
                for line, product in handler.ready:
                    yield Record(source.name, line, product)
                handler.ready.clear()
            parser.close()
        except DefusedXmlException as error:
            raise ConfigurationError(f"{source.path}: required XML without entities, got: {error}") from error
        except SAXException as error:
            raise ConfigurationError(f"{source.path}: required a feed as XML, got: {error}") from error


def product(data: Any, values: Values) -> ItemDraft:
    """Convert a product, which may be a variant of an item."""
    # Delimited feeds may write `item group id` and `image link` with spaces.
    row = {name.replace(" ", "_").removeprefix("g:"): value for name, value in cells(data).items()}
    product_id = text(row.get("id"))
    if product_id is None:
        raise Unusable("id is missing")
    google = text(row.get("google_product_category"))
    sale = text(row.get("sale_price"))
    on_sale = sale is not None and text(row.get("sale_price_effective_date")) is None
    return ItemDraft(
        item_id=text(row.get("item_group_id")) or product_id,
        aliases=(product_id, text(row.get("mpn")), text(row.get("gtin"))),
        title=text(row.get("title")),
        description=description(row.get("description")),
        category=path(row.get("product_type")) or (path(google) if google and not google.isdigit() else ()),
        brand=text(row.get("brand")),
        price=values.price(sale if on_sale else row.get("price")),
        list_price=values.price(row.get("price")) if on_sale else NO_PRICE,
        url=values.url(row.get("link")),
        image_url=values.url(row.get("image_link")),
        in_stock=values.available(row.get("availability")),
        attributes={name: value for name in ATTRIBUTES if (value := text(row.get(name)))},
        seller=text(row.get("external_seller_id")),
    )


MERCHANT = Format(title="Google Merchant feed, XML or TSV", read_items=entries, to_item=product)
