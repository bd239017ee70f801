"""Follows the file of the value report for a worker's metrics."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from streams.metrics import Metrics
from streams.value.file import Problem, Reading, ReportFile

log = logging.getLogger(__name__)

CHECK_S = 60.0
"""Seconds between two looks at the file."""


@dataclass(slots=True)
class ValueWatch:
    """Records the report in the metrics when its file changes. A wrong file is logged once, and ends no worker."""

    file: ReportFile
    metrics: Metrics
    _recorded: Reading = None

    async def run(self) -> None:
        """Look at the file until cancelled."""
        while True:
            await self.refresh()
            await asyncio.sleep(CHECK_S)

    async def refresh(self) -> None:
        """Look at the file once."""
        try:
            found = await self.file.read()
            if found is self._recorded or found == self._recorded:
                return
            self._recorded = found
            self.metrics.valued(None if isinstance(found, Problem) else found, is_wrong=isinstance(found, Problem))
        except Exception:
            log.exception("the value report %s is not in the metrics. Lists are not affected", self.file.path)
            return
        if isinstance(found, Problem):
            log.warning("the value report %s is not shown: %s. Lists are not affected", self.file.path, found.detail)
        else:
            log.info("the value report %s is read", self.file.path)
