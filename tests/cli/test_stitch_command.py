"""``neuropack stitch`` from raw files to an OME-Zarr: continued, told, refused."""

from __future__ import annotations

import functools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from neuropack.cli import main
from neuropack.page import seams
from neuropack.process import mosaic_fit
from neuropack.process.mosaic_layout import layout
from neuropack.readers import open_volume
from neuropack.simulate import Optics, stack
from neuropack.simulate.tiles import Stage, cut_tiles, write_tiles
from neuropack.table import read_tsv
from neuropack.volume import Volume, from_array

VOXEL = (2.0, 0.5, 0.5)


@functools.cache
def tiles() -> tuple[Volume, ...]:
    optics = Optics(peak_photons=9000, background_photons=300, read_noise_photons=0, counts_per_photon=0.4)
    made = stack(3, (16, 150, 150), VOXEL, neurons=7, optics=optics)
    whole = from_array(np.asarray(made.volume)[:1], "CZYX", voxel_size_um=VOXEL)
    cut = cut_tiles(0, whole, Stage((1, 2, 2), 0.25, (1, 4, 4), noise=30, whole_voxels=True))
    return tuple(
        from_array(np.asarray(v), "CZYX", path=v.path, voxel_size_um=VOXEL, origin_um=v.origin_um)
        for v in cut.volumes
    )


@pytest.fixture
def raw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.chdir(tmp_path)
    return [str(path.relative_to(tmp_path)) for path in write_tiles(tmp_path / "raw", tiles())]


def record() -> dict[str, object]:
    found: dict[str, object] = json.loads(Path("brain.json").read_text(encoding="utf-8"))
    return found


