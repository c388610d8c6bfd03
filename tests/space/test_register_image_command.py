"""``neuropack register`` with an image, and its page; brains with a known way into the CCF."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import nibabel
import nrrd
import numpy as np
import pytest
import tifffile
from small_atlas import labels, write_brainglobe, write_nrrd
from test_register_command import landmarks
from warped_brains import Warped, bent, small_brain, warped

from neuropack.cli import main
from neuropack.process.coarse import coarse, is_image, open_stack
from neuropack.space.atlas import open_template
from neuropack.space.fetch import Fetched
from neuropack.space.formats.registration import read_registration
from neuropack.space.rasters import template_raster
from neuropack.volume import Volume, from_array

VOXEL_ZYX = (200.0, 100.0, 100.0)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NEUROPACK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def stack() -> Warped:
    return warped(template_raster(small_brain(), "small", 10**8), bent(5, 60.0), voxel_zyx_um=VOXEL_ZYX)


@pytest.fixture
def image(stack: Warped, tmp_path: Path) -> Path:
    return as_tiff(tmp_path / "M01 <b>.tif", stack.values)


@pytest.fixture
def template(tmp_path: Path) -> Path:
    return write_nrrd(tmp_path / "template.nrrd", small_brain())


def as_tiff(path: Path, values: np.ndarray) -> Path:
    whole = np.clip(values, 0, 65535).astype("u2")
    metadata = {"spacing": VOXEL_ZYX[0], "unit": "um", "axes": "ZYX"}
    tifffile.imwrite(path, whole, imagej=True, resolution=(0.01, 0.01), metadata=metadata)
    return path


def test_an_image_and_its_page(
    image: Path, template: Path, stack: Warped, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, page = tmp_path / "M01.json", tmp_path / "M01.html"
    annotation = write_nrrd(tmp_path / "annotation.nrrd", labels())
    line = ["register", str(image), str(out), "--orientation", "spr", "--template", str(template)]
    line += ["--kind", "affine", "--report", str(page)]
    assert main([*line, "--annotation", str(annotation), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert np.median(stack.error(read_registration(out))) < 150
    assert told["similarity"]["after"]["mutual_information"] > told["similarity"]["before"]["mutual_information"]
    assert (told["kind"], told["problems"], told["jacobian"]["folded_percent"]) == ("affine", [], 0)
    text = page.read_text(encoding="utf-8")
    titles = re.findall(r"<h2>([^<]+)", text)
    assert titles == [
        "Before: the first placement",
        "After: affine",
        "Regions",
        "Change of volume",
        "What was compared",
    ]
    pictures = set(re.findall(r'src="(data:image/png;base64,[^"]+)"', text))
    assert len(pictures) == 4  # before and after are not the same
    assert "M01 &lt;b&gt;.tif" in text
    assert "M01 <b>" not in text
    assert "http" not in re.sub("http-equiv", "", text)  # nothing is loaded from elsewhere
    assert "Nothing speaks against it." in text
    assert "80 x 57 x 40" not in text
    assert f"{told['similarity']['after']['mutual_information']:.3f}" in text
    assert main(line) == 2
    assert "--overwrite" in capsys.readouterr().err
    out.unlink()
    assert main(line) == 2  # the page is there still
    assert "M01.html: is there already" in capsys.readouterr().err
    assert main([*line, "--overwrite"]) == 0
    assert "mutual information" in capsys.readouterr().out
    assert "no annotation was named, and none has been fetched" in page.read_text(encoding="utf-8")


def test_what_speaks_against_it_ends_with_status_1(
    image: Path, template: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from neuropack.space import image_registration
    from neuropack.space.transforms import Affine

    shift = np.column_stack([np.eye(3), (2000.0, 1500, -1500)])
    away = Affine(image_registration.PLACED, "AllenCCFv3", shift)
    monkeypatch.setattr(image_registration, "run_elastix", lambda *_: away)
    page = tmp_path / "p.html"
    line = ["register", str(image), str(tmp_path / "o.json"), "--orientation", "SPR", "--template", str(template)]
    assert main([*line, "--report", str(page)]) == 1
    assert "problem: the similarity did not rise" in capsys.readouterr().out
    assert "Do not rely on it" in page.read_text(encoding="utf-8")


def test_the_template_that_was_fetched(image: Path, template: Path, cache: Path, tmp_path: Path) -> None:
    folder = cache / "atlas" / "average_template"
    folder.mkdir(parents=True)
    template.rename(folder / "average_template_100.nrrd")
    assert main(["register", str(image), str(tmp_path / "o.json"), "--orientation", "SPR", "--kind", "affine"]) == 0


def test_a_placement_from_landmarks_goes_first(
    image: Path, template: Path, stack: Warped, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    moving = stack.inside[:10]
    fixed = stack.truth(moving) + np.random.default_rng(1).normal(0, 200, moving.shape)
    rows = [f"L{i},{','.join(map(str, (*a, *b)))}" for i, (a, b) in enumerate(zip(moving, fixed, strict=True))]
    table = tmp_path / "l.csv"
    table.write_text("\n".join(["name,x,y,z,fixed_x,fixed_y,fixed_z", *rows]))
    assert main(["register", str(table), str(tmp_path / "first.json")]) in (0, 1)
    line = ["register", str(image), str(tmp_path / "o.json"), "--template", str(template), "--kind", "affine"]
    assert main([*line, "--initial", str(tmp_path / "first.json")]) == 0
    before, after = (np.median(stack.error(read_registration(tmp_path / n))) for n in ("first.json", "o.json"))
    assert after < before


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["--orientation", "SPR"], 2, "no template is named, and none has been fetched"),
        (["--template", "{t}"], 2, "--orientation"),
        (["--template", "{t}", "--orientation", "SPX"], 2, "is no orientation"),
        (["--template", "{t}", "--orientation", "SPR", "--channel", "1"], 2, "has no such channel"),
        (["--template", "{t}", "--orientation", "SPR", "--kind", "thin_plate"], 2, "--kind affine or bspline"),
        (["--template", "{t}", "--orientation", "SPR", "--fixed", "BrainGlobe-asr"], 2, "neither --fixed nor"),
        (["--template", "{turned}", "--orientation", "SPR"], 3, "axes stand in another order"),
        (["--template", "{image}", "--orientation", "SPR"], 3, "is no volume of the CCF"),
        (["--template", "{t}", "--orientation", "SPR", "--initial", "{t}"], 3, "is not a registration"),
        (["--template", "nowhere.nrrd", "--orientation", "SPR"], 3, "nowhere.nrrd: cannot be read"),
    ],
)
def test_what_is_no_registration_of_an_image(
    words: list[str], status: int, message: str, image: Path, template: Path, tmp_path: Path, capsys: Any
) -> None:
    turned = write_nrrd(
        tmp_path / "turned.nrrd", np.ascontiguousarray(small_brain((132, 80, 114)).transpose(2, 1, 0))
    )
    places = {"t": template, "turned": turned, "image": image}
    line = ["register", str(image), str(tmp_path / "o.json"), *(word.format(**places) for word in words)]
    assert main(line) == status
    assert message in capsys.readouterr().err
    assert not (tmp_path / "o.json").exists()


def test_how_it_lies_is_asked_before_anything_is_read(
    image: Path, template: Path, tmp_path: Path, capsys: Any, monkeypatch: Any
) -> None:
    def read(*_: object, **__: object) -> None:
        raise AssertionError("400 GB are read for nothing")

    monkeypatch.setattr("neuropack.process.coarse.coarse", read)
    line = ["register", str(image), str(tmp_path / "o.json"), "--template", str(template)]
    for words in ([], ["--orientation", "SPX"]):
        assert main([*line, *words]) == 2
        assert "orientation" in capsys.readouterr().err


def test_templates_of_others(tmp_path: Path) -> None:
    values = small_brain()
    folder = write_brainglobe(tmp_path / "atlas", labels())
    tifffile.imwrite(folder / "reference.tiff", np.ascontiguousarray(values[:, :, ::-1]), photometric="minisblack")
    assert np.array_equal(open_template(folder / "reference.tiff"), values)
    floats = write_nrrd(tmp_path / "f.nrrd", values.astype("f4") / 3)
    assert np.array_equal(open_template(floats), values.astype("f4") / 3)
    nibabel.save(nibabel.Nifti1Image(values.astype("f4"), np.eye(4)), tmp_path / "f.nii.gz")
    assert np.array_equal(open_template(tmp_path / "f.nii.gz"), values)


def test_fetching_the_template(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    asked: list[tuple[str, Path]] = []

    def fetch(url: str, path: Path, *_: object, **__: object) -> Fetched:
        asked.append((url, path))
        return Fetched(path, "0" * 64, "first", "fetched")

    monkeypatch.setattr("neuropack.space.fetch.fetch", fetch)
    assert main(["atlas", "fetch", "--resolution", "50", "--template"]) == 0
    url, path = asked[-1]
    assert url.endswith("/mouse_ccf/average_template/average_template_50.nrrd")
    assert path == cache / "atlas" / "average_template" / "average_template_50.nrrd"
    assert len(asked) == 3


def test_pictures_that_cannot_be_registered(template: Path, tmp_path: Path, capsys: Any) -> None:
    line = ["--orientation", "SPR", "--template", str(template)]
    flat = as_tiff(tmp_path / "flat.tif", np.ones((1, 30, 30)))
    assert main(["register", str(flat), str(tmp_path / "o.json"), *line, "--voxel-size", "1,1,1"]) == 3
    assert "is a single plane" in capsys.readouterr().err
    blank = as_tiff(tmp_path / "blank.tif", np.full((40, 50, 60), 7.0))
    assert main(["register", str(blank), str(tmp_path / "o.json"), *line]) == 3
    assert "is blank" in capsys.readouterr().err
    tifffile.imwrite(tmp_path / "sizeless.tif", np.ones((40, 50, 60), "u2"), metadata={"axes": "ZYX"})
    assert main(["register", str(tmp_path / "sizeless.tif"), str(tmp_path / "o.json"), *line]) == 2
    assert "--voxel-size" in capsys.readouterr().err


def test_without_the_extra(image: Path, template: Path, tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "itk", None)
    line = ["register", str(image), str(tmp_path / "o.json"), "--orientation", "SPR", "--template", str(template)]
    assert main(line) == 2
    assert "pip install neuropack[register]" in capsys.readouterr().err


def test_the_page_of_landmarks(template: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out, page = landmarks(tmp_path / "l.csv", 0, noise=1.0), tmp_path / "x.json", tmp_path / "x.html"
    lines = path.read_text().splitlines()
    cells = lines[5].split(",")
    lines[5] = ",".join([cells[0], *cells[1:4], str(float(cells[4]) + 2000), *cells[5:]])
    path.write_text("\n".join(lines))
    assert main(["register", str(path), str(out), "--report", str(page)]) == 1
    text = page.read_text(encoding="utf-8")
    assert re.findall(r'<tr class="outlier"><th scope="row">([^<]+)', text) == ["L4"]
    assert len(re.findall(r'<th scope="row">L', text)) == 30
    assert "One landmark stands out: L4" in text
    assert "change of volume" in text
    assert "No images are laid on each other" in text
    plain = re.findall(r'src="(data:image/png[^"]+)"', text)
    again = ["register", str(path), str(out), "--report", str(page), "--overwrite", "--template", str(template)]
    assert main(again) == 1
    drawn = re.findall(r'src="(data:image/png[^"]+)"', page.read_text(encoding="utf-8"))
    other = write_nrrd(tmp_path / "other.nrrd", np.ascontiguousarray(small_brain()[::-1]))
    assert main([*again[:-1], str(other)]) == 1
    otherwise = re.findall(r'src="(data:image/png[^"]+)"', page.read_text(encoding="utf-8"))
    assert len({*plain, *drawn, *otherwise}) == 3  # no template, one, and another
    capsys.readouterr()
    assert main(["register", str(path), str(out), "--overwrite", "--orientation", "SPR", "--channel", "0"]) == 2
    assert "--orientation, --channel" in capsys.readouterr().err
    assert main(["register", str(path), str(out), "--overwrite", "--kind", "bspline"]) == 2
    assert "thin_plate" in capsys.readouterr().err


def in_pieces(volume: Volume, depth: int) -> Volume:
    """The same, as a file that is decoded a few planes at a time, and these in two parts."""

    class Pieces:
        def read(self, box: Any, out: Any = None) -> Any:
            return volume.pixels.read(box, out)

        def native_blocks(self) -> Any:
            z, y, x = volume.native_shape
            for first in range(0, z, depth):
                for rows in (slice(0, y // 3), slice(y // 3, y)):
                    yield slice(first, min(z, first + depth)), rows, slice(0, x)

        def close(self) -> None:
            pass

    from dataclasses import replace

    return replace(volume, pixels=Pieces())


@pytest.mark.parametrize("depth", [1, 3, 7, 100])
def test_blocks_are_averaged_piece_by_piece(depth: int) -> None:
    values = np.random.default_rng(0).integers(0, 60000, (23, 31, 40)).astype("u2")
    volume = in_pieces(from_array(values, "ZYX", voxel_size_um=(10.0, 4.0, 3.0)), depth)
    told: list[tuple[str, int, int]] = []
    found, voxel = coarse(volume, 25, progress=lambda *words: told.append(words))
    assert voxel == (20, 24, 24)
    assert found.shape == (11, 5, 5)
    expected = values[:22, :30, :40].reshape(11, 2, 5, 6, 5, 8).mean(axis=(1, 3, 5))
    assert np.abs(found - expected).max() < 0.05
    assert told[-1] == ("reading", 22 * 30 * 40 * 2, 22 * 30 * 40 * 2)


def test_a_level_of_a_pyramid_that_is_fine_enough() -> None:
    def level(n: int, size: float) -> Volume:
        return from_array(np.full((n, n, n), n, "u2"), "ZYX", voxel_size_um=(size,) * 3)

    from dataclasses import replace

    pyramid = replace(level(80, 5.0), levels=(level(40, 10.0), level(20, 20.0), level(10, 40.0)))
    values, voxel = coarse(pyramid, 25)
    assert (values[0, 0, 0], voxel) == (40, (20, 20, 20))
    elsewhere = replace(level(80, 5.0), levels=(level(30, 10.0),))  # it does not fill the same block
    assert coarse(elsewhere, 25)[0][0, 0, 0] == 80


def test_volumes_in_nrrd_and_nifti_name_x_first(tmp_path: Path) -> None:
    values = np.arange(4 * 5 * 6, dtype="i2").reshape(4, 5, 6)  # z, y, x
    header = {"space directions": np.diag([0.01, 0.02, 0.03]), "space": "RAS", "space units": ["mm", "mm", "mm"]}
    nrrd.write(str(tmp_path / "a.nrrd"), values.T, header)
    made = nibabel.Nifti1Image(values.T, np.diag([-10.0, 20, 30, 1]))
    made.header.set_xyzt_units("micron")
    nibabel.save(made, tmp_path / "a.nii.gz")
    for name in ("a.nrrd", "a.nii.gz"):
        volume = open_stack(tmp_path / name)
        assert volume.voxel_size_um == pytest.approx((30, 20, 10))
        assert np.array_equal(np.asarray(volume)[0], values)
    del header["space units"]
    nrrd.write(str(tmp_path / "b.nrrd"), values.T, header)
    with pytest.raises(Exception, match="--voxel-size"):
        open_stack(tmp_path / "b.nrrd")
    assert open_stack(tmp_path / "b.nrrd", voxel_size_um=(3, 2, 1)).voxel_size_um == (3, 2, 1)
    (tmp_path / "c.nrrd").write_bytes(b"NRRD0004\ntype: rubbish\n\n")
    with pytest.raises(Exception, match="is no NRRD file"):
        open_stack(tmp_path / "c.nrrd")


def test_what_is_an_image_and_what_a_table(tmp_path: Path, image: Path, template: Path) -> None:
    (tmp_path / "l.csv").write_text("name,x,y,z\n")
    assert [is_image(p) for p in (image, template, tmp_path)] == [True] * 3
    assert [is_image(p) for p in (tmp_path / "l.csv", tmp_path / "nothing.tif")] == [False] * 2
