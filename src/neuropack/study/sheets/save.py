"""Write a study as sheets: to be filled in, or filled from a study that there is."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from neuropack import schema
from neuropack.errors import OutputError, UsageError
from neuropack.study.sheets import FOLDER, WORKBOOK
from neuropack.study.sheets.fill import Records
from neuropack.study.sheets.pages import pages_of
from neuropack.study.sheets.tsv import text_of
from neuropack.study.sheets.written import about_text, write_workbook

Kind = Literal["xlsx", "tsv"]
NAMES: dict[Kind, str] = {"xlsx": WORKBOOK, "tsv": FOLDER}


def begun() -> Records:
    """The records of a study that is not filled in: what is nearly always the same."""
    licence = {
        "dataset.license.spdx": "ODC-By-1.0",
        "dataset.license.uri": "https://opendatacommons.org/licenses/by/1-0/",
    }
    return {"study": [{"schema_version": schema.schema_version(), "dataset.version": "1.0.0", **licence}]}


def save(records: Records, folder: Path, kind: Kind, see: Callable[[Path], None] = lambda _: None) -> Path:
    """Write sheets into a study's folder, beside their final name first.

    Args:
        records: of every sheet.
        folder: of the study.
        kind: a workbook, or a folder of TSV files.
        see: is called with what was written before it gets its name.

    Raises:
        UsageError: they are there already, or a value cannot stand in a cell.
        OutputError: they cannot be written.
    """
    path = folder / NAMES[kind]
    if path.exists():
        raise UsageError("is there already", file=path, fix="move it away, or fill that one in")
    new = folder / f".new-{path.name}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            _write(records, new, kind)
            see(new)
            new.rename(path)
        finally:
            _remove(new)
    except OSError as error:
        fix = "check its permissions"
        raise OutputError(f"cannot be written: {error.strerror or error}", file=folder, fix=fix) from error
    return path


def _write(records: Records, path: Path, kind: Kind) -> None:
    pages = pages_of(records)
    _remove(path)
    if kind == "xlsx":
        write_workbook(path, pages)
        return
    path.mkdir()
    (path / "README.md").write_text(about_text(pages), encoding="utf-8", newline="\n")
    for page in pages:
        (path / f"{page.sheet.name}.tsv").write_text(text_of(page.rows()), encoding="utf-8", newline="")


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
