"""Alertmanager's configuration, adapted for tests."""

from __future__ import annotations

import re

from tests.monitoring.rules import ROOT

CONFIG = ROOT / "monitoring" / "alertmanager" / "alertmanager.yml"
FOLDER = "/etc/alertmanager/receivers/"


def configuration(address: str) -> str:
    """Return the shipped configuration with the receivers at `address`. The name of each address file becomes a path.

    Address files need Alertmanager 0.26; Debian 12 has 0.25.
    """
    return CONFIG.read_text().replace(f"url_file: {FOLDER}", f"url: http://{address}/")


def without_delays(config: str) -> str:
    """Return the configuration with all grouping intervals set to one second."""
    return re.sub(r"(group_wait|group_interval): \w+", r"\1: 1s", config)
