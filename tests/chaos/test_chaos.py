"""A short chaos run on a real Kafka: no guarantee is broken."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.checker import check
from tests.chaos.observe import Progress
from tests.chaos.run import ChaosRun, Plan
from tests.chaos.schedule import KINDS, PENDING, Pace, as_lines, draw

SEED, SECONDS = 1, 90.0
PACE = Pace(least_s=0.5, most_s=2.0, longest_s=8.0)
"""Fast, so that each kind of fault occurs."""


@pytest.mark.kafka
@pytest.mark.timeout(600)
async def test_no_guarantee_is_broken_by_a_short_run_of_faults(tmp_path: Path) -> None:
    kinds = KINDS.keys() - PENDING.keys()
    faults = draw(SEED, SECONDS, kinds, PACE)
    assert {fault.kind for fault in faults} == kinds
    lines: list[str] = [as_lines(faults)]
    plan = Plan(SEED, SECONDS, faults, shoppers=120, rate=30.0)
    outcome = await ChaosRun(plan, tmp_path / "chaos", Progress(lines.append)).run()
    findings = check(outcome.evidence)
    violations = [f"{finding.rule}: {violation}" for finding in findings for violation in finding.violations]
    assert len(outcome.done) == len(faults)
    assert not violations, "\n".join([*lines, *violations])
    assert all(finding.checked for finding in findings)
