"""``derivatives/benchmark/splits.tsv``: which subjects a method learns from, and which it is tested on."""

from __future__ import annotations

from collections.abc import Mapping

from neuropack.build.bids import json_text, tsv_text
from neuropack.build.place import Place
from neuropack.release import BENCHMARK, SPLITS
from neuropack.study.records import Record

COLUMNS = {"participant_id": "The subject", "split": "train, validation or test: all stacks of the subject"}
_TABLE, _SIDECAR = SPLITS.removeprefix(f"{BENCHMARK}/"), "splits.json"


def splits_files(splits: Mapping[str, str]) -> dict[str, bytes]:
    """The table with its description, by path in ``derivatives/benchmark``.

    Args:
        splits: the split of each subject; empty for no table.
    """
    if not splits:
        return {}
    rows = [{"participant_id": f"sub-{subject}", "split": split} for subject, split in splits.items()]
    columns = {name: {"Description": said} for name, said in COLUMNS.items()}
    return {_TABLE: tsv_text(list(COLUMNS), rows).encode(), _SIDECAR: json_text(columns).encode()}


def remove_splits(place: Place, earlier: Record) -> None:
    """Remove the table of benchmarks that the study no longer has; one that was put there otherwise stays."""
    if earlier.get("benchmarks"):
        for path in (_TABLE, _SIDECAR):
            place.remove(f"{BENCHMARK}/{path}")
