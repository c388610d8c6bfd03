"""A release built from sheets is, byte for byte, the one built from study.yaml."""

from __future__ import annotations

from pathlib import Path

import pytest

from neuropack.build import build
from neuropack.errors import InputError
from neuropack.study.convert import to_sheets


def test_the_release_is_the_same_to_the_byte(fresh: tuple[Path, Path], tmp_path: Path) -> None:
    study, release = fresh
    to_sheets(study, "xlsx")
    (study / "study.yaml").unlink()
    build(study, tmp_path / "again")
    files = {path.relative_to(release) for path in release.rglob("*") if path.is_file()}
    again = {path.relative_to(tmp_path / "again") for path in (tmp_path / "again").rglob("*") if path.is_file()}
    assert files == again
    assert Path("metadata/neuropack.json") in files
    for name in files:
        assert (release / name).read_bytes() == (tmp_path / "again" / name).read_bytes(), name


def test_what_only_the_raw_file_shows_is_told_with_its_cell(fresh: tuple[Path, Path], tmp_path: Path) -> None:
    study, _ = fresh
    text = (study / "study.yaml").read_text(encoding="utf-8")
    (study / "study.yaml").write_text(
        text.replace("raw/b.tif, chunk: 02", "raw/b.tif, chunk: 02, scene: P9"), "utf-8"
    )
    folder = to_sheets(study, "tsv")
    with pytest.raises(InputError) as caught:
        build(folder, tmp_path / "again")
    assert f"{folder}/stacks.tsv:4:1: " in str(caught.value)
