"""Alertmanager's configuration for the tests."""

from __future__ import annotations

import re

from tests.monitoring.rules import ROOT

CONFIG = ROOT / "monitoring" / "alertmanager" / "alertmanager.yml"
FOLDER = "/etc/alertmanager/receivers/"


def configuration(address: str) -> str:
    """Return the shipped configuration with receivers at an address: the name of each file becomes a path there.

    Files with addresses are understood from Alertmanager 0.26 on; Debian 12 has 0.25.
    """
    return CONFIG.read_text().replace(f"url_file: {FOLDER}", f"url: http://{address}/")


def at_once(config: str) -> str:
    """Return a configuration that gathers nothing before it tells, for a test that would wait otherwise."""
    return re.sub(r"(group_wait|group_interval): \w+", r"\1: 1s", config)
