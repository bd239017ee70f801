"""Schedules, damage and the report. No broker."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from click.testing import CliRunner

from tests.chaos import report
from tests.chaos.__main__ import PAGE, main
from tests.chaos.checker import RULES, check
from tests.chaos.damage import DAMAGES, TABLES, damage
from tests.chaos.faults import Done, FaultRunner
from tests.chaos.messages import MessageFaults
from tests.chaos.run import Outcome, Plan
from tests.chaos.schedule import KINDS, PENDING, as_lines, draw
from tests.chaos.whole import NOW_MS, evidence

KILLED = """
import os, sys
from rocksdict import Options, Rdict
for is_killed in (False, True):
    database = Rdict(sys.argv[1], Options(raw_mode=True))
    database.put(b"key", b"value" * 100)
    if not is_killed:
        database.close()
os._exit(0)
"""
"""Writes a sorted table and a log, and ends without closing the database."""


def test_a_seed_gives_the_same_schedule() -> None:
    assert draw(7, 600, KINDS) == draw(7, 600, reversed(list(KINDS)))
    assert draw(7, 600, KINDS) != draw(8, 600, KINDS)


def test_each_kind_occurs_before_any_occurs_again_and_all_end_in_time() -> None:
    faults = draw(7, 1800, KINDS)
    assert sorted(fault.kind for fault in faults[: len(KINDS)]) == sorted(KINDS)
    assert all(fault.at_s + fault.seconds <= 1800 for fault in faults)
    assert [fault.at_s for fault in faults] == sorted(fault.at_s for fault in faults)


def test_every_kind_is_carried_out_by_a_method() -> None:
    for name in KINDS:
        method = name.replace(" ", "_")
        assert hasattr(FaultRunner, f"_{method}") != hasattr(MessageFaults, method), name
    assert PENDING.keys() <= KINDS.keys()


def test_the_command_prints_the_schedule_as_json_lines() -> None:
    done = CliRunner().invoke(main, ["--minutes", "30", "--seed", "7", "--schedule", "--without", "kill"])
    lines = [json.loads(line) for line in done.output.splitlines()]
    assert [line["kind"] for line in lines].count("stop") > 1
    assert {line["kind"] for line in lines} == KINDS.keys() - PENDING.keys() - {"kill"}
    assert as_lines(draw(7, 1800, KINDS.keys() - PENDING.keys() - {"kill"})) == done.output


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_changes_each_tables_files(name: str, tmp_path: Path) -> None:
    for table in TABLES:
        subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / table / "0")], check=True)
    before = files(tmp_path)
    said = damage(tmp_path, name, Random(1))
    assert said.count(name) == len(TABLES)
    after = files(tmp_path)
    changed = {path.parts[0] for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    assert changed == set(TABLES)


def files(folder: Path) -> dict[Path, bytes]:
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_page_gets_the_figures_of_a_run(tmp_path: Path) -> None:
    plan = Plan(7, 1800.0, draw(7, 1800, ["kill"]))
    given = evidence()
    done = [Done(plan.faults[0], NOW_MS / 1000, NOW_MS / 1000 + 1, "")]
    result = report.report(plan, Outcome(given, done), check(given))
    report.save(result, tmp_path)
    assert (tmp_path / "violations.txt").read_text() == ""
    page = report.record(PAGE.read_text(), result)
    assert report.record(page, result) == page
    for finding in result.findings:
        assert f"<!-- chaos: {finding.rule} -->0 of {finding.checked:,} " in page
    assert "| `kill -9` of a worker | 1 |" in page
    assert len(RULES) == len(result.findings)
