"""A bundle with anything wrong in it is a BundleError of one line, whatever the libraries raise."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inference.bundle import load_bundle
from inference.errors import BundleError
from inference.manifest_files import read_manifest
from inference.verification import verify_bundle
from tests.bundles import copy_bundle
from tests.conftest import BUNDLE
from tests.malformed_bundles import DAMAGES, ENCODER, MANIFEST, RANKER, Damage, external, replace


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the shipped bundle that a test may damage."""
    return copy_bundle(BUNDLE, tmp_path / "shop-minilm-l3" / "2")


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_malformed_bundle_is_a_bundle_error_of_one_line(folder: Path, damage: Damage) -> None:
    damage(folder)
    with pytest.raises(BundleError) as caught:
        load_bundle(folder)
    text = str(caught.value)
    assert text.isprintable()
    assert len(text) < 1100
    assert str(folder) in text or "graph" in text or "tokenizer.json" in text
    findings = list(verify_bundle(folder))
    assert not all(each.passed for each in findings)
    assert all(each.detail.isprintable() for each in findings)


@pytest.mark.parametrize("name", [ENCODER, MANIFEST])
def test_a_link_within_the_bundle_is_followed(folder: Path, name: str) -> None:
    """Kubernetes mounts the files of a volume as links to a folder beside them."""
    (folder / "..data").mkdir()
    (folder / name).rename(folder / "..data" / name)
    (folder / name).symlink_to(Path("..data") / name)
    linked = folder.parent / "latest"
    linked.symlink_to(folder)
    load_bundle(linked)


def test_external_data_is_named(folder: Path) -> None:
    replace(RANKER, external("graph"))(folder)
    with pytest.raises(BundleError, match="required all tensors in the graph, got external data in other files"):
        load_bundle(folder)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    place=st.floats(0, 1),
    cut=st.integers(0, 50),
    piece=st.binary(max_size=8) | st.sampled_from([b"\xff", b"[", b"{", b"null", b"1e999", b"-1", b'"', b"\0"]),
)
def test_any_change_of_the_manifest_is_read_or_a_bundle_error(
    tmp_path: Path, place: float, cut: int, piece: bytes
) -> None:
    content = (BUNDLE / MANIFEST).read_bytes()
    at = int(place * len(content))
    (tmp_path / MANIFEST).write_bytes(content[:at] + piece + content[at + cut :])
    try:
        read_manifest(tmp_path)
    except BundleError as error:
        assert str(error).isprintable()  # noqa: PT017 - most changes are errors, not all
