"""The presets of catalogues, on small exports in the form of each platform's documentation."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from streams.errors import ConfigurationError, NothingImported
from tests.training.importing.shops import acts, ignored, imported, items_of
from training.importing.catalogue import fields_of
from training.importing.drafts import ItemDraft
from training.importing.formats import FORMATS
from training.importing.run import Import, Importer
from training.importing.values import Price, Values

SHOPIFY = """\
Handle,Title,Body (HTML),Vendor,Product Category,Type,Tags,Published,Option1 Name,Option1 Value,Option2 Name,\
Option2 Value,Variant SKU,Variant Inventory Tracker,Variant Inventory Qty,Variant Inventory Policy,Variant Price,\
Variant Barcode,Image Src,Status
tee,Classic Tee,"<p>Soft,
organic <b>cotton</b></p>",Fjell,Apparel & Accessories > Clothing > Shirts,T-Shirts,new,TRUE,Size,S,Color,Red,\
TEE-S-R,shopify,0,deny,19.90,400001,https://cdn.example/a.jpg,active
tee,,,,,,,,,M,,Blue,TEE-M-B,shopify,3,deny,21.90,400002,,
tee,,,,,,,,,,,,,,,,,,https://cdn.example/b.jpg,
mug,Enamel Mug,,Fjell,,Mugs,,TRUE,Title,Default Title,,,MUG,,,deny,9.00,,,active
lamp,Lamp,,Lux,Home & Garden > Lighting,,,TRUE,Title,Default Title,,,LAMP,shopify,-2,continue,49.00,,,active
old,Old Mug,,Fjell,,Mugs,,TRUE,Title,Default Title,,,OLD,,,deny,5.00,,,archived
hidden,Hidden Mug,,Fjell,,Mugs,,FALSE,Title,Default Title,,,HID,,,deny,5.00,,,active
none,,,Fjell,,Mugs,,TRUE,Title,Default Title,,,NONE,,,deny,5.00,,,active
"""
"""Shopify Help Center, "Using CSV files to import and export products": the column names until 2025."""

SHOPIFY_2025 = """\
Title,URL handle,Description,Vendor,Product category,Type,Published on online store,Status,SKU,Barcode,Option1 name,\
Option1 value,Price,Inventory tracker,Inventory quantity,Continue selling when out of stock
Classic Tee,tee,Soft,Fjell,Apparel & Accessories > Clothing,Shirts,TRUE,Active,TEE-S,,Size,S,19.90,shopify,0,DENY
,tee,,,,,,,TEE-M,,,M,21.90,shopify,0,CONTINUE
"""
"""The column names of Shopify's template from 2025 on."""

WOO = """\
ID,Type,SKU,"GTIN, UPC, EAN, or ISBN",Name,Published,"Is featured?","Short description",Description,"In stock?",\
"Sale price","Regular price",Categories,Tags,Parent,Brands,"Attribute 1 name","Attribute 1 value(s)"
45,variation,hoodie-red,,"Hoodie - Red",1,0,,,1,42,45,,,woo-hoodie,,Color,Red
46,variation,hoodie-blue,,"Hoodie - Blue",1,0,,,0,,40,,,id:44,,Color,Blue
44,variable,woo-hoodie,,Hoodie,1,0,"Short","<p>A warm hoodie.</p>",1,,,"Clothing, Clothing > Hoodies",,,Fjell,Color,\
"Red, Blue"
50,simple,woo-beanie,978014,Beanie,1,0,"A warm beanie.",,1,,"18,50","Accessories\\, small",,,,,
51,simple,draft,,Draft,-1,0,,,1,,10,,,,,,
"""
"""WooCommerce wiki, "Product CSV Import Schema"; `\\,` is a comma within a term."""

