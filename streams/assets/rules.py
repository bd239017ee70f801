"""The file of expectations: rules in TOML that change or add to what was learned. No I/O but in `load_rules`."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import msgspec

from streams.assets.expectations import Expectation, Expected
from streams.assets.profile import Stream
from streams.errors import ConfigurationError

TABLE = "expectation"
HEADER = """\
# Expectations of the streams' content. A rule applies where topic, type, producer, field and kind all match; a key that
# is left out matches everything. Of several rules the last one decides. ignore = true turns expectations off.
# INTENTSTREAM_ASSETS_EXPECTATIONS_FILE names this file; docs/assets.md describes the keys.
"""


class Rule(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """A rule. None in the first five fields matches everything; None in the others changes nothing."""

    topic: str | None = None
    type: str | None = None
    producer: str | None = None
    field: str | None = None
    kind: Expected | None = None
    ignore: bool = False
    tolerance: float | None = None
    share: float | None = None
    low: float | None = None
    high: float | None = None
    values: tuple[str, ...] | None = None
    edges: tuple[float, ...] | None = None
    shares: tuple[float, ...] | None = None
    sample: float | None = None

    def matches(self, stream: Stream) -> bool:
        """Return whether the rule is about a stream."""
        wanted = zip((self.topic, self.type, self.producer), stream, strict=True)
        return all(want is None or want == got for want, got in wanted)

    def changes(self) -> dict[str, Any]:
        """Return the values that the rule sets."""
        names = ("tolerance", "share", "low", "high", "values", "edges", "shares", "sample")
        return {name: value for name in names if (value := getattr(self, name)) is not None}


_CREATES: dict[Expected, tuple[str, ...]] = {
    Expected.COMPLETENESS: (),
    Expected.PERSONAL_DATA: (),
    Expected.RANGE: ("low", "high"),
    Expected.VALUES: ("values",),
    Expected.TYPES: ("values",),
    Expected.DRIFT: ("shares",),
}
"""Kinds that a rule may add to a field, and the keys of which it needs one."""
_DEFAULT_TOLERANCES = {Expected.DRIFT: 0.2, Expected.PERSONAL_DATA: 0.02}


@dataclass(frozen=True)
class Rules:
    """The rules of a file, in order."""

    rules: Sequence[Rule] = ()

    def applied(self, stream: Stream, expectations: Iterable[Expectation]) -> list[Expectation]:
        """Return the expectations of a stream as the rules change them."""
        of = {(each.kind, each.field): each for each in expectations}
        for rule in self.rules:
            if not rule.matches(stream):
                continue
            places = [(kind, field) for kind, field in of if rule.kind in (None, kind) and rule.field in (None, field)]
            if rule.ignore:
                for place in places:
                    del of[place]
            elif changes := rule.changes():
                for place in places or _created(rule):
                    former = of.get(place) or _blank(stream, *place)
                    of[place] = msgspec.structs.replace(former, **changes)
        return list(of.values())


def _created(rule: Rule) -> list[tuple[Expected, str]]:
    if rule.kind is None or rule.field is None or rule.kind not in _CREATES:
        return []
    needs = _CREATES[rule.kind]
    return [(rule.kind, rule.field)] if not needs or rule.changes().keys() & set(needs) else []


def _blank(stream: Stream, kind: Expected, field: str) -> Expectation:
    return Expectation(**stream._asdict(), kind=kind, field=field, tolerance=_DEFAULT_TOLERANCES.get(kind, 0.05))


def load_rules(file: Path | None) -> Rules:
    """Read a file of expectations, no rules without one. Raises ConfigurationError, which names the line."""
    if file is None:
        return Rules()
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{file}: required a readable file of expectations, got: {error}") from None
    return parse_rules(text, str(file))


def parse_rules(text: str, name: str) -> Rules:
    """Read rules in TOML. Raises ConfigurationError, which names the line."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{name}: required TOML, got: {error}") from None
    lines = [
        number for number, line in enumerate(text.splitlines(), start=1) if line.strip().startswith(f"[[{TABLE}]]")
    ]
    if unknown := sorted(document.keys() - {TABLE}):
        raise ConfigurationError(f"{name}: required only tables [[{TABLE}]], got {unknown[0]!r}")
    tables = document.get(TABLE, [])
    if not isinstance(tables, list):
        raise ConfigurationError(f"{name}: required tables [[{TABLE}]], got one [{TABLE}]")
    rules = []
    for place, table in enumerate(tables):
        where = f"{name}:{lines[place]}" if place < len(lines) else f"{name}, rule {place + 1}"
        try:
            rule = msgspec.convert(table, Rule)
        except msgspec.ValidationError as error:
            raise ConfigurationError(f"{where}: {_words(str(error))}") from None
        _check(rule, where)
        if not rule.changes() and "ignore" not in table:
            raise ConfigurationError(
                f"{where}: required ignore = true, or one of tolerance, share, low, high, values; got none"
            )
        rules.append(rule)
    return Rules(tuple(rules))


def _words(error: str) -> str:
    text = error.replace("Object contains unknown field", "required one of the keys of a rule, got").replace("`", "")
    if "enum value" in text:
        return f"kind: required one of {', '.join(Expected)}; got another value"
    return text[0].lower() + text[1:] if text.startswith("Expected") else text


def _check(rule: Rule, where: str) -> None:
    """Raise ConfigurationError for a rule that makes no sense."""
    numbers = {"low": rule.low, "high": rule.high, "edges": rule.edges}
    for key, given in numbers.items():
        if not all(map(isfinite, given if isinstance(given, tuple) else () if given is None else (given,))):
            raise ConfigurationError(f"{where}: {key}: required finite numbers, got others")
    for key in ("tolerance", "sample"):
        if (value := getattr(rule, key)) is not None and not value >= 0:
            raise ConfigurationError(f"{where}: {key}: required a number of at least 0, got {value:g}")
    if rule.share is not None and not 0 <= rule.share <= 1:
        raise ConfigurationError(f"{where}: share: required a number from 0 to 1, got {rule.share:g}")
    if rule.low is not None and rule.high is not None and rule.low > rule.high:
        raise ConfigurationError(f"{where}: low: required at most high ({rule.high:g}), got {rule.low:g}")
    if rule.edges is not None and list(rule.edges) != sorted(set(rule.edges)):
        raise ConfigurationError(f"{where}: edges: required ascending numbers, got others")
    if rule.shares is not None:
        bins = len(rule.edges or rule.values or ()) + 1
        if len(rule.shares) != bins or abs(sum(rule.shares) - 1) > 0.01 or min(rule.shares) < 0:
            raise ConfigurationError(f"{where}: shares: required {bins} shares with the sum 1, one more than bins")


def to_toml(expectations: Iterable[Expectation]) -> str:
    """Return expectations as a file of rules."""
    parts = [HEADER]
    for each in expectations:
        lines = [f"[[{TABLE}]]"]
        for name, value in msgspec.to_builtins(each).items():
            if name == "field" and not value:
                continue
            lines.append(f"{name} = {_toml(value)}")
        if not each.tolerance:
            lines.append("ignore = false")
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def _toml(value: Any) -> str:
    if isinstance(value, str):
        # A basic string of TOML has the escapes of JSON, and forbids DEL.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return f"{float(value):.9g}" if not isinstance(value, bool) else str(value).lower()
