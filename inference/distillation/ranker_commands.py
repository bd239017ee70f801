"""`ranker` and `evaluate` of `python -m inference.distillation`: fits a bundle's ranker, and judges it."""

from __future__ import annotations

from pathlib import Path

import click
import onnx

from inference.distillation.bundle import FILES, write_manifest
from inference.distillation.options import into_option, say
from inference.manifest import MANIFEST, read_manifest

examples_argument = click.argument("examples", type=click.Path(path_type=Path, exists=True, dir_okay=False))
held_out_option = click.option(
    "--held-out",
    type=click.FloatRange(0, 0.5, min_open=True),
    default=0.15,
    show_default=True,
    help="Share of the lists, the last ones, that is kept for judging and never fitted to.",
)


@click.command()
@examples_argument
@into_option
@held_out_option
@click.option("--strength", type=float, help="Inverse of the L2 penalty; else chosen on the last lists before those.")
def ranker(examples: Path, into: Path, held_out: float, strength: float | None) -> None:
    """Fit the ranker to EXAMPLES, which `intentstream examples` wrote, and write ranker.onnx.

    Prints the slope of each feature, and how the ranker does on the lists held out.
    """
    from inference.distillation.compare import compare
    from inference.distillation.examples import read_examples
    from inference.distillation.export import MAX_TOKENS, TEACHER
    from inference.distillation.ranker import choose_strength, fit, to_onnx

    data = read_examples(examples)
    if strength is None:
        say("choosing the penalty")
        strength = choose_strength(data.split(0, 1 - 2 * held_out), data.split(1 - 2 * held_out, 1 - held_out))
    say(f"fitting, strength {strength:g}")
    fitted = fit(data.split(0, 1 - held_out), strength)
    for name, slope in zip(fitted.names, fitted.weights / fitted.std, strict=True):
        say(f"{slope:+8.3f}  {name}")
    known = read_manifest(into) if (into / MANIFEST).exists() else None
    onnx.save_model(to_onnx(fitted), into / FILES["ranker"])
    origin, max_tokens = (known.created_from, known.max_tokens) if known else (TEACHER, MAX_TOKENS)
    bundle = write_manifest(into, origin=origin, max_tokens=max_tokens)
    say(f"{into} is ready")
    click.echo(compare(data.split(1 - held_out, 1), bundle.scorer))


@click.command()
@examples_argument
@into_option
@held_out_option
def evaluate(examples: Path, into: Path, held_out: float) -> None:
    """Compare a bundle's ranker with simpler orders, on the last lists of EXAMPLES. Prints a Markdown table."""
    from inference.bundle import load_bundle
    from inference.distillation.compare import compare
    from inference.distillation.examples import read_examples

    click.echo(compare(read_examples(examples).split(1 - held_out, 1), load_bundle(into).scorer))