FEED = """\
<?xml version="1.0" encoding="UTF-8"?>
<rss xmlns:g="http://base.google.com/ns/1.0" version="2.0">
<channel>
<title>Example shop</title>
<item>
<g:id>TV-1-B</g:id>
<g:item_group_id>TV-1</g:item_group_id>
<title>LG 32&quot; TV</title>
<g:description><![CDATA[Flat <b>screen</b>]]></g:description>
<g:google_product_category>Electronics &gt; Video &gt; Televisions</g:google_product_category>
<g:product_type>TVs &gt; Flat</g:product_type>
<g:product_type>Sale</g:product_type>
<g:price>159.00 USD</g:price>
<g:sale_price>139.00 USD</g:sale_price>
<g:availability>in_stock</g:availability>
<g:brand>LG</g:brand>
<g:color>black</g:color>
<g:shipping><g:country>US</g:country><g:price>14.95 USD</g:price></g:shipping>
</item>
<item>
<g:id>TV-1-W</g:id><g:item_group_id>TV-1</g:item_group_id><g:title>LG 32" TV, white</g:title>
<g:price>149.00 USD</g:price><g:availability>out of stock</g:availability><g:color>white</g:color>
</item>
<item><g:id>DVD-9</g:id><g:title>Film</g:title><g:price>9.99 USD</g:price>
<g:sale_price>4.99 USD</g:sale_price><g:sale_price_effective_date>2026-01-01/2026-01-08</g:sale_price_effective_date>
<g:google_product_category>839</g:google_product_category><g:availability>preorder</g:availability></item>
<item><g:title>No id</g:title></item>
</channel>
</rss>
"""
"""Merchant Center Help, "Product data specification" and "RSS 2.0 specification"."""


def test_shopify_variants_are_one_item(tmp_path: Path) -> None:
    shop = imported(tmp_path, catalog=("shopify", SHOPIFY), currency="EUR")
    assert list(shop.items) == ["tee", "mug", "lamp", "old", "hidden"]
    tee = shop.items["tee"]
    assert (tee.title, tee.description, tee.brand) == ("Classic Tee", "Soft, organic cotton", "Fjell")
    assert tee.category == ("Apparel & Accessories", "Clothing", "Shirts", "T-Shirts")
    assert (tee.price, tee.currency, tee.in_stock) == (21.9, "EUR", True)
    assert tee.attributes == {"Size": "S, M", "Color": "Red, Blue"}
    assert (shop.items["mug"].category, shop.items["mug"].attributes) == (("Mugs",), {})
    assert {item_id: item.in_stock for item_id, item in shop.items.items()} == {
        "tee": True, "mug": True, "lamp": True, "old": False, "hidden": False,
    }  # fmt: skip
    assert shop.report.items is not None
    dropped = shop.report.items.dropped
    assert list(dropped) == ["title is missing"]
    assert dropped["title is missing"].examples[0].startswith("catalog:10")


def test_shopify_names_of_2025(tmp_path: Path) -> None:
    (tee,) = imported(tmp_path, catalog=("shopify", SHOPIFY_2025)).items.values()
    assert (tee.item_id, tee.title, tee.description, tee.price) == ("tee", "Classic Tee", "Soft", 21.9)
    assert (tee.in_stock, tee.attributes) == (True, {"Size": "S, M"})


def test_woocommerce_variations_belong_to_their_product(tmp_path: Path) -> None:
    shop = imported(tmp_path, catalog=("woocommerce", WOO), currency="EUR")
    assert list(shop.items) == ["44", "50", "51"]
    hoodie, beanie, draft = shop.items.values()
    assert (hoodie.title, hoodie.description, hoodie.category) == (
        "Hoodie", "A warm hoodie.", ("Clothing", "Hoodies"),
    )  # fmt: skip
    assert (hoodie.brand, hoodie.price, hoodie.in_stock) == ("Fjell", 42.0, True)
    assert (beanie.description, beanie.price, beanie.category) == ("A warm beanie.", 18.5, ("Accessories, small",))
    assert not draft.in_stock


