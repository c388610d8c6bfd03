"""neuropack init, sheets and schema."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from neuropack import schema
from neuropack.cli import main
from neuropack.study.json_schema import study_schema


@pytest.mark.parametrize(("kind", "file"), [("xlsx", "study.xlsx"), ("tsv", "sheets")])
def test_init_writes_sheets_to_fill_in(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str, file: str
) -> None:
    assert main(["init", str(tmp_path), "--spreadsheet", kind]) == 0
    assert f"next: fill in {tmp_path / file}" in capsys.readouterr().out
    assert (tmp_path / file).exists() and not (tmp_path / "study.yaml").exists()
    assert file in (tmp_path / "README.md").read_text(encoding="utf-8")
    assert main(["init", str(tmp_path)]) == 2
    assert file in capsys.readouterr().err
    assert main(["build", str(tmp_path), str(tmp_path / "release")]) == 3
    assert "the study has no subjects" in capsys.readouterr().err


def test_sheets_tell_what_is_wrong_with_the_study(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", str(tmp_path)]) == 0
    assert main(["sheets", str(tmp_path), "--as", "tsv"]) == 3
    assert "study.yaml:" in capsys.readouterr().err
    assert not (tmp_path / "sheets").exists()
    assert main(["sheets", str(tmp_path), "--as", "ods"]) == 2


def test_schema_prints_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == schema.json_schema()
    assert main(["schema", "--study"]) == 0
    assert json.loads(capsys.readouterr().out) == study_schema()
