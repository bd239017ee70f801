"""`python -m inference.distillation`, which `make model` runs: exports the encoder, fits the ranker."""

from __future__ import annotations

import gzip
import logging
import sys
from pathlib import Path

import click
import numpy as np
import onnx

from inference.distillation.bundle import FILES, write_manifest
from inference.errors import InferenceError
from inference.manifest import MANIFEST, read_manifest

DEFAULT = Path("exported_models/minilm-l6/1")

into_option = click.option(
    "--into",
    type=click.Path(path_type=Path, file_okay=False),
    default=DEFAULT,
    show_default=True,
    help="The bundle's folder, .../NAME/VERSION.",
)


@click.group(invoke_without_command=True)
@click.pass_context
def main(context: click.Context) -> None:
    """Make a model bundle. Without a command: export the encoder, keep the ranker that is there."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    if context.invoked_subcommand is None:
        context.invoke(export, into=DEFAULT, weights="int8")


@main.command()
@into_option
@click.option("--weights", type=click.Choice(["int8", "float32"]), default="int8", show_default=True)
def export(into: Path, weights: str) -> None:
    """Export all-MiniLM-L6-v2 to encoder.onnx and copy its tokenizer.

    float32 is four times larger and half as fast on a CPU; it is the reference, and the choice for CUDA, whose
    provider has no kernel for the int8 product.
    """
    from inference.distillation.export import MAX_TOKENS, TEACHER, export_teacher, teacher_folder
    from inference.distillation.quantise import quantise

    _say("checking the teacher's weights")
    teacher = teacher_folder()
    _say("exporting to ONNX")
    model = export_teacher(teacher)
    if weights == "int8":
        _say("rounding to 8 bits")
        model = quantise(model)
    into.mkdir(parents=True, exist_ok=True)
    onnx.save_model(model, into / FILES["encoder"])
    (into / FILES["tokenizer"]).write_bytes((teacher / "tokenizer.json").read_bytes())
    if (into / FILES["ranker"]).exists():
        _say("computing golden outputs, verifying")
        write_manifest(into, origin=TEACHER, max_tokens=MAX_TOKENS)
        _say(f"{into} is ready")
    else:
        _say(f"{into} has no ranker yet: python -m inference.distillation ranker FEATURES.npz --into {into}")


@main.command()
@click.argument("data", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@into_option
@click.option("--strength", default=1.0, show_default=True, help="Inverse of the L2 penalty (scikit-learn's C).")
def ranker(data: Path, into: Path, strength: float) -> None:
    """Fit the ranker to DATA and write ranker.onnx.

    DATA is an .npz with `features` (n, F), `labels` (n,) of 0 and 1, and `names` (F,).
    """
    from inference.distillation.export import MAX_TOKENS, TEACHER
    from inference.distillation.ranker import fit, to_onnx

    with np.load(data, allow_pickle=False) as arrays:
        fitted = fit(arrays["features"], arrays["labels"], tuple(map(str, arrays["names"])), strength)
    for name, weight in zip(fitted.names, fitted.weights, strict=True):
        _say(f"{weight:+8.3f}  {name}")
    known = read_manifest(into) if (into / MANIFEST).exists() else None
    onnx.save_model(to_onnx(fitted), into / FILES["ranker"])
    origin, max_tokens = (known.created_from, known.max_tokens) if known else (TEACHER, MAX_TOKENS)
    write_manifest(into, origin=origin, max_tokens=max_tokens)
    _say(f"{into} is ready")


@main.command()
@click.argument("titles", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--sample", default=1500, show_default=True, help="How many of the titles to encode.")
def measure(titles: Path, sample: int) -> None:
    """Compare the float32 export with its 8-bit variants on TITLES, one a line, plain or .gz.

    Needs the package onnx-ir beside the extra `distill`. Prints a Markdown table.
    """
    from inference.distillation.export import MAX_TOKENS, export_teacher, teacher_folder
    from inference.distillation.measure import measure as run
    from inference.distillation.measure import table

    opener = gzip.open if titles.suffix == ".gz" else Path.open
    with opener(titles, "rb") as file:
        lines = [line.decode().strip() for line in file]
    chosen = np.random.default_rng(7).choice(len(lines), min(sample, len(lines)), replace=False)
    _say("exporting the teacher")
    folder = teacher_folder()
    model, tokenizer = export_teacher(folder), (folder / "tokenizer.json").read_bytes()
    dim = model.graph.output[0].type.tensor_type.shape.dim[1].dim_value
    measured = []
    for each in run(model, tokenizer, [lines[i] for i in chosen], dim=dim, max_tokens=MAX_TOKENS):
        _say(f"measured {each.name}")
        measured.append(each)
    click.echo(table(measured))


def _say(text: str) -> None:
    click.echo(text, err=True)


if __name__ == "__main__":
    try:
        main()
    except InferenceError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(1)
