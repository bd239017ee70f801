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
from inference.distillation.options import DEFAULT, into_option, say
from inference.distillation.ranker_commands import evaluate, ranker
from inference.errors import InferenceError


@click.group(invoke_without_command=True)
@click.pass_context
def main(context: click.Context) -> None:
    """Make a model bundle. Without a command: export the encoder, keep a ranker that fits."""
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
    from inference.distillation.ranker import feature_names, to_onnx, unfitted
    from inference.ranking.features import FEATURES

    say("checking the teacher's weights")
    teacher = teacher_folder()
    say("exporting to ONNX")
    model = export_teacher(teacher)
    if weights == "int8":
        say("rounding to 8 bits")
        model = quantise(model)
    into.mkdir(parents=True, exist_ok=True)
    onnx.save_model(model, into / FILES["encoder"])
    (into / FILES["tokenizer"]).write_bytes((teacher / "tokenizer.json").read_bytes())
    ranker_path = into / FILES["ranker"]
    fits = ranker_path.exists() and feature_names(onnx.load(ranker_path)) == FEATURES
    if not fits:
        # An encoder alone is no bundle, and without one there are no examples to fit a ranker to.
        onnx.save_model(to_onnx(unfitted()), ranker_path)
    say("computing golden outputs, verifying")
    write_manifest(into, origin=TEACHER, max_tokens=MAX_TOKENS)
    say(f"{into} is ready" if fits else f"{into}: its ranker gives every item the same score until it is fitted")


@main.command()
@click.argument("titles", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--sample", default=1500, show_default=True, help="How many of the titles to encode.")
def measure(titles: Path, sample: int) -> None:
    """Compare the float32 export with its 8-bit variants on TITLES, one a line, plain or .gz.

    Prints a Markdown table.
    """
    from inference.distillation.export import MAX_TOKENS, export_teacher, teacher_folder
    from inference.distillation.measure import measure as run
    from inference.distillation.measure import table

    opener = gzip.open if titles.suffix == ".gz" else Path.open
    with opener(titles, "rb") as file:
        lines = [line.decode().strip() for line in file]
    chosen = np.random.default_rng(7).choice(len(lines), min(sample, len(lines)), replace=False)
    say("exporting the teacher")
    folder = teacher_folder()
    model, tokenizer = export_teacher(folder), (folder / "tokenizer.json").read_bytes()
    dim = model.graph.output[0].type.tensor_type.shape.dim[1].dim_value
    measured = []
    for each in run(model, tokenizer, [lines[i] for i in chosen], dim=dim, max_tokens=MAX_TOKENS):
        say(f"measured {each.name}")
        measured.append(each)
    click.echo(table(measured))


main.add_command(ranker)
main.add_command(evaluate)

if __name__ == "__main__":
    try:
        main()
    except InferenceError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(1)
