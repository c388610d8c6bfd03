"""``neuropack register`` and ``neuropack map``, as a user meets them; simulated stacks with a known truth."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from neuropack.cli import main
from neuropack.skeleton import Skeleton
from neuropack.space.formats.registration import read_registration
from neuropack.space.transforms import Points
from neuropack.swc import read_swc, write_swc

STACK_UM = np.array([4000.0, 4000.0, 2000.0])  # x, y, z
COLUMNS = ("name", "x", "y", "z", "fixed_x", "fixed_y", "fixed_z")


def truth(seed: int) -> Callable[[Points], Points]:
    """Stack to CCF: axes exchanged, sheared and scaled, and bent by some 100 um over lengths beyond its own."""
    rng = np.random.default_rng(seed)
    swap = np.array([[0, 0, 1.0], [0, 1, 0], [1, 0, 0]])
    matrix = swap @ (np.eye(3) * rng.uniform(0.9, 1.1) + rng.normal(0, 0.05, (3, 3)))
    shift, waves = np.array([5000.0, 2000, 3000]), rng.normal(0, 1, (4, 3)) / 2500
    phases, bends = rng.uniform(0, 6.3, 4), rng.normal(0, 70, (4, 3))
    return lambda p: p @ matrix.T + shift + np.sin(p @ waves.T + phases) @ bends


def table(path: Path, moving: Points, fixed: Points, mark: str = ",") -> Path:
    rows = [mark.join(COLUMNS)]
    rows += [
        mark.join([f"L{i}", *map(repr, (*a, *b))])
        for i, (a, b) in enumerate(zip(moving.tolist(), fixed.tolist(), strict=True))
    ]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def landmarks(path: Path, seed: int, n: int = 30, noise: float = 10.0) -> Path:
    rng = np.random.default_rng(100 + seed)
    moving = rng.uniform(0, 1, (n, 3)) * STACK_UM
    return table(path, moving, truth(seed)(moving) + rng.normal(0, noise / np.sqrt(3), (n, 3)))


@pytest.mark.parametrize("seed", range(5))
def test_thirty_landmarks_place_other_points_within_15_um(
    seed: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "xfm.json"
    status = main(
        ["register", str(landmarks(tmp_path / "l.csv", seed)), str(out), "--kind", "thin_plate", "--json"]
    )
    told = json.loads(capsys.readouterr().out)
    assert status == bool(told["outliers"])
    inside = np.random.default_rng(seed).uniform(0.1, 0.9, (5000, 3)) * STACK_UM
    error = np.linalg.norm(read_registration(out)(inside) - truth(seed)(inside), axis=1)
    assert np.median(error) < 15
    assert np.median(error) < 2 * told["leave_one_out_median"] < 4 * 15  # what it says of itself is of that size


def test_a_table_of_landmarks_and_its_outlier(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = landmarks(tmp_path / "l.tsv", 0, noise=1.0), tmp_path / "xfm.json"
    lines = path.read_text().splitlines()
    broken = lines[5].split(",")
    broken[4] = str(float(broken[4]) + 2000)
    lines[5] = ",".join(broken)
    path.write_text("\n".join(line.replace(",", "\t") for line in lines))
    assert main(["register", str(path), str(out), "--kind", "affine"]) == 1
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].split() == ["landmark", "residual", "um", "left", "out", "um"]
    assert [line.split()[0] for line in shown if line.endswith("outlier")] == ["L4"]
    assert shown[-2] == "outliers: L4: look at them again in both images"
    assert shown[-1].startswith(f"{out}: points of stack to AllenCCFv3; leave-one-out error: median ")
    assert main(["register", str(path), str(out)]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main(["register", str(path), str(out), "--overwrite"]) == 1


def test_places_in_the_ccf_in_millimetre_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    moving = np.random.default_rng(0).uniform(0, 1, (8, 3)) * STACK_UM
    path, out = table(tmp_path / "mm.csv", moving, truth(0)(moving) / 1000), tmp_path / "xfm.json"
    assert main(["register", str(path), str(out)]) == 3  # it would fit to the nanometre
    assert str(capsys.readouterr().err).startswith(f"{path}: the fixed landmarks look like millimetre\n")
    assert not out.exists()
    assert main(["register", str(path), str(out), "--fixed", "AllenCCFv3-mm"]) < 2
    assert "left out mm" in capsys.readouterr().out


def test_too_few_landmarks_name_their_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = landmarks(tmp_path / "l.csv", 0, n=3)
    assert main(["register", str(path), str(tmp_path / "xfm.json")]) == 3
    told = capsys.readouterr().err
    assert told.startswith(f"{path}: too few landmarks for affine\n")
    assert "  expected: 4 or more" in told


@pytest.mark.parametrize(
    "page", [["--report", "nowhere/x.html"], ["--report", "x.html", "--template", "nowhere.nrrd"]], ids=" ".join
)
def test_no_transform_is_left_where_its_page_cannot_be_made(
    page: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    landmarks(Path("l.csv"), 0)
    assert main(["register", "l.csv", "xfm.json", *page]) == 3
    assert capsys.readouterr().err.startswith("nowhere")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["l.csv"]


def test_a_skeleton_and_points_there_and_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "xfm.json"
    assert main(["register", str(landmarks(tmp_path / "l.csv", 1)), str(out), "--kind", "thin_plate"]) in (0, 1)
    xyz = np.random.default_rng(5).uniform(0.2, 0.8, (50, 3)) * STACK_UM
    n = np.arange(1, 51)
    write_swc(tmp_path / "a.swc", Skeleton(n, np.full(50, 2), xyz, np.ones(50), np.r_[-1, n[:-1]]))
    transform = ("--transform", str(out))
    capsys.readouterr()
    assert main(["map", str(tmp_path / "a.swc"), str(tmp_path / "b.swc"), *transform]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{out}: registration of neuropack; holds points of stack to AllenCCFv3",
        f"{tmp_path / 'b.swc'}: 50 nodes, stack to AllenCCFv3",
    ]
    mapped = read_swc(tmp_path / "b.swc", frame="AllenCCFv3")
    assert np.median(np.linalg.norm(mapped.xyz - truth(1)(xyz), axis=1)) < 15
    assert "AllenCCFv3" in (tmp_path / "b.swc").read_text()
    assert main(["map", str(tmp_path / "b.swc"), str(tmp_path / "c.swc"), *transform, "--inverse"]) == 0
    assert np.abs(read_swc(tmp_path / "c.swc").xyz - xyz).max() < 0.01
    rows = ["cell, y,x,z,note", *(f'{i},{y},{x},{z},"a, b"' for i, (x, y, z) in enumerate(xyz.tolist()))]
    (tmp_path / "p.csv").write_text("\n".join(rows))
    assert main(["map", str(tmp_path / "p.csv"), str(tmp_path / "q.csv"), *transform]) == 0
    back = (tmp_path / "q.csv").read_text().splitlines()
    assert back[0] == "cell, y,x,z,note"
    number, y, x, z, note = back[8].split(",", 4)
    assert (number, note) == ("7", '"a, b"')
    assert [float(x), float(y), float(z)] == pytest.approx(mapped.xyz[7], abs=0.0021)  # both are rounded


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,x,y,z\n", "has no column fixed_x, fixed_y, fixed_z"),
        (",".join(COLUMNS) + "\na,1,2,3,4,5,six\n", "no number"),
        (",".join(COLUMNS) + "\na,1,2,3,40,50,6\na,1,2,3,40,50,7\n", "a name of its own"),
        (",".join(COLUMNS) + "\na,1,2,3,40,50,6\n", "too few landmarks"),
    ],
)
def test_what_is_no_table_of_landmarks(
    text: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "l.csv"
    path.write_text(text)
    assert main(["register", str(path), str(tmp_path / "o.json")]) == 3
    assert message in capsys.readouterr().err
    assert not (tmp_path / "o.json").exists()


def test_what_cannot_be_mapped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "xfm.json"
    assert main(["register", str(landmarks(tmp_path / "l.csv", 2)), str(out)]) in (0, 1)
    capsys.readouterr()
    (tmp_path / "a.swc").write_text("1 1 0 0 0 1 -1\n")
    for words, status, message in (
        (["a.swc", "b.csv"], 2, "cannot be mapped to that name"),
        (["a.swc", "a.swc"], 2, "--overwrite"),
        (["no.swc", "b.swc"], 3, "cannot be read"),
        (["a.swc", "nowhere/b.swc"], 3, "cannot be written"),
    ):
        names = [str(tmp_path / word) for word in words]
        assert main(["map", *names, "--transform", str(out)]) == status
        assert message in capsys.readouterr().err
    assert (
        main(["map", str(tmp_path / "a.swc"), str(tmp_path / "b.swc"), "--transform", str(tmp_path / "a.swc")]) == 3
    )
    assert not list(tmp_path.glob("*.partial"))


def test_a_table_with_line_breaks_in_its_cells(tmp_path: Path) -> None:
    assert main(["register", str(landmarks(tmp_path / "l.csv", 3)), str(tmp_path / "xfm.json")]) in (0, 1)
    rows = 'note,x,y,z\n"two\nlines, one\u2028cell",100,200,300\n\nplain,110,210,310\n'
    (tmp_path / "p.csv").write_text(rows, encoding="utf-8")
    mapped = str(tmp_path / "q.csv")
    assert main(["map", str(tmp_path / "p.csv"), mapped, "--transform", str(tmp_path / "xfm.json")]) == 0
    back = Path(mapped).read_text(encoding="utf-8")
    assert back.startswith('note,x,y,z\n"two\nlines, one\u2028cell",')
    assert back.splitlines()[-1].startswith("plain,")


def test_a_cell_that_never_ends(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "l.csv").write_text(",".join(COLUMNS) + '\n"' + "a" * 200_000 + "\n")
    assert main(["register", str(tmp_path / "l.csv"), str(tmp_path / "o.json")]) == 3
    assert "is not CSV" in capsys.readouterr().err
