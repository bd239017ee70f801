"""Measuring derived attributes on hidden ones, and duplicates on labelled pairs."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from click.testing import CliRunner

from inference.attributes.pairs import FEATURES, Weights
from training.attributes.__main__ import main
from training.attributes.hidden import hidden_items, is_in_text, is_right, part_of
from training.attributes.matching import best_threshold, fit, measure, read_pairs
from training.attributes.measure import CATALOGUE
from training.attributes.measure import measure as measure_attributes


@pytest.fixture
def chorus(tmp_path: Path) -> Path:
    products = [
        {
            "id": str(number), "name": f"AB{number:04}",
            "title": f"Fjell AB{number:04} cup black {number % 3 + 1} TB HDD",
            "supplier": "Fjell", "attr_t_product_colour": "Black" if number % 4 else "Blue,Silver",
            "attr_n_hdd_capacity": (number % 3 + 1) * 1000.0, "short_description": None,
        }
        for number in range(200)
    ]  # fmt: skip
    with ZipFile(tmp_path / "products_1.json.zip", "w") as file:
        file.writestr("products.json", json.dumps(products))
    return tmp_path


def test_attributes_are_hidden_and_judged(chorus: Path) -> None:
    items = hidden_items(chorus)
    assert len(items) == 200
    assert all(not each.item.brand and not each.item.attributes for each in items)
    label = items[0].labels["colour"]
    assert is_right("colour", "silver", label)
    assert not is_right("colour", "black", label)
    assert not is_in_text("colour", items[0].item, label)
    assert is_right("capacity", "1 TB", items[0].labels["capacity"])
    assert not is_right("capacity", "4 TB", items[0].labels["capacity"])
    *_, best = measure_attributes(items)
    assert best.way == CATALOGUE
    scores = {each.name: each for each in best.scores}
    test = sum(part_of(each.item.item_id, 2) == 1 for each in items)
    for name in ("brand", "capacity", "model"):
        assert (scores[name].labelled, scores[name].precision, scores[name].recall) == (test, 1.0, 1.0)
    assert scores["colour"].labelled == scores["colour"].derived == test
    assert 0.5 < scores["colour"].precision < 1


def test_the_table(chorus: Path) -> None:
    done = CliRunner().invoke(main, ["measure", str(chorus)])
    assert done.exit_code == 0, done.output
    assert "| rules, word lists, brands of the catalogue | brand |" in done.output
    assert "µs an item" in done.output
    assert CliRunner().invoke(main, ["measure", str(chorus / "..")]).exit_code == 1


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    titles = [
        f"Maker{number} drive AB{number:03}X{'' if part else ' black'}" for number in range(60) for part in (0, 1)
    ]
    rows = ["title_a\ttitle_b\tmatch"]
    for number in range(60):
        rows.append(f"{titles[2 * number]}\t{titles[2 * number + 1]}\t1")
        rows.append(f"{titles[2 * number]}\t{titles[(2 * number + 2) % 120]}\t0")
    for name, content in (("titles.txt.gz", titles), ("pairs.tsv.gz", rows)):
        with gzip.open(tmp_path / name, "wt") as file:
            file.write("\n".join(content) + "\n")
    return tmp_path


def test_pairs_are_split_by_product_and_found(pairs: Path) -> None:
    read = read_pairs(pairs)
    assert (read.parts[read.same, 0] == read.parts[read.same, 1]).all(), "a product is in one part"
    results = {each.name: each for each in measure(read) if each.pairs == 120}
    assert results["logistic model"].f1 > 0.95
    assert results["logistic model"].low <= results["logistic model"].f1 <= results["logistic model"].high


def test_fitted_weights_are_written(pairs: Path, tmp_path: Path) -> None:
    import msgspec

    output = tmp_path / "weights.json"
    assert CliRunner().invoke(main, ["fit", str(pairs), "--output", str(output)]).exit_code == 0
    assert set(msgspec.json.decode(output.read_bytes(), type=Weights).weights) == set(FEATURES)
    assert "| logistic model | 120 |" in CliRunner().invoke(main, ["matching", str(pairs)]).output


def test_the_fit_separates_and_the_threshold_has_the_best_f1() -> None:
    random = np.random.default_rng(0)
    features = random.normal(size=(400, len(FEATURES)))
    same = features[:, 0] > 0.3
    weights, bias = fit(features, same)
    scores = features @ weights + bias
    threshold = best_threshold(scores, same)
    found = scores >= threshold
    assert (found == same).mean() > 0.97
    assert int(np.abs(weights).argmax()) == 0
