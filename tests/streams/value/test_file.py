"""The file of a value report: what is read, and what is wrong with it."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.value.file import LARGEST, Problem, ReportFile, parse_report
from streams.value.report import EFFECTS, VERSION, Sections, ValueReport
from tests.streams.value.reports import asset, report, unmeasured, write


async def problem_of(path: Path) -> Problem:
    found = await ReportFile(path).read()
    assert isinstance(found, Problem)
    return found


async def test_a_report_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert await ReportFile(write(tmp_path, report())).read() == report()
    assert await ReportFile(None).read() is None


def test_sections_that_were_not_measured_are_absent_in_the_file() -> None:
    written = msgspec.json.decode(msgspec.json.encode(report(sections=Sections(live=report().sections.live))))
    assert list(written["sections"]) == ["live"]
    assert (written["schema"], written["version"]) == ("intentstream-value", VERSION)


async def test_the_file_is_read_again_only_if_it_changed(tmp_path: Path) -> None:
    path = write(tmp_path, report())
    file = ReportFile(path)
    first = await file.read()
    assert await file.read() is first
    write(tmp_path, report(protocol="search"))
    second = await file.read()
    assert isinstance(second, ValueReport)
    assert second.protocol == "search"
    path.unlink()
    assert isinstance(await file.read(), Problem)
    write(tmp_path, report())
    assert await file.read() == report()


async def test_a_file_that_is_not_there_or_cannot_be_read_is_a_problem(tmp_path: Path) -> None:
    missing = await problem_of(tmp_path / "gone.json")
    assert (missing.fault, "intentstream value" in missing.detail) == ("missing", True)
    assert (await problem_of(tmp_path)).fault == "unreadable"
    os.mkfifo(tmp_path / "pipe")
    assert (await problem_of(tmp_path / "pipe")).fault == "unreadable", "it does not wait for a writer"
    below = await problem_of(write(tmp_path, report()) / "below")
    assert (below.fault, below.detail) == ("unreadable", "required a readable file, got: Not a directory")


async def test_a_file_that_is_too_large_is_not_decoded(tmp_path: Path) -> None:
    found = await problem_of(write(tmp_path, b" " * (LARGEST + 1)))
    assert (found.fault, found.detail) == ("large", "required at most 4,000,000 bytes, got 4,000,001")


@pytest.mark.parametrize(
    ("content", "fault", "detail"),
    [
        (b"", "content", "required JSON, got 0 bytes"),
        (b"{", "content", "required JSON, got 1 bytes that are not"),
        (b"\xff\xfe", "content", "required JSON"),
        (b"[]", "content", "$: required object, got array"),
        (b'{"schema": 3}', "content", "$.schema: required string, got integer"),
        (b"[" * 100_000, "content", "$: required"),
        (b"{}", "format", "$.schema: required intentstream-value, got none"),
        (b'{"schema": "intentstream-evaluation"}', "format", 'got "intentstream-evaluation"'),
        (b'{"schema": "intentstream-value"}', "version", "$.version: required 1, got 0"),
        (b'{"schema": "intentstream-value", "version": 7}', "version", "$.version: required 1, got 7"),
        (b'{"schema": "intentstream-value", "version": 1}', "content", "$.protocol: required, and not there"),
    ],
)  # fmt: skip
def test_a_problem_says_what_was_required_and_what_came(content: bytes, fault: str, detail: str) -> None:
    found = parse_report(content)
    assert isinstance(found, Problem)
    assert found.fault == fault
    assert detail in found.detail


def test_a_wrong_value_is_named_with_its_place() -> None:
    written = msgspec.json.decode(msgspec.json.encode(report()))
    written["sections"]["assets"]["values"][3]["relative"]["low"] = "much"
    found = parse_report(msgspec.json.encode(written))
    assert isinstance(found, Problem)
    assert found.detail == "$.sections.assets.values[3].relative.low: required number, got string"


WHOLE = msgspec.json.encode(report())


@given(st.integers(0, len(WHOLE)), st.integers(0, 20), st.binary(max_size=20))
def test_no_content_raises(place: int, removed: int, added: bytes) -> None:
    content = WHOLE[:place] + added + WHOLE[place + removed :]
    assert isinstance(parse_report(content), ValueReport | Problem)


def test_the_effect_of_an_asset_is_that_of_its_interval() -> None:
    unchanged = asset("source", "words", 0.0)
    zero = msgspec.structs.replace(unchanged.loss["hr"], value=0.0, low=0.0, high=0.0)
    assets = (
        asset("type", "view", 0.3), asset("type", "cart", -0.3), asset("type", "search", 0.001),
        msgspec.structs.replace(unchanged, loss={"hr": zero}), unmeasured("type", "click", "absent"),
    )  # fmt: skip
    assert tuple(each.effect("hr") for each in assets) == EFFECTS
