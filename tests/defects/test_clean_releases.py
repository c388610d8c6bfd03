"""Releases in which nothing is wrong, whatever made them: not one finding, not even a remark, in every byte."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import small_release
from ruamel.yaml import YAML

from neuropack.build import build
from neuropack.rules import check

HERE = Path(__file__).resolve().parent
STUDY = HERE.parent / "gates" / "real"
DATA = Path(os.environ.get("NEUROPACK_TEST_DATA", HERE.parents[1].parent / "shared" / "data"))
# what the files do not state of their channels: stand-ins, but for light that only passed through
CHANNELS: dict[str, list[dict[str, Any]]] = {
    "oib": [{"fluorophore": "EGFP", "emission_nm": 510}, {}, {"fluorophore": "none", "emission_nm": 543}],
    "czi": [{"excitation_nm": 550, "emission_nm": 550}],
    "nd2": [{"excitation_nm": 550, "emission_nm": 550}],
    "lsm": [{"emission_nm": 460}, {"emission_nm": 573}, {"fluorophore": "none", "emission_nm": 561}],
    "time": [{"fluorophore": "EGFP", "excitation_nm": 488, "emission_nm": 510}],
}


@pytest.mark.slow
def test_a_release_of_ten_thousand_files(tmp_path: Path) -> None:
    small_release.write(tmp_path, width=1024)
    report = check(tmp_path)
    assert report.issues == []
    assert report.checked.files > 10_000


@pytest.mark.slow
def test_a_release_of_real_files_with_their_metadata_filled_in(tmp_path: Path) -> None:
    wanted = (STUDY / "files.txt").read_text(encoding="utf-8").split()
    if absent := [name for name in wanted if not (DATA / name).exists()]:
        pytest.skip(f"real files are not here: {', '.join(absent)}")
    study = Path(shutil.copytree(STUDY, tmp_path / "study"))
    for name in wanted:
        shutil.copy(DATA / name, study)
    fill_in(study / "study.yaml")
    build(study, tmp_path / "release")
    report = check(tmp_path / "release")
    assert report.issues == []
    assert report.checked.decoded_bytes > 20e6


def fill_in(file: Path) -> None:
    """State what the files do not; leave the tracing out, whose constant radius is a true finding."""
    yaml = YAML()
    data = yaml.load(file)
    for stack in (s for animal in data["subjects"] for piece in animal["specimens"] for s in piece["stacks"]):
        stack.pop("skeletons", None)
        more = CHANNELS.get(stack["acq"], []) if stack.get("chunk") != "02" else []
        channels = stack.setdefault("channels", [])
        channels.extend({} for _ in range(len(more) - len(channels)))
        for channel, fields in zip(channels, more, strict=False):
            channel.update(fields)
    yaml.dump(data, file)
