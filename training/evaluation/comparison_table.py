"""The comparison of two evaluations for the terminal and as a page."""

from __future__ import annotations

from html import escape

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from training.evaluation.comparison import Compared, Comparison
from training.evaluation.figures import change, metric_title, percent, share
from training.evaluation.html import document, table_of

HEADER = ("", "A", "B", "B − A, 95%", "relative, 95%", "p")


def show_comparison(found: Comparison, files: tuple[str, str], console: Console) -> None:
    """Print the comparison."""
    console.print(Text(found.sentence, style="bold"))
    for line in lines(found, files):
        console.print(line, highlight=False, markup=False)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in HEADER:
        table.add_column(name, justify="right" if name else "left", no_wrap=True)
    for each in found.metrics:
        table.add_row(*cells(each))
    console.print(table)
    if found.changes:
        changes = Table(box=box.SIMPLE_HEAD, pad_edge=False, title="What differs", title_justify="left", title_style="")
        for name in ("", "A", "B"):
            changes.add_column(name, overflow="fold")
        for name, (one, other) in found.changes.items():
            changes.add_row(name, str(one), str(other))
        console.print(changes)


def lines(found: Comparison, files: tuple[str, str]) -> list[str]:
    """Return the files and the cases in words."""
    pairing = "paired" if found.is_paired else "not paired"
    counts = [
        f"{cases:,} lists of {shoppers:,} shoppers" for cases, shoppers in zip(found.cases, found.shoppers, strict=True)
    ]
    of = counts[0] if found.is_paired else f"{counts[0]} and {counts[1]}"
    return [f"A: {files[0]}", f"B: {files[1]}", f"{found.protocol}, {pairing}, bootstrap over shoppers: {of}"]


def cells(each: Compared) -> tuple[str, ...]:
    """Return the row of a metric."""
    return (
        metric_title(each.metric, each.k),
        share(each.first.value),
        share(each.second.value),
        change(each.difference),
        "" if each.relative is None else percent(each.relative),
        f"{each.chance:.3f}",
    )


def comparison_page(found: Comparison, files: tuple[str, str]) -> str:
    """Return the comparison as one HTML file that needs no network."""
    rows = ["<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells(each)) + "</tr>" for each in found.metrics]
    changes = [
        f"<tr><td>{escape(name)}</td><td>{escape(str(one))}</td><td>{escape(str(other))}</td></tr>"
        for name, (one, other) in found.changes.items()
    ]
    differs = f"<h2>What differs</h2>{table_of(['', 'A', 'B'], changes)}" if changes else ""
    body = f"""<p class="verdict">{escape(found.sentence)}</p>
{"".join(f'<p class="lead">{escape(line)}</p>' for line in lines(found, files))}
<h2>Metrics</h2>
{table_of(HEADER, rows)}
{differs}"""
    return document("Intentstream: comparison of two evaluations", body)
