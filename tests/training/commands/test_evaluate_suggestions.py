"""`evaluate-suggestions` on small data: its output, and one line for each error."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from streams.cli import cli
from streams.contracts.serde import encode_json
from tests.streams.desk import assert_one_line
from tests.training.evaluation.small_shop import ITEMS
from training.evaluation.suggestions import SuggestionsReport


def run(folder: Path, queries: str, *options: str) -> Result:
    catalog, file = folder / "items.jsonl", folder / "queries.csv"
    catalog.write_bytes(b"\n".join(map(encode_json, ITEMS)))
    file.write_text(queries)
    arguments = ["evaluate-suggestions", "--catalog", str(catalog), "--queries", str(file), *options]
    return CliRunner(env={"COLUMNS": "100"}).invoke(cli, arguments)


def test_it_prints_a_table_and_writes_all_figures(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    result = run(tmp_path, "query,item_id,grade\nblack tea,i1,3\nmilk,i3,1\n", "--folds", "2", "--json", str(out))
    assert result.exit_code == 0, result.output
    assert "MRR@10 by letters typed" in result.output
    assert "most popular" in result.output
    report = msgspec.json.decode(out.read_bytes(), type=SuggestionsReport)
    assert (report.queries, report.items) == (2, len(ITEMS))


@pytest.mark.parametrize(
    ("queries", "message"),
    [
        ("query,item_id,grade\ntea,unknown,3\n", "required at least 5 queries, got 0 with an item of the catalogue"),
        ("query,item\n", "required a header with a column item_id or docid or product_id, got query, item"),
    ],
)
def test_unusable_queries_are_one_line(tmp_path: Path, queries: str, message: str) -> None:
    assert_one_line(run(tmp_path, queries), 2, message)
