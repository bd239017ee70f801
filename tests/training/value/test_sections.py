"""The sections on sessions, cost and the live value model: sentences, tables and plots."""

from __future__ import annotations

import csv
from pathlib import Path

import msgspec
import pytest

from inference.bundle import Bundle
from streams.value.costs import WorkerCosts
from streams.value.estimates import Estimate
from streams.value.report import Sections
from streams.value.sessions import WORST
from tests.training.value.shops import tasteful
from tests.training.value.small_study import context_of, study_of
from training.value.cost_section import CostSection, costs
from training.value.live_section import PREDICTED, LiveSection, live_value
from training.value.losses import asset_values
from training.value.sections import SECTIONS
from training.value.session_checks import RANDOM
from training.value.session_section import FILE, SessionSection, session_values
from training.value.session_study import session_study

pytestmark = pytest.mark.kernel


def test_a_report_has_a_field_for_each_section() -> None:
    assert tuple(SECTIONS) == tuple(each.name for each in msgspec.structs.fields(Sections))


@pytest.fixture(scope="module")
def sessions(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> tuple[SessionSection, Path]:
    folder = tmp_path_factory.mktemp("sessions")
    found = session_values(context_of(study_of(bundle), folder, "sessions"))
    assert isinstance(found, SessionSection)
    return found, folder


def test_the_whole_system_is_replayed_without_the_worst_and_without_random_sessions(
    sessions: tuple[SessionSection, Path],
) -> None:
    rows = [each for each in sessions[0].found.removals if each.whole]
    assert [each.by for each in rows] == [WORST, RANDOM]
    assert len({each.before for each in rows}) == 1


def test_the_worst_sessions_are_named_with_their_shoppers_in_the_file_only(
    sessions: tuple[SessionSection, Path],
) -> None:
    section, folder = sessions
    rows = list(csv.DictReader((folder / FILE).read_text(encoding="utf-8").splitlines()))
    assert len(rows) >= len(section.found.candidates)
    assert all(float(row["value"]) < 0 for row in rows)
    written = msgspec.json.encode(section.to_json()).decode()
    assert "user_id" not in written


def test_the_section_on_sessions_has_a_sentence_tables_and_plots(sessions: tuple[SessionSection, Path]) -> None:
    section, _ = sessions
    assert "have a negative value" in section.sentence()
    assert len(section.tables()) == 4
    assert section.html().count("<svg") == 3


def test_the_section_on_the_live_value_model_says_whether_it_beats_newest_first() -> None:
    log = tasteful(8, sessions=300)
    study = session_study(log, "next-item", round(0.8 * len(log)), lambda _name, _total: lambda _steps: None, 0)
    found = live_value(study)
    better = Estimate(0.02, 0.01, 0.03)
    won = [msgspec.structs.replace(each, change=better) for each in found.retention]
    winner = LiveSection(msgspec.structs.replace(found, retention=won, is_better=True))
    loser = LiveSection(msgspec.structs.replace(found, is_better=False))
    assert " beats newest-first" in winner.sentence()
    assert "does not beat newest-first" in loser.sentence()
    assert PREDICTED in winner.html()
    assert winner.html().count("<svg") == 2
    assert len(winner.tables()) == 2


def test_the_section_on_cost_needs_values_and_advises_on_each_asset(bundle: Bundle, tmp_path: Path) -> None:
    context = context_of(study_of(bundle), tmp_path, "sources", "types", "attributes", "cost")
    assert costs(context) is None
    values = asset_values(context)
    assert values is not None
    context.made["assets"] = values  # type: ignore[index]
    section = costs(context)
    assert isinstance(section, CostSection)
    found = section.found
    ranked = ("group", "feature")
    measured = [each for each in values.found.values if each.relative is not None and each.kind not in ranked]
    assert len(found.assets) == len(measured)
    assert all(each.advice and each.reason for each in found.assets)
    for kind in ("source", "type", "attribute"):
        assert sum(each.cost_share for each in found.assets if each.kind == kind) == pytest.approx(1.0)
    assert found.event_us > 0 < found.list_us
    assert found.memory["sessions"] > 0 < found.memory["catalogue"]
    assert {each.memory for each in found.assets if each.name == "sessions"} == {found.memory["sessions"]}
    assert section.html().count("<svg") == 1
    running = WorkerCosts(
        events={"view": 9.0},
        stages_us={"rank": 12.0},
        cpu_us=90.0,
        tables_bytes={"profiles": 5e6},
        memtables_bytes={},
        memory_bytes=3e9,
        sources={},
    )
    shown = CostSection(msgspec.structs.replace(found, running=running)).html()
    assert "90 µs" in shown
    assert "3.0 GB" in shown
