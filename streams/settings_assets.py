"""Settings of the inventory of data assets: the profiles of the streams, and their quality."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from streams.settings_groups import Group
from streams.settings_values import Duration


class Assets(Group):
    """Profiles of the streams' content."""

    interval_seconds: float = Field(
        20.0, ge=0, le=3600, alias="assets_interval_seconds",
        description="Interval between two profiles of the streams' content; 0: no profiles",
    )  # fmt: skip
    lineage: str | None = Field(
        None, alias="assets_lineage",
        description="OpenLineage events of trainings and model changes: a JSON Lines file or a URL; unset: none",
    )  # fmt: skip
    retention_days: Duration = Field(
        15,
        alias="assets_retention_days",
        description="Retention of the profiles, and of what is learned from them",
    )
    reference_minutes: float = Field(
        180.0, gt=0, le=20_160, alias="assets_reference_minutes",
        description="Least time from which the expectations of a stream are learned",
    )  # fmt: skip
    expectations_file: Path | None = Field(
        None,
        alias="assets_expectations_file",
        description="TOML file of expectations that change the learned ones; unset: none",
    )
    value_file: Path | None = Field(
        None,
        alias="assets_value_file",
        description="Report of `intentstream value` (value.json) for the console and the metrics; unset: none",
    )
