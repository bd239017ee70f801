"""A ranker's figures in a terminal of 80 columns."""

from __future__ import annotations

from io import StringIO

from rich.console import Console

from training.commands.output import figure_views
from training.ranker.tables import Figures


def test_groups_are_named_once_and_nothing_is_cut_or_read_as_markup() -> None:
    long = "retrieval order (reciprocal rank fusion)"
    rows = [("searching", long, "0.123", "0.123", "0.123"), ("searching", "this", "0.2", "0.2", "[red]")]
    header = ("lists", "order", "HR@20", "MRR@20", "NDCG@20")
    rows += [("arriving", "this", "0.3", "0.3", "0.3")]
    console = Console(file=StringIO(), width=80, record=True)
    for view in figure_views(Figures(note="Note.", header=header, rows=rows, texts=2, marked="this", lines=["Few."])):
        console.print(view)
    text = console.export_text()
    assert long in text
    assert "[red]" in text
    assert "…" not in text
    assert text.count("searching") == 1
    assert text.index("Note.") < text.index("searching") < text.index("arriving") < text.index("Few.")