def test_tiles_become_one_image_with_what_was_found_beside_it(
    raw: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["stitch", *raw, "brain.ome.zarr", "--table", "pairs.tsv", "--equalise", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["status"] == "written"
    assert told["positions"] == "found"
    assert max(told["residual_voxels"]["rms_zyx"]) < 0.2
    image = open_volume("brain.ome.zarr")
    assert list(image.size_zyx) == told["shape_zyx"]
    assert Path("brain.png").read_bytes().startswith(b"\x89PNG")
    rows = read_tsv(Path("pairs.tsv"))
    assert len(rows) == 6
    assert {row["status"] for row in rows} <= {"used", "outlier", "silent"}
    written = record()
    assert written == {k: v for k, v in told.items() if k not in ("status", "positions")}
    assert not Path("brain.pairs.partial").exists()

    before = {p: p.read_bytes() for p in (Path("brain.json"), Path("brain.png"), Path("pairs.tsv"))}
    assert main(["stitch", *raw, "brain.ome.zarr", "--table", "pairs.tsv", "--equalise", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["status"], told["positions"]) == ("up to date", "known")
    assert before == {p: p.read_bytes() for p in before}


def test_positions_are_not_measured_again_and_pairs_of_a_dead_run_are_kept(
    raw: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    compare = mosaic_fit.compare
    calls: list[tuple[int, int]] = []

    def dies(found: object, pair: tuple[int, int], *rest: object) -> object:
        if len(calls) == 3:
            raise KeyboardInterrupt
        calls.append(pair)
        return compare(found, pair, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(mosaic_fit, "compare", dies)
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    assert main(["stitch", *raw, "brain.ome.zarr", "--layout-only"]) == 130
    noted = Path("brain.pairs.partial").read_text(encoding="utf-8").splitlines()
    assert len(noted) >= 3  # the identity and at least two pairs
    Path("brain.pairs.partial").write_text("\n".join(noted) + '\n{"first": 1, "sec', encoding="utf-8")
    dead = set(calls)
    calls.clear()

    def counts(found: object, pair: tuple[int, int], *rest: object) -> object:
        calls.append(pair)
        return compare(found, pair, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(mosaic_fit, "compare", counts)
    assert main(["stitch", *raw, "brain.ome.zarr", "--layout-only"]) == 0
    assert len(calls) == 6 - (len(noted) - 1)
    assert len(dead & set(calls)) <= 1  # one may have been compared and not yet noted
    assert not Path("brain.ome.zarr").exists()
    calls.clear()
    assert main(["stitch", *raw, "brain.ome.zarr"]) == 0
    assert calls == []
    fresh = record()
    Path("brain.json").unlink()
    assert main(["stitch", *raw, "brain.ome.zarr", "--layout-only"]) == 0
    assert record() == fresh


def test_other_settings_and_other_tiles_want_overwrite(raw: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stitch", *raw, "brain.ome.zarr", "--no-refine"]) == 0
    first = record()
    for other in (["--blend", "none"], ["--interpolate"], ["--max-shift", "3"]):
        refine = ["--no-refine"] if other[0] != "--max-shift" else []
        assert main(["stitch", *raw, "brain.ome.zarr", *refine, *other]) == 2
        assert "--overwrite" in capsys.readouterr().err
        assert record() == first
    assert main(["stitch", *raw[:3], "brain.ome.zarr", "--no-refine"]) == 2
    assert main(["stitch", *raw, "brain.ome.zarr", "--no-refine", "--blend", "none", "--overwrite"]) == 0
    assert main(["stitch", *raw[:3], "brain.ome.zarr", "--no-refine", "--overwrite"]) == 1  # the gap
    Path("other.json").write_text("{}", encoding="utf-8")
    assert main(["stitch", *raw, "other.ome.zarr", "--no-refine", "--overwrite"]) == 2
    assert "no record of this command" in capsys.readouterr().err


def test_without_measuring_tiles_lie_where_the_stage_says(raw: list[str]) -> None:
    assert main(["stitch", *raw, "brain.ome.zarr", "--no-refine", "--blend", "none"]) == 0
    image, tile = np.asarray(open_volume("brain.ome.zarr")), np.asarray(tiles()[0])
    z, y, x = tile.shape[1:]
    assert (image[:, :z, : y // 2, : x // 2] == tile[:, :, : y // 2, : x // 2]).all()


def test_a_tile_that_cannot_be_placed_and_a_gap_are_findings(
    raw: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    flat = from_array(np.full(tiles()[1].shape, 300, np.uint16), "CZYX", path="flat", voxel_size_um=VOXEL,
                      origin_um=tiles()[1].origin_um)  # fmt: skip
    write_tiles(Path("raw"), [flat])
    line = ["stitch", raw[0], "raw/flat.ome.tif", raw[2], "brain.ome.zarr", "--layout-only"]
    assert main(line) == 1
    out = capsys.readouterr().out
    assert "flat.ome.tif stays where the stage says: no structure in the overlap" in out
    assert "no tile from y, x" in out  # the fourth tile is not there


def test_gains_are_asked_for_where_nothing_tells_them(raw: list[str]) -> None:
    assert main(["stitch", raw[0], "one.ome.zarr", "--equalise"]) == 0
    assert (np.asarray(open_volume("one.ome.zarr")) == np.asarray(tiles()[0])).all()


def test_a_name_with_dollar_signs_is_no_formula(raw: list[str]) -> None:
    for name in raw[:2]:
        Path(name).rename(f"raw/$^^{name[-9]}$.ome.tif")
    line = [str(p) for p in sorted(Path("raw").glob("$*"))]
    assert len(line) == 2
    assert main(["stitch", *line, "brain.ome.zarr", "--layout-only"]) == 0


def test_seams_of_tiles_with_voxels_that_are_no_numbers_are_drawn() -> None:
    holes = []
    for volume in tiles()[:2]:
        values = np.asarray(volume).astype(np.float32)
        values[:, ::9] = np.nan
        where = {"voxel_size_um": VOXEL, "origin_um": volume.origin_um}
        holes.append(from_array(values, "CZYX", path=volume.path, **where))
    placed = mosaic_fit.register_tiles(layout(tiles()[:2]))
    (number,) = placed.used
    box = seams._middle(layout(holes), placed, number)
    drawn = seams._seam(layout(holes), (0, 1), placed.positions_um, box, 0)
    assert np.isfinite(drawn).all()
    assert (drawn.max(axis=(0, 1)) == 1).all()


def test_what_a_person_put_there_is_not_replaced(raw: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    Path("brain.png").write_bytes(b"\x89PNG of somebody else")
    for more in ([], ["--overwrite"]):
        assert main(["stitch", *raw, "brain.ome.zarr", "--layout-only", *more]) == 2
        assert "no picture of this command" in capsys.readouterr().err
    assert Path("brain.png").read_bytes() == b"\x89PNG of somebody else"
    assert not Path("brain.json").exists()
    Path("brain.png").unlink()
    Path("pairs.csv").write_bytes("f\xe4rbung;1".encode("latin-1"))
    Path("folder.csv").mkdir()
    for table in ("pairs.csv", "folder.csv"):
        assert main(["stitch", *raw, "brain.ome.zarr", "--layout-only", "--no-refine", "--table", table]) == 2
        assert "is there already" in capsys.readouterr().err
    assert main(["stitch", *raw, "brain.ome.zarr", "--layout-only", "--no-refine", "--overwrite"]) == 0


def test_a_damaged_record_is_told(raw: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    line = ["stitch", *raw[:2], "brain.ome.zarr", "--layout-only"]
    assert main(line) == 0
    good = record()
    rows = good["tiles"]
    assert isinstance(rows, list)
    lost = [{**rows[0], "position_um": [0, 0, float("nan")]}, rows[1]]
    for text in (json.dumps({**good, "levels": []}), json.dumps({**good, "tiles": lost}), "[" * 100_000, "[1]"):
        Path("brain.json").write_text(text, encoding="utf-8")
        assert main(line) == 2
        assert "no record of this command" in capsys.readouterr().err


def test_other_axes_are_other_tiles(raw: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    for i in range(2):
        np.save(f"raw/{i}.npy", np.random.default_rng(i).integers(0, 99, (4, 20, 20)).astype(np.uint8))
    Path("raw/where.csv").write_text("file,y_um,x_um\n0.npy,0,0\n1.npy,0,15\n", encoding="utf-8")
    line = ["stitch", "brain.ome.zarr", "--positions", "raw/where.csv", "--voxel-size", "1,1,1", "--no-refine"]
    assert main([*line, "--layout-only", "--axes", "ZYX"]) == 0
    assert main([*line, "--layout-only", "--axes", "ZXY"]) == 2
    assert "other settings" in capsys.readouterr().err


def test_a_copy_of_a_tile_and_a_stage_that_counts_backwards_are_told(
    raw: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("raw/copy.ome.tif").write_bytes(Path(raw[3]).read_bytes())
    assert main(["stitch", *raw, "raw/copy.ome.tif", "brain.ome.zarr", "--layout-only"]) == 1
    assert "lie on one another" in capsys.readouterr().out
    turned = [replace(v, origin_um=(v.origin_um[0], v.origin_um[1], -(v.origin_um[2] or 0))) for v in tiles()]
    paths = [str(p) for p in write_tiles(Path("turned"), [turned[0], turned[1]])]
    assert main(["stitch", *paths, "turned.ome.zarr", "--layout-only"]) == 1
    assert "run the other way" in capsys.readouterr().out


def test_a_table_places_tiles_in_rows_and_columns(raw: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    rows = [f"{name.removeprefix('raw/')},{i // 2},{i % 2}" for i, name in enumerate(raw)]
    table = Path("raw/where.csv")
    table.write_text("\n".join(["file,row,column", *rows]), encoding="utf-8")
    assert main(["stitch", "brain.ome.zarr", "--positions", str(table), "--layout-only"]) == 2
    assert "--overlap" in capsys.readouterr().err
    line = ["stitch", "brain.ome.zarr", "--positions", str(table), "--layout-only", "--overlap", "0.25"]
    assert main(line) == 0
    assert main(["stitch", *raw, "four.ome.zarr", *line[2:]]) == 0
    table.write_text("file,row,column\ntile_0_0_0.ome.tif,0,0\nnone.ome.tif,0,1\n", encoding="utf-8")
    assert main(["stitch", "other.ome.zarr", *line[2:]]) == 3
    assert main(["stitch", *raw, "other.ome.zarr", *line[2:]]) == 3
    assert "line 3" in capsys.readouterr().err
    table.write_text("file,row,column\ntile_0_0_0.ome.tif,0,0\n", encoding="utf-8")
    assert main(["stitch", *raw, "other.ome.zarr", *line[2:]]) == 2
    assert "no row for a tile" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "status", "told"),
    [
        (["brain.ome.zarr"], 2, "no tile is named"),
        (["raw/tile_0_0_0.ome.tif", "raw/tile_0_0_1.ome.tif"], 2, "a name in .ome.zarr"),
        (["raw/tile_0_0_0.ome.tif", "raw/tile_0_0_0.ome.tif", "b.ome.zarr"], 2, "is there twice"),
        (["raw/none.tif", "b.ome.zarr"], 3, "does not exist"),
        (["raw/tile_0_0_0.ome.tif", "nowhere/b.ome.zarr"], 3, "no such folder"),
        (["raw/tile_0_0_0.ome.tif", "b.ome.zarr", "--table", "t.txt"], 2, "no name for a table"),
        (["raw/tile_0_0_0.ome.tif", "b.ome.zarr", "--table", "nowhere/t.csv"], 3, "no such folder"),
        (["b.ome.zarr", "--positions", "p.csv", "--table", "./p.csv"], 2, "the table of positions itself"),
        (["raw/tile_0_0_0.ome.tif", "b.ome.zarr", "--overlap", "0.1"], 2, "rows and columns"),
        (["raw/tile_0_0_0.ome.tif", "b.ome.zarr", "--channel", "4"], 2, "no such channel"),
        (["raw/tile_0_0_0.ome.tif", "b.ome.zarr", "--max-shift", "0"], 2, "no limit for a shift"),
        (["raw/tile_0_0_0.ome.tif", "b.ome.zarr", "--no-refine", "--equalise"], 2, "needs the overlaps"),
        (["raw/tile_0_0_0.ome.tif", "b.ome.zarr", "--positions", "none.tsv"], 3, "cannot be read"),
    ],
)
def test_lines_that_cannot_be_done(
    raw: list[str], capsys: pytest.CaptureFixture[str], line: list[str], status: int, told: str
) -> None:
    assert main(["stitch", *line]) == status
    assert told in capsys.readouterr().err
    assert sorted(p.name for p in Path().iterdir()) == ["raw"]


def test_a_tile_of_another_kind_is_refused(raw: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    write_tiles(Path("raw"), [replace(tiles()[0], path=Path("coarse"), voxel_size_um=(2.0, 1.0, 1.0))])
    assert main(["stitch", *raw, "raw/coarse.ome.tif", "brain.ome.zarr"]) == 3
    assert "another voxel size" in capsys.readouterr().err


def test_one_tile_alone_is_itself(raw: list[str]) -> None:
    assert main(["stitch", raw[0], "one.ome.zarr"]) == 0
    assert (np.asarray(open_volume("one.ome.zarr")) == np.asarray(tiles()[0])).all()
