"""`python -m benchmarks`: measures the chosen sections on one Kafka and writes the page."""

from __future__ import annotations

import os
import platform
import shlex
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import msgspec
from msgspec import structs
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from benchmarks.report import Results, Scalar, Section, merged, render
from benchmarks.sizes import FULL, QUICK, Sizes
from benchmarks.stage import Stage
from streams.errors import StreamsError
from tests.integration.brokers import AS_SHIPPED, KafkaBroker

SECTIONS = (
    "held",
    "http",
    "frameworks",
    "backlog",
    "two-workers",
    "hot-key",
    "idle",
    "state",
    "engines",
    "replay",
    "retrieval",
    "sources",
    "hotspots",
    "swap",
    "experiments",
)
"""Sections in the order of the page. `benchmarks/NAME.py` has `measure(stage) -> Section`. Only chosen ones are
imported."""
PACKAGES = ("aiokafka", "faust-streaming", "numba", "numpy", "onnxruntime", "quixstreams", "rocksdict", "usearch")
EPILOG = """\b
Examples:
  python -m benchmarks
  python -m benchmarks --quick --only engines --output /tmp/results.md
  python -m benchmarks --only held --rates 500,1000 --seconds 10 --output /tmp/results.md
"""


class Rates(click.ParamType):
    """Numbers separated by commas."""

    name = "rates"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """Return the numbers."""
        try:
            rates = tuple(int(each) for each in str(value).split(","))
        except ValueError:
            rates = ()
        if not rates or min(rates) < 1:
            self.fail(f"required events per second, separated by commas, got {value!r}", param, ctx)
        return rates


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of the command; see their help."""

    quick: bool
    only: tuple[str, ...]
    rates: tuple[int, ...] | None
    seconds: float | None
    no_variants: bool
    retail: Path | None
    output: Path

    @property
    def sizes(self) -> Sizes:
        """The sizes of the measurements."""
        sizes = QUICK if self.quick else FULL
        return replace(
            sizes,
            rates=self.rates or sizes.rates,
            step_s=self.seconds or sizes.step_s,
            held_alone=self.no_variants,
            retail=self.retail,
        )

    @property
    def shown(self) -> dict[str, str]:
        """The options that change the measurement, as shown on the page: without local paths."""
        given = {
            "--quick": "" if self.quick else None,
            "--rates": ",".join(map(str, self.rates)) if self.rates else None,
            "--seconds": f"{self.seconds:g}" if self.seconds else None,
            "--retail": self.retail.name if self.retail else None,
        }
        return {name: value for name, value in given.items() if value is not None}


@click.command(epilog=EPILOG)
@click.option("--quick", is_flag=True, help="Small sizes, to test the benchmarks. The figures mean nothing.")
@click.option("--only", multiple=True, type=click.Choice(SECTIONS), help="Measure this section. Can be repeated.")
@click.option("--rates", type=Rates(), help="For `held`: events per second, separated by commas.")
@click.option("--seconds", type=click.FloatRange(min=1), help="For `held` and `experiments`: duration of each rate.")
@click.option("--no-variants", is_flag=True, help="For `held`: omit the two variants.")
@click.option("--retail", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="For `replay`: Online Retail (UCI 352) as CSV or .gz. Without it: omitted.")  # fmt: skip
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), default=Path("benchmarks/results.md"),
              show_default=True, help="The page. results.json and the pictures go to the same folder.")  # fmt: skip
def main(**arguments: Any) -> None:
    """Measure one worker on a real Kafka and write the page.

    With --only, earlier results of the other sections stay on the page.
    """
    # SIGTERM becomes SystemExit, so that it also stops the broker and the workers.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    options = Options(**arguments)
    output = options.output
    output.parent.mkdir(parents=True, exist_ok=True)
    data = output.with_suffix(".json")
    old = msgspec.json.decode(data.read_bytes(), type=Results) if data.exists() else None
    chosen = [name for name in SECTIONS if name in options.only or not options.only]
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    try:
        with (
            Progress(*columns, console=Console(stderr=True)) as progress,
            KafkaBroker(AS_SHIPPED) as broker,
            _directory() as home,
        ):
            stage = Stage(broker.bootstrap_servers, Path(home), output.parent, options.sizes, _reporter(progress))
            for name in chosen:
                section = _measure(name, stage, options.shown)
                if section is None:
                    continue
                new = Results(about=about(), sections={name: section})
                # Written after every section, so that a failure in the next one loses nothing.
                old = merged(old, new, SECTIONS)
                data.write_bytes(msgspec.json.format(msgspec.json.encode(old)))
                output.write_text(render(old))
    except StreamsError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"wrote {output} and {data}")


def _measure(name: str, stage: Stage, options: dict[str, str]) -> Section | None:
    """Measure one section. Return None if its requirements are missing."""
    module = import_module(f"benchmarks.{name.replace('-', '_')}")
    began = time.monotonic()
    section: Section | None = module.measure(stage)
    if section is None:
        return None
    command = shlex.join(
        ["python", "-m", "benchmarks", "--only", name, *(f"{o}={v}" if v else o for o, v in options.items())]
    )
    return structs.replace(section, command=command, date=_now(), minutes=(time.monotonic() - began) / 60)


def about() -> dict[str, Scalar]:
    """Return the versions and the machine of the measurement."""
    return {
        "date": _now(),
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "load of the machine at the end": f"{os.getloadavg()[0]:.1f} (1 minute)",
        "Python": platform.python_version(),
        "packages": ", ".join(f"{name} {version(name)}" for name in PACKAGES),
    }


def _now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _directory() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="intentstream-bench-", ignore_cleanup_errors=True)


def _reporter(progress: Progress) -> Callable[[str], None]:
    task = progress.add_task("starting Kafka")

    def report(what: str) -> None:
        if not progress.console.is_terminal:
            progress.console.print(what, highlight=False)
        progress.update(task, description=what)

    return report


if __name__ == "__main__":
    main()
