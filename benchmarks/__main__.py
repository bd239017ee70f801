"""`python -m benchmarks`: choose sections, measure them on one Kafka, write the page."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from benchmarks import cpu, hotspots, latency, retrieval, sources, state, swap
from benchmarks.report import Results, Scalar, Section, merged, render
from benchmarks.sizes import FULL, QUICK
from benchmarks.stage import Stage
from streams.errors import StreamsError
from tests.integration.brokers import AS_SHIPPED, KafkaBroker

SECTIONS: dict[str, Callable[[Stage], Section]] = {
    "cpu": cpu.measure,
    "latency": latency.measure,
    "state": state.measure,
    "retrieval": retrieval.measure,
    "sources": sources.measure,
    "hotspots": hotspots.measure,
    "swap": swap.measure,
}
PACKAGES = ("aiokafka", "faust-streaming", "numpy", "onnxruntime", "quixstreams", "rocksdict", "usearch")
EPILOG = """\b
Examples:
  python -m benchmarks
  python -m benchmarks --quick --only cpu --output /tmp/results.md
"""


@click.command(epilog=EPILOG)
@click.option("--quick", is_flag=True, help="Small sizes: whether it works, not what it measures.")
@click.option("--only", multiple=True, type=click.Choice(list(SECTIONS)), help="Just this section; may be repeated.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), default=Path("benchmarks/results.md"),
              show_default=True, help="The page; beside it go results.json and the pictures.")  # fmt: skip
def main(*, quick: bool, only: tuple[str, ...], output: Path) -> None:
    """Measure one worker on a real Kafka and write the page.

    With --only, sections that were measured before stay on the page as they are.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    data = output.with_suffix(".json")
    old = msgspec.json.decode(data.read_bytes(), type=Results) if data.exists() else None
    chosen = [name for name in SECTIONS if name in only or not only]
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    try:
        with (
            Progress(*columns, console=Console(stderr=True)) as progress,
            KafkaBroker(AS_SHIPPED) as broker,
            _directory() as home,
        ):
            tell = _teller(progress)
            stage = Stage(broker.bootstrap_servers, Path(home), output.parent, QUICK if quick else FULL, tell)
            for name in chosen:
                new = Results(about=about(), sections={name: SECTIONS[name](stage)})
                # After every section: what was measured is kept if the next one fails.
                old = merged(old, new, tuple(SECTIONS))
                data.write_bytes(msgspec.json.format(msgspec.json.encode(old)))
                output.write_text(render(old))
    except StreamsError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"wrote {output} and {data}")


def about() -> dict[str, Scalar]:
    """Tell what was run, and on what."""
    return {
        "command": " ".join(["python -m benchmarks", *sys.argv[1:]]),
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "load of the machine at the end": f"{os.getloadavg()[0]:.1f} (1 minute)",
        "Python": platform.python_version(),
        "packages": ", ".join(f"{name} {version(name)}" for name in PACKAGES),
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _directory() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="intentstream-bench-", ignore_cleanup_errors=True)


def _teller(progress: Progress) -> Callable[[str], None]:
    task = progress.add_task("starting Kafka")

    def tell(what: str) -> None:
        if not progress.console.is_terminal:
            progress.console.print(what, highlight=False)
        progress.update(task, description=what)

    return tell


if __name__ == "__main__":
    main()
