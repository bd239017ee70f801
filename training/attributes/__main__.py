"""The command `python -m training.attributes`: measures derived attributes, and fits the detection of duplicates."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from inference.errors import InferenceError
from streams.errors import StreamsError

WEIGHTS = Path("inference/attributes/pair_weights.json")
data_argument = click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def main() -> None:
    """Measure derived attributes on hidden ones, and the detection of duplicates on labelled pairs."""


@main.command()
@data_argument
def measure(folder: Path) -> None:
    """Hide the attributes of Chorus electronics in FOLDER, derive them, and print precision and recall.

    Half of the items are measured; the brands are learned from the other half. Recall counts labels that the texts
    contain; `of all` counts every label. Prints a Markdown table.
    """
    from training.attributes.hidden import hidden_items
    from training.attributes.measure import measure as run

    try:
        measured = run(hidden_items(folder))
    except (StreamsError, InferenceError) as error:
        raise click.ClickException(str(error)) from error
    click.echo("| | attribute | labels | in the text | derived | precision | recall | F1 | recall of all |")
    click.echo("|---|---|---|---|---|---|---|---|---|")
    for way, scores, _ in measured:
        for each in scores:
            if each.derived:
                click.echo(
                    f"| {way} | {each.name} | {each.labelled} | {each.in_text} | {each.derived} "
                    f"| {each.precision:.3f} ± {each.margin:.3f} | {each.recall:.3f} | {each.f1:.3f} "
                    f"| {each.right / max(1, each.labelled):.3f} |"
                )
    click.echo(f"\n{measured[-1].microseconds:.0f} µs an item, all attributes, one core")


@main.command()
@data_argument
@click.option(
    "--model",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path("exported_models/shop-minilm-l3/1"),
    show_default=True,
    help="The bundle whose encoder reads the titles.",
)
@click.option(
    "--items", type=click.IntRange(1), default=5000, show_default=True, help="Items to train on, and to test."
)
def tagger(folder: Path, model: Path, items: int) -> None:
    """Train a tagger of title words on Chorus electronics in FOLDER, and compare it with the rules.

    Workers do not use it. Needs the extra `train`. Prints a Markdown table.
    """
    from training.attributes.hidden import hidden_items
    from training.attributes.tagger import measure_tagger

    try:
        outcomes = measure_tagger(hidden_items(folder), model, items)
    except (StreamsError, InferenceError) as error:
        raise click.ClickException(str(error)) from error
    click.echo("| trained on | attribute | labels in the text | precision, recall: rules | tagger | both |")
    click.echo("|---|---|---|---|---|---|")
    for way, *ways in outcomes:
        for scores in zip(*ways, strict=True):
            shown = (f"{each.precision:.3f}, {each.recall:.3f}" for each in (scores[1], scores[0], scores[2]))
            click.echo(f"| {way} | {scores[0].name} | {scores[1].in_text} | {' | '.join(shown)} |")


@main.command()
@data_argument
@click.option(
    "--model", type=click.Path(exists=True, file_okay=False, path_type=Path), help="A bundle to compare with."
)
def matching(folder: Path, model: Path | None) -> None:
    """Measure the detection of the same product on the labelled pairs of product matching in FOLDER.

    Cross-validation by product. Prints a Markdown table.
    """
    from inference.bundle import load_bundle
    from training.attributes.matching import measure as run
    from training.attributes.matching import read_pairs

    try:
        results = run(read_pairs(folder), None if model is None else load_bundle(model))
    except InferenceError as error:
        raise click.ClickException(str(error)) from error
    click.echo("| method | pairs | precision | recall | F1 (95%) |\n|---|---|---|---|---|")
    for each in results:
        click.echo(
            f"| {each.name} | {each.pairs} | {each.precision:.3f} | {each.recall:.3f} "
            f"| {each.f1:.3f} ({each.low:.3f} to {each.high:.3f}) |"
        )


@main.command()
@data_argument
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), default=WEIGHTS, show_default=True)
def fit(folder: Path, output: Path) -> None:
    """Fit the weights of the detection of the same product to the pairs in FOLDER, and write them."""
    from training.attributes.matching import read_pairs, shipped_weights

    try:
        weights = shipped_weights(read_pairs(folder))
    except InferenceError as error:
        raise click.ClickException(str(error)) from error
    output.write_bytes(msgspec.json.format(msgspec.json.encode(weights), indent=2) + b"\n")
    click.echo(f"{output}: threshold {weights.threshold}")


if __name__ == "__main__":
    main(prog_name="python -m training.attributes")