def test_a_merchant_feed_as_xml(tmp_path: Path) -> None:
    shop = imported(tmp_path, catalog=("merchant", FEED))
    tv, film = shop.items.values()
    assert (tv.item_id, tv.title, tv.description) == ("TV-1", 'LG 32" TV', "Flat screen")
    assert (tv.category, tv.brand) == (("TVs", "Flat"), "LG")
    assert (tv.price, tv.currency, tv.in_stock) == (139.0, "USD", True)
    assert tv.attributes == {"color": "black, white"}
    assert (film.item_id, film.price, film.category, film.in_stock) == ("DVD-9", 9.99, (), True)
    assert shop.report.items is not None
    assert shop.report.items.dropped["id is missing"].examples == ["catalog:27"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_merchant_feed_as_tsv(tmp_path: Path, encoding: str) -> None:
    feed = "id\ttitle\tprice\tavailability\titem group id\nA-1\tKäse\t1.299,00 EUR\tin stock\tA\n"
    (item,) = imported(tmp_path, catalog=("merchant", feed.encode(encoding))).items.values()
    assert (item.item_id, item.title, item.price, item.currency) == ("A", "Käse", 1299.0, "EUR")


BOMB = """<?xml version="1.0"?><!DOCTYPE rss [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]>
<rss><channel><item><id>1</id><title>&b;</title></item></channel></rss>"""
EXTERNAL = """<?xml version="1.0"?><!DOCTYPE rss [<!ENTITY a SYSTEM "file:///etc/passwd">]>
<rss><channel><item><id>1</id><title>&a;</title></item></channel></rss>"""


@pytest.mark.parametrize("feed", [BOMB, EXTERNAL])
def test_entities_of_a_feed_are_refused(tmp_path: Path, feed: str) -> None:
    with pytest.raises(ConfigurationError, match="required XML without entities"):
        imported(tmp_path, catalog=("merchant", feed))


def test_a_broken_feed_is_an_error_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"required a feed as XML, got: .*:3:"):
        imported(tmp_path, catalog=("merchant", "<rss>\n<channel>\n<item></channel></rss>"))


@pytest.mark.parametrize(
    ("name", "row", "page"),
    [
        ("shopify", {"variant price": "15.00", "variant compare at price": "20.00",
                     "image src": "https://cdn.example/a"}, None),
        ("woocommerce", {"sale price": "15", "regular price": "20",
                         "images": "https://cdn.example/a, https://cdn.example/b"}, None),
        ("merchant", {"id": "1", "sale_price": "15 EUR", "price": "20 EUR", "image_link": "https://cdn.example/a",
                      "link": "https://shop.example/1"}, "https://shop.example/1"),
    ],
)  # fmt: skip
def test_pictures_pages_and_prices_before_a_discount(name: str, row: dict[str, str], page: str | None) -> None:
    convert = FORMATS[name].to_item
    assert convert is not None
    fields = fields_of(convert(row, Values()))
    assert (fields["price"], fields["list_price"]) == (15.0, 20.0)
    assert (fields["image_url"], fields.get("url")) == ("https://cdn.example/a", page)


def test_a_price_before_a_discount_belongs_to_the_variant_with_the_price(tmp_path: Path) -> None:
    assert fields_of(ItemDraft(item_id="a", price=Price(5.0), list_price=Price(5.0)))["list_price"] is None
    rows = "Handle,Title,Variant Price,Variant Compare At Price\na,A,9.00,20.00\na,,8.00,\n"
    assert imported(tmp_path, catalog=("shopify", rows)).items["a"].price == 8.0


RETAILROCKET = (
    "timestamp,itemid,property,value\n"
    "1435460400000,1,categoryid,338\n"
    "1435460400000,1,888,old text\n"
    "1439694000000,1,888,1116713 960601 n277.200\n"
    "1439694000000,1,available,0\n"
    "1435460400000,1,available,1\n"
    "1431226800000,1,790,n15360.000\n"
    "1431226800000,1,364,ignored\n"
    "1431226800000,2,categoryid,7\n"
)
TREE = "categoryid,parentid\n338,209.0\n209,\n7,7\n"


