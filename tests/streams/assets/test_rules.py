"""The file of expectations: errors name the line, the requirement and the value; what is written can be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.assets.expectations import Expectation, Expected
from streams.assets.profile import Stream
from streams.assets.rules import Rules, load_rules, parse_rules, to_toml
from streams.errors import ConfigurationError
from tests.streams.assets.simulated import Shop, Watched

STREAM = Stream("clicks", "purchase", "web")


def expectation(kind: Expected, field: str = "", **values: object) -> Expectation:
    return Expectation(**STREAM._asdict(), kind=kind, field=field, **values)  # type: ignore[arg-type]


RANGE = expectation(Expected.RANGE, "price", low=1.0, high=9.0, tolerance=0.05)
COMPLETE = expectation(Expected.COMPLETENESS, "price", share=0.1, tolerance=0.05)


def applied(text: str, stream: Stream = STREAM) -> list[Expectation]:
    return parse_rules(text, "e.toml").applied(stream, [RANGE, COMPLETE])


def test_a_rule_changes_what_it_matches() -> None:
    text = '[[expectation]]\nfield = "price"\nkind = "range"\nhigh = 20\n'
    changed, same = applied(text)
    assert (changed.low, changed.high, changed.tolerance) == (1, 20, 0.05)
    assert same == COMPLETE
    assert applied(f'{text}producer = "app"\n') == [RANGE, COMPLETE]
    assert applied(f'{text}topic = "items"\n') == [RANGE, COMPLETE]


def test_a_rule_may_ignore_and_the_last_one_decides() -> None:
    assert applied('[[expectation]]\nfield = "price"\nignore = true\n') == []
    (left,) = applied('[[expectation]]\nkind = "range"\nignore = true\n')
    assert left == COMPLETE
    first, _ = applied("[[expectation]]\ntolerance = 0.1\n\n[[expectation]]\ntolerance = 0.2\n")
    assert first.tolerance == 0.2


def test_a_rule_may_add_an_expectation() -> None:
    *_, added = applied('[[expectation]]\nfield = "context.device"\nkind = "values"\nvalues = ["phone"]\n')
    assert (added.stream, added.kind, added.values, added.tolerance) == (STREAM, Expected.VALUES, ("phone",), 0.05)
    assert len(applied('[[expectation]]\nfield = "quantity"\nkind = "range"\ntolerance = 0.5\n')) == 2


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("[[expectation]", "e.toml: required TOML, got: "),
        ("x = 1", "e.toml: required only tables [[expectation]], got 'x'"),
        ("[expectation]\ntolerance = 1", "e.toml: required tables [[expectation]], got one [expectation]"),
        ("\n\n[[expectation]]\ntolerence = 1", "e.toml:3: required one of the keys of a rule, got tolerence"),
        ('[[expectation]]\nkind = "ranges"\ntolerance = 1', "e.toml:1: kind: required one of refused, "),
        ('[[expectation]]\ntolerance = "1"', "e.toml:1: expected float | null, got str - at $.tolerance"),
        ("[[expectation]]\ntolerance = -1", "e.toml:1: tolerance: required a number of at least 0, got -1"),
        ("[[expectation]]\nlow = nan", "e.toml:1: low: required finite numbers, got others"),
        ("[[expectation]]\ntolerance = nan", "e.toml:1: tolerance: required a number of at least 0, got nan"),
        ("[[expectation]]\nshare = 2", "e.toml:1: share: required a number from 0 to 1, got 2"),
        ("[[expectation]]\nlow = 2\nhigh = 1", "e.toml:1: low: required at most high (1), got 2"),
        ("[[expectation]]\nedges = [2, 1]", "e.toml:1: edges: required ascending numbers"),
        ("[[expectation]]\nedges = [1]\nshares = [1]", "e.toml:1: shares: required 2 shares with the sum 1"),
        (
            '[[expectation]]\nshare = 0.5\n[[expectation]]\nfield = "price"',
            "e.toml:3: required ignore = true, or one of",
        ),
    ],
)
def test_errors_name_the_line_and_the_requirement(text: str, error: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        parse_rules(text, "e.toml")
    assert str(raised.value).startswith(error)


def test_a_file_that_is_missing_or_no_text_is_an_error_and_none_is_no_rules(tmp_path: Path) -> None:
    assert load_rules(None) == Rules()
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    for name in ("missing.toml", "binary.toml"):
        with pytest.raises(ConfigurationError, match=f"{name}: required a readable file of expectations"):
            load_rules(tmp_path / name)


def test_learned_expectations_survive_the_file() -> None:
    watched = Watched(reference_minutes=3)
    watched.run(Shop(0, 120.0), 20)
    learned = [each for stream in watched.monitor.references for each in watched.monitor.expectations(stream)]
    kinds = {each.kind for each in learned}
    assert kinds >= {Expected.RANGE, Expected.DRIFT, Expected.VALUES, Expected.TYPES, Expected.COMPLETENESS}
    strange = expectation(Expected.VALUES, 'context."a"\x7f', values=("é\\\n😀", "'"), tolerance=0.1)
    text = to_toml([*learned, strange])
    rules = parse_rules(text, "written.toml")
    assert len(rules.rules) == len(learned) + 1
    for stream in watched.monitor.references:
        of_stream = watched.monitor.expectations(stream)
        again = {(each.kind, each.field): each for each in rules.applied(stream, [])}
        for each in of_stream:
            if each.kind in (Expected.RANGE, Expected.VALUES, Expected.DRIFT):
                found = again[each.kind, each.field]
                assert found.values == each.values
                assert found.edges == pytest.approx(each.edges)
                assert found.shares == pytest.approx(each.shares)
                assert found.low == pytest.approx(each.low)
                assert found.high == pytest.approx(each.high)
    assert rules.rules[-1].values == strange.values
    assert rules.rules[-1].field == strange.field
