"""``neuropack annotations check``: a verdict for each skeleton, and the exit status that goes with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from neuropack.cli import main

GOOD = "1 1 0 0 0 4 -1\n2 3 5 0 0 1 1\n3 3 9 1 0 0.8 2\n"


def test_a_good_skeleton_is_publishable(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "good.swc").write_text(GOOD, encoding="utf-8")
    assert main(["annotations", "check", str(tmp_path / "good.swc")]) == 0
    assert "good.swc: publishable" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "kind", "line"),
    [
        ("Neuron_missing_parents.swc", "parent", 40),
        ("multiple_somata.swc", "several-somata", 12),
        ("repeated_id.swc", "repeated-id", 6),
    ],
)
def test_real_mistakes_are_named_with_their_line(
    data_file: Callable[[str], Path], capsys: pytest.CaptureFixture[str], name: str, kind: str, line: int
) -> None:
    assert main(["annotations", "check", str(data_file(f"swc/{name}"))]) == 1
    told = capsys.readouterr().out
    assert "not publishable: 1 error" in told
    assert f"error  {kind}  {name}:{line}" in told


def test_a_remark_fails_only_where_it_is_asked_to(data_file: Callable[[str], Path]) -> None:
    file = str(data_file("swc/Neuron_zero_length_sections.swc"))
    assert main(["annotations", "check", file]) == 0
    assert main(["annotations", "check", file, "--fail-on", "warning"]) == 1


def test_real_traces_count_from_centres(
    data_file: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    swc, image = (data_file(f"neuron/mapmanager-rr30a-{end}") for end in ("s0-crop320.swc", "tp0-ch2-crop320.tif"))
    command = ["annotations", "check", str(swc), "--image", str(image), "--voxel-size", "1,0.12,0.12"]
    assert main(command) == 0
    assert "half-voxel" in capsys.readouterr().out
    assert main([*command, "--json"]) == 0
    json.loads(capsys.readouterr().out)


def test_traces_beside_their_dendrites_are_told(
    data_file: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = data_file("neuron/mapmanager-rr30a-tp0-ch2-crop320.tif")
    lines = data_file("neuron/mapmanager-rr30a-s0-crop320.swc").read_text(encoding="utf-8").splitlines()
    rows = [line.split() for line in lines if not line.startswith("#")]
    moved = [" ".join([*row[:4], f"{float(row[4]) + 8:.3f}", *row[5:]]) for row in rows]
    (tmp_path / "moved.swc").write_text("\n".join(moved) + "\n", encoding="utf-8")
    command = ["annotations", "check", str(tmp_path / "moved.swc"), "--image", str(image)]
    assert main([*command, "--voxel-size", "1,0.12,0.12", "--fail-on", "warning"]) == 1
    assert "warning  image  moved.swc" in capsys.readouterr().out


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert main(["annotations", "check", str(tmp_path / "no.swc")]) == 3
