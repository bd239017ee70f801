"""Requests of the clients: their encoding, and the decoding of the answers."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypedDict, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from inference.retrieval.filters import Filter
from streams.http.messages import EntryProblem, Problem

COMPRESSED_FROM = 10_000
"""Bytes of a body from which it is compressed."""
T = TypeVar("T", bound=msgspec.Struct)


class ListOptions(TypedDict, total=False):
    """Options of a list: at most `k` items, without those in `exclude`. `lang` is the language of the reasons."""

    k: int | None
    exclude: Sequence[str]
    lang: str | None


class PlacedOptions(ListOptions, total=False):
    """Options of a ranked list: its placement, a filter that the items pass, and whether scores are explained."""

    placement: str
    filter: Filter | None
    explain: bool


class CategoryOptions(ListOptions, total=False):
    """Options of a list that can be limited to a category: its name, or its path."""

    category: str | Sequence[str] | None


class SearchOptions(PlacedOptions, total=False):
    """Options of a search. With `user` the results are personal. With `matching` only matching items are listed."""

    user: str | None
    matching: bool


class RankOptions(TypedDict, total=False):
    """For whom items are ranked: a shopper, a search, or both."""

    user: str | None
    q: str | None
    lang: str | None
    explain: bool


class SuggestOptions(TypedDict, total=False):
    """Options of suggestions. With `user` they are personal."""

    user: str | None
    k: int
    lang: str | None


class ProblemError(Exception):
    """The service refused a request. `problem` has the details.

    If the answer is not from the service but, for example, from a proxy, the type is `about:blank`.
    """

    def __init__(self, problem: Problem) -> None:
        text = f"{problem.status} {problem.type}: {problem.detail}"
        if problem.errors:
            entry, fault = problem.errors[0].index, problem.errors[0].faults[0]
            text += f"; entry {entry}, {fault.where}: {fault.detail}"
        super().__init__(text)
        self.problem = problem

    @property
    def type(self) -> str:
        """The kind of problem, such as `urn:intentstream:problem:unknown-item`."""
        return self.problem.type

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.problem.status

    @property
    def detail(self) -> str:
        """The requirement that the request breaks, such as the range of a parameter."""
        return self.problem.detail

    @property
    def errors(self) -> tuple[EntryProblem, ...]:
        """The faults of each entry, if entries break the contract."""
        return self.problem.errors


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """A request: how it is sent, and the class of its answer."""

    answer: type[T]
    method: str
    path: str
    options: Mapping[str, Any]
    body: object = None

    def arguments(self) -> dict[str, Any]:
        """Return the request as arguments of httpx."""
        given: dict[str, Any] = {"method": self.method, "url": self.path, "params": list(_parameters(self.options))}
        if self.body is None:
            return given
        content, headers = msgspec.json.encode(self.body), {"Content-Type": "application/json"}
        if len(content) > COMPRESSED_FROM:
            content, headers["Content-Encoding"] = gzip.compress(content, compresslevel=1), "gzip"
        return {**given, "content": content, "headers": headers}

    def read(self, answer: httpx.Response) -> T:
        """Return the answer. Raises ProblemError."""
        if answer.is_success:
            return msgspec.json.decode(answer.content, type=self.answer)
        try:
            problem = msgspec.json.decode(answer.content, type=Problem)
        except msgspec.MsgspecError:
            problem = Problem(
                type="about:blank",
                title=answer.reason_phrase,
                status=answer.status_code,
                detail=f"required an answer of the service, got {answer.headers.get('content-type', 'nothing')}",
            )
        raise ProblemError(problem)


def _parameters(options: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    for name, value in options.items():
        if isinstance(value, msgspec.Struct):
            yield name, msgspec.json.encode(value).decode()
        elif isinstance(value, bool):
            yield name, str(value).lower()
        elif isinstance(value, Iterable) and not isinstance(value, str):
            yield from ((name, str(each)) for each in value)
        elif value is not None:
            yield name, str(value)


def get(answer: type[T], path: str, options: Mapping[str, Any]) -> Call[T]:
    """Return a request with options and without a body."""
    return Call(answer, "GET", path, options)


def post(answer: type[T], path: str, body: object) -> Call[T]:
    """Return a request with a body."""
    return Call(answer, "POST", path, {}, body)


def part(text: str) -> str:
    """Return an id, percent-encoded as one segment of a path."""
    # httpx would resolve the segments `.` and `..`.
    return quote(text, safe="") if text.strip(".") else text.replace(".", "%2E")
