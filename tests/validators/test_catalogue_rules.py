"""What the rules about the catalogue let pass."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import registered_release
from catalogue_defects import FOLDER
from small_release import seal

from neuropack.rules import check


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("catalogued") / "release"
    root.mkdir()
    registered_release.write_with_catalogue(root)
    return root


def test_a_catalogue_that_fits_is_clean_and_was_looked_at(built: Path) -> None:
    assert (built / FOLDER / "neurons.parquet").is_file()
    assert check(built).issues == []


def test_a_release_without_a_catalogue_stays_valid(built: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(built, tmp_path / "release"))
    registered_release.without_catalogue(root)
    assert check(root).issues == []


def test_a_catalogue_of_another_version_is_not_judged(built: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(built, tmp_path / "release"))
    (root / FOLDER / "regions.parquet").unlink()
    for file in (root / FOLDER).glob("*.parquet"):
        pq.write_table(pq.read_table(file).replace_schema_metadata({"neuropack.catalogue": "0"}), file)
    seal(root, digests=False, describe=False)
    assert check(root).issues == []
