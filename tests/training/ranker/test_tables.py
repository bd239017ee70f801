"""Tables of figures in Markdown."""

from __future__ import annotations

from training.ranker.tables import Figures


def test_a_table_in_markdown_marks_the_chosen_rows() -> None:
    rows = [("browsing", "popularity", ".1"), ("browsing", "this", ".2"), ("searching", "this", ".3")]
    table = Figures(note="Note.", header=("lists", "order", "HR"), rows=rows, texts=2, marked="this", lines=["Few."])
    assert table.markdown().splitlines() == [
        "Note.",
        "",
        "| lists | order | HR |",
        "| --- | --- | --- |",
        "| browsing | popularity | .1 |",
        "| browsing | **this** | .2 |",
        "| searching | **this** | .3 |",
        "",
        "Few.",
    ]


def test_without_rows_there_is_only_the_note() -> None:
    assert Figures(note="Nothing.").markdown() == "Nothing."
