"""The table of formats."""

from __future__ import annotations

from pathlib import Path

from streams.errors import ConfigurationError
from training.importing.drafts import Format
from training.importing.ga4 import GA4
from training.importing.mapping import SUFFIXES, read_mapping
from training.importing.merchant import MERCHANT
from training.importing.retailrocket import RETAILROCKET
from training.importing.segment import SEGMENT
from training.importing.shopify import SHOPIFY
from training.importing.snowplow import SNOWPLOW
from training.importing.woocommerce import WOOCOMMERCE

FORMATS = {
    "shopify": SHOPIFY,
    "woocommerce": WOOCOMMERCE,
    "merchant": MERCHANT,
    "ga4": GA4,
    "segment": SEGMENT,
    "snowplow": SNOWPLOW,
    "retailrocket": RETAILROCKET,
}
"""The presets by the name that the command takes."""


def find_format(name: str) -> Format:
    """Return a preset, or the format of a mapping file. Raises ConfigurationError."""
    if name.lower().endswith(SUFFIXES):
        return read_mapping(Path(name))
    if name not in FORMATS:
        raise ConfigurationError(f"required {', '.join(FORMATS)} or a mapping file (.toml, .json), got {name}")
    return FORMATS[name]