def test_retailrocket_properties_of_the_latest_time_count(tmp_path: Path) -> None:
    """The data set's page: every row has the time from which the value holds."""
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "item_properties_part1.csv").write_text(RETAILROCKET)
    (folder / "category_tree.csv").write_text(TREE)
    plan = Import(catalogs=[("retailrocket", folder)], events=[], output=tmp_path / "out")
    report = Importer(plan, ignored).run()
    (item,) = items_of(tmp_path / "out").values()
    assert (item.title, item.category, item.price, item.in_stock) == (
        "1116713 960601 n277.200", ("209", "338"), 15360.0, False,
    )  # fmt: skip
    assert report.items is not None
    assert report.items.dropped["title is missing"].count == 1


def test_events_name_a_product_by_the_ids_of_its_variants(tmp_path: Path) -> None:
    rows = "timestamp,visitorid,event,itemid,transactionid\n" + "".join(
        f"14396940000{number},7,view,{item},\n" for number, item in enumerate(["TEE-M-B", "400001", "tee", "507"], 10)
    )
    shop = imported(tmp_path, catalog=("shopify", SHOPIFY), events=("retailrocket", rows))
    assert acts(shop.events) == [("7", "view", "tee")] * 3
    assert shop.report.events is not None
    assert shop.report.events.dropped["item is not in the catalogue"].examples == ["log:5: 507"]


def test_an_id_of_two_products_is_unclear(tmp_path: Path) -> None:
    rows = "Handle,Title,Variant SKU,Variant Price\na,A,X,1.00\nb,B,X,2.00\n"
    events = "timestamp,visitorid,event,itemid\n1439694000000,7,view,X\n1439694000000,7,view,a\n"
    shop = imported(tmp_path, catalog=("shopify", rows), events=("retailrocket", events))
    assert acts(shop.events) == [("7", "view", "a")]
    assert shop.report.items is not None
    assert "id of two items, so events with it are dropped" in shop.report.items.remarks


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("shopify", "Handle,Name\na,b\n", "required the column Title"),
        ("woocommerce", "Nom,ID\na,1\n", "required the column Name"),
        ("merchant", "id,titel\n1,a\n", "required the column title"),
        ("ga4", "x", "ga4: required a format of a catalogue"),
        ("other", "x", "required shopify, woocommerce, merchant"),
        ("shopify", b"Handle,Title\na,K\xe4se\n", "give --encoding"),
        ("shopify", b"\x1f\x8b broken", "required a readable file"),
    ],
)
def test_a_file_of_another_format_is_an_error(tmp_path: Path, name: str, content: str | bytes, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        imported(tmp_path, catalog=(name, content))
    assert not (tmp_path / "out" / "items.jsonl").exists()


def test_rows_that_do_not_fit_are_dropped_and_reported(tmp_path: Path) -> None:
    rows = f"Handle;Title\na;A;\nb;B;more\n;C\nd;{'D' * 1001}\n{'e' * 129};E\n\n"
    shop = imported(tmp_path, catalog=("shopify", rows))
    assert [(item_id, len(item.title)) for item_id, item in shop.items.items()] == [("a", 1), ("d", 1000)]
    assert shop.report.items is not None
    assert {reason: tally.examples[0] for reason, tally in shop.report.items.dropped.items()} == {
        "row has more cells than the header": "catalog:3: 3 cells",
        "item_id is missing": "catalog:4",
        "item_id is empty, too long or out of range": "catalog:6: required string of length <= 128, got 129",
    }
    assert shop.report.items.remarks["title was cut to 1000 characters"].count == 1


def test_no_usable_item_is_an_error_that_says_why(tmp_path: Path) -> None:
    with pytest.raises(NothingImported, match="title is missing"):
        imported(tmp_path, catalog=("shopify", "Handle,Title\na,\n"))
    assert list((tmp_path / "out").iterdir()) == []


def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path: Path) -> None:
    for encoding in (None, "utf-8"):
        content = "Handle,Title\na,Käse\n".encode("utf-8-sig")
        assert imported(tmp_path, catalog=("shopify", content), encoding=encoding).items["a"].title == "Käse"


def test_latin_1_and_gzip(tmp_path: Path) -> None:
    content = gzip.compress("Handle,Title\na,Käse\n".encode("latin-1"))
    shop = imported(tmp_path, catalog=("shopify", content), encoding="latin-1")
    assert shop.items["a"].title == "Käse"
