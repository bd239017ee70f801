"""One import: reads the catalogue, then the log, and writes both when they are complete."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from importlib.metadata import version
from itertools import chain
from pathlib import Path

import msgspec

from streams.errors import ConfigurationError, NothingImported
from training.datasets.files import write_lines
from training.importing.catalogue import Catalogue, item_line
from training.importing.drafts import Format, Read, ToEvents, ToItem
from training.importing.events import EventImport
from training.importing.formats import find_format
from training.importing.records import Record, Source
from training.importing.report import Report, Section
from training.importing.values import Unusable, Values

ITEMS, EVENTS, REPORT, WORK = "items.jsonl", "events.jsonl", "import-report.json", ".import"
SHOWN_EVERY = 1000

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """What to import: pairs of a format's name and a file or folder, the folder to write, and the conventions."""

    catalogs: Sequence[tuple[str, Path]]
    events: Sequence[tuple[str, Path]]
    output: Path
    encoding: str | None = None
    values: Values = field(default_factory=Values)


class _Inputs:
    """The files of one kind, with their formats."""

    def __init__(self, pairs: Sequence[tuple[str, Path]], encoding: str | None, progress: Progress) -> None:
        self._progress = progress
        self.sources = [
            (name, find_format(name), Source(file, encoding)) for name, path in pairs for file in _files(path)
        ]

    @property
    def size(self) -> int:
        return sum(source.path.stat().st_size for _, _, source in self.sources)

    def records(self, source: Source, read: Read) -> Iterator[Record]:
        """Yield the records of a file, and report the bytes that were read."""
        done = 0
        for number, record in enumerate(read(source)):
            if number % SHOWN_EVERY == 0:
                self._progress(source.position - done)
                done = source.position
            yield record
        self._progress(source.path.stat().st_size - done)


class Importer:
    """Runs an import.

    Attributes:
        size: bytes of all files.
        continued_at: records of the log that an earlier, stopped run has converted.
    """

    def __init__(self, plan: Import, progress: Progress) -> None:
        """Look up the formats and files. Raises ConfigurationError."""
        self._plan = plan
        self._work = plan.output / WORK
        self._catalogs = _Inputs(plan.catalogs, plan.encoding, progress)
        self._events = _Inputs(plan.events, plan.encoding, progress)
        for each, kind in ((self._catalogs, "catalogue"), (self._events, "log of events")):
            for name, format_, _ in each.sources:
                if (format_.to_item if each is self._catalogs else format_.to_events) is None:
                    raise ConfigurationError(f"{name}: required a format of a {kind}, got {format_.title}")
        if not plan.catalogs and not plan.events:
            raise ConfigurationError("import: required --catalog or --events, got neither")
        self.size = self._catalogs.size + self._events.size
        self.continued_at = 0

    def run(self) -> Report:
        """Import, and replace the files of the output folder. On an error they stay as they are.

        Raises:
            ConfigurationError: a file cannot be read, or is not of its format.
            NothingImported: no usable item, or no usable event.
        """
        try:
            report, written = self._convert()
        except NothingImported:
            shutil.rmtree(self._work)  # the same files would give nothing again
            raise
        write_lines(self._work / REPORT, [msgspec.json.format(msgspec.json.encode(report)), b"\n"])
        # All files are complete before the first is replaced.
        for name in (*written, REPORT):
            (self._work / name).replace(self._plan.output / name)
        shutil.rmtree(self._work)
        return report

    def _convert(self) -> tuple[Report, list[str]]:
        """Write the new files into the work folder. Returns the report and the names of the files."""
        report = Report()
        written = []
        catalogue = None
        if self._plan.catalogs:
            report.items = Section()
            catalogue = self._catalogue(report.items)
            write_lines(self._work / ITEMS, catalogue.lines())
            _require(report, report.items, "item")
            written.append(ITEMS)
        if self._plan.events:
            log = EventImport(self._work, self._inputs(), self._plan.values, catalogue)
            self.continued_at = log.continued_at
            log.convert(self._log())
            report.events = log.section
            write_lines(self._work / EVENTS, log.merged())
            _require(report, report.events, "event")
            written.append(EVENTS)
            if catalogue is None and (described := log.items()):
                section = report.items = Section(records=dict(log.section.records))
                lines = (item_line(fields, place, section) for place, fields in described)
                write_lines(self._work / ITEMS, (line for line in lines if line is not None))
                written.append(ITEMS)
        return report, written

    def _catalogue(self, section: Section) -> Catalogue:
        catalogue = Catalogue(section)
        values = self._plan.values
        by_format: dict[str, tuple[Format, list[Source]]] = {}
        for name, format_, source in self._catalogs.sources:
            by_format.setdefault(name, (format_, []))[1].append(source)
        for format_, sources in by_format.values():
            if format_.read_items is not None and format_.to_item is not None:
                files = (self._catalogs.records(each, format_.read_items) for each in sources)
                read = _counted(chain.from_iterable(files), section)
                for record in format_.gather(read) if format_.gather is not None else read:
                    _add(catalogue, record, format_.to_item, values, section)
        return catalogue

    def _log(self) -> Iterator[tuple[Record, ToEvents]]:
        for _, format_, source in self._events.sources:
            if format_.read_events is not None and format_.to_events is not None:
                for record in self._events.records(source, format_.read_events):
                    yield record, format_.to_events

    def _inputs(self) -> str:
        """Return a hash of everything that decides the output: the files by name, size and time, and the options."""
        values = self._plan.values
        facts: list[object] = [
            version("intentstream"),
            self._plan.encoding,
            values.timezone,
            values.locale,
            values.currency,
            values.day_first,
        ]
        for name, _, source in (*self._catalogs.sources, *self._events.sources):
            stat = source.path.stat()
            facts += [name, str(source.path), stat.st_size, stat.st_mtime_ns]
            if name.lower().endswith((".toml", ".json")):
                facts.append(Path(name).read_bytes().hex())
        return blake2b(repr(facts).encode(), digest_size=16).hexdigest()


def _add(catalogue: Catalogue, record: Record, convert: ToItem, values: Values, section: Section) -> None:
    try:
        catalogue.add(convert(record.data, values), record.place)
    except Unusable as error:
        section.drop(error.reason, record.place, error.detail)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        section.drop("record has another form than its format", record.place, repr(error))
    for remark in values.remarks:
        section.remark(remark.reason, record.place, remark.detail)
    values.remarks.clear()


def _counted(records: Iterator[Record], section: Section) -> Iterator[Record]:
    for record in records:
        section.records[record.file] = section.records.get(record.file, 0) + 1
        yield record


def _require(report: Report, section: Section, kind: str) -> None:
    if section.total == 0:
        raise NothingImported(f"required at least one usable {kind}, got none\n{report.text()}")


def _files(path: Path) -> list[Path]:
    """Return a file, or the visible files of a folder by name. Raises ConfigurationError."""
    if not path.is_dir():
        return [path]
    found = sorted(each for each in path.iterdir() if each.is_file() and not each.name.startswith("."))
    if not found:
        raise ConfigurationError(f"{path}: required a folder with files, got none")
    return found
