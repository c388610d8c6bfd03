"""A study as a workbook or a folder of TSV files: the same tree that study.yaml gives, a cell for each value."""

from __future__ import annotations

from pathlib import Path

from neuropack.study.sheets.tree import study_of
from neuropack.study.sheets.tsv import read_folder
from neuropack.study.sheets.workbook import read_workbook
from neuropack.study.yaml import Node, Problem

WORKBOOK, FOLDER = "study.xlsx", "sheets"


def load_sheets(path: Path, problems: list[Problem]) -> Node:
    """Read a study from sheets.

    Args:
        path: a workbook, or a folder of TSV files.
        problems: where what cannot be understood is noted.

    Raises:
        InputError: it cannot be read, or is too large.
    """
    return study_of(read_folder(path) if path.is_dir() else read_workbook(path, problems), problems)
