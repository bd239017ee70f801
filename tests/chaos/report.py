"""The end of a run: a table, a verdict, the violations in a file, and the figures of docs/reliability.md."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from rich.table import Table

from tests.chaos.evidence import Finding
from tests.chaos.faults import Done
from tests.chaos.run import Outcome, Plan
from tests.chaos.schedule import KINDS
from tests.chaos.waits import Waits, measure

UNITS = {
    "answered": "events",
    "lists": "lists",
    "dead letters": "messages",
    "profiles": "profiles",
    "co-occurrence": "items",
    "catalogue": "items",
    "restore": "values",
    "logs": "lines",
    "exits": "exits",
}
"""What each rule checks."""
SHOWN = 5
"""Violations of a rule on the screen. The file has all."""
FIGURE = re.compile(r"<!-- chaos: ([^>]+?) -->.*?<!-- end -->", re.DOTALL)


@dataclass(frozen=True)
class Report:
    """Findings and waits of a run."""

    plan: Plan
    findings: list[Finding]
    waits: Waits
    done: list[Done]
    exits: int

    @property
    def is_sound(self) -> bool:
        """Whether no rule found a violation."""
        return not any(finding.violations for finding in self.findings)


def report(plan: Plan, outcome: Outcome, findings: list[Finding]) -> Report:
    """Measure the waits, and return the report."""
    done = sorted(outcome.done, key=lambda each: each.began_s)
    waits = measure(outcome.evidence, [each.began_s * 1000 for each in done])
    return Report(plan, findings, waits, done, len(outcome.evidence.exits))


def save(result: Report, folder: Path) -> None:
    """Write violations.txt and report.json."""
    lines = [f"{finding.rule}: {violation}\n" for finding in result.findings for violation in finding.violations]
    (folder / "violations.txt").write_text("".join(lines))
    figures = {
        "seed": result.plan.seed,
        "minutes": result.plan.seconds / 60,
        "checked": {each.rule: each.checked for each in result.findings},
        "violations": {each.rule: len(each.violations) for each in result.findings},
        "waits": asdict(result.waits),
        "exits": result.exits,
    }
    (folder / "report.json").write_text(json.dumps(figures, indent=1) + "\n")


def table(result: Report) -> Table:
    """Return the table of the rules."""
    shown = Table("rule", "checked", "violations", "the first ones")
    for finding in result.findings:
        first = "\n".join(violation[:200] for violation in finding.violations[:SHOWN])
        style = "red" if finding.violations else "green"
        shown.add_row(finding.rule, f"{finding.checked:,}", str(len(finding.violations)), first, style=style)
    return shown


def summary(result: Report) -> str:
    """Return the waits in one line."""
    waits = result.waits
    fallbacks = ", ".join(f"{number:,} {name}" for name, number in sorted(waits.fallbacks.items())) or "none"
    return (
        f"wait for a list: median {waits.median_ms:.0f} ms, p99 {waits.p99_ms:.0f} ms; "
        f"{waits.repeats:,} repeated lists; fallbacks: {fallbacks}; {len(result.done)} faults, {result.exits} exits"
    )


def fault_rows(result: Report) -> list[tuple[str, int, str, str]]:
    """Return for each kind of fault: its text, how often it happened, and the median and the longest recovery."""
    times: dict[str, list[float]] = defaultdict(list)
    for done, seconds in zip(result.done, result.waits.recovery_s, strict=True):
        times[done.fault.kind].append(seconds)
    return [
        (kind.text, len(times[name]), f"{median(times[name]):.1f}", f"{max(times[name]):.1f}")
        for name, kind in KINDS.items()
        if name in times
    ]


def figures(result: Report) -> dict[str, str]:
    """Return the texts of the page, by their names."""
    found = {
        finding.rule: f"{len(finding.violations):,} of {finding.checked:,} {UNITS[finding.rule]} wrong"
        for finding in result.findings
    }
    rows = "\n".join(f"| {' | '.join(map(str, row))} |" for row in fault_rows(result))
    heading = "| fault | times | median recovery, s | longest recovery, s |\n|---|---|---|---|"
    found["faults"] = f"\n\n{heading}\n{rows}\n\n"
    found["run"] = (
        f"{result.plan.seconds / 60:.0f} minutes, seed {result.plan.seed}, {len(result.done)} faults, "
        f"{result.plan.rate:g} events/s of {result.plan.shoppers} shoppers"
    )
    found["waits"] = summary(result)
    return found


def record(page: str, result: Report) -> str:
    """Return the page with the figures of this run between its markers, `<!-- chaos: NAME -->…<!-- end -->`."""
    texts = figures(result)
    return FIGURE.sub(lambda match: f"<!-- chaos: {match[1]} -->{texts[match[1]]}<!-- end -->", page)
