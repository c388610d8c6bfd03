"""`neuropack segment`: a folder with labels, boxes, skeletons and a picture, whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from neuropack.annotations.mark_files import read_marks
from neuropack.cli import main, segment_blocks, segment_folder, segmented
from neuropack.cli.derived import Image
from neuropack.errors import UsageError
from neuropack.marks import marks_table
from neuropack.process.color_options import ColorOptions
from neuropack.readers import open_volume
from neuropack.simulate.stack import stack
from neuropack.swc import read_swc
from neuropack.table import read_tsv
from neuropack.volume import ArrayPixels, Volume, from_array
from neuropack.writers.ome_tiff import write_ome_tiff

pytest.importorskip("numba")
pytest.importorskip("skimage")

SIZE = (2.0, 0.5, 0.5)
FILES = {
    *("labels.ome.zarr", "boxes.tsv", "objects.tsv", "skeletons", "segmentation.json", "segmentation.png"),
}


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two simulated neurons in three channels."""
    path = tmp_path_factory.mktemp("segment") / "neurons.ome.tif"
    volume = stack(3, (16, 80, 80), SIZE, neurons=2).volume
    write_ome_tiff(path, from_array(volume[:], "CZYX", voxel_size_um=SIZE))
    return path


def run(*arguments: object) -> int:
    return main(["segment", *map(str, arguments)])


def test_the_folder_holds_what_was_found(image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "found"
    assert run(image, out, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["status"] == "written"
    assert {path.name for path in out.iterdir()} == FILES == {*report["outputs"], "segmentation.json"}
    assert not list(tmp_path.glob("*.partial"))
    with open_volume(out / "labels.ome.zarr") as volume:
        assert volume.labels
        assert volume.voxel_size_um == SIZE
        labels = volume[0]
    n = report["counts"]["objects"]
    assert np.unique(labels).tolist() == list(range(n + 1))
    boxes = read_marks(out / "boxes.tsv").table.to_pylist()
    rows = read_tsv(out / "objects.tsv")
    assert len(boxes) == len(rows) == n
    for box, row in zip(boxes, rows, strict=True):
        inside = labels[box["z0"] : box["z1"], box["y0"] : box["y1"], box["x0"] : box["x1"]]
        assert (inside == box["label"]).sum() == int(row["voxels"])
        assert box["provenance"] == "model"
        assert 0 < box["confidence"] <= 1
        assert float(row["confidence"]) == box["confidence"]
        skeleton = read_swc(out / row["skeleton"])
        assert skeleton.length_um() == pytest.approx(float(row["length_um"]), abs=0.01)
        z, y, x = np.floor(skeleton.xyz[:, ::-1] / SIZE).astype(int).T
        assert (labels[z, y, x] == box["label"]).all()
    assert report["recipe"]["channels"] == [0, 1, 2]
    assert report["identity"]["source"]["name"] == "neurons.ome.tif"


def test_the_picture_shows_the_image_and_the_labels(image: Path, tmp_path: Path) -> None:
    import imagecodecs

    assert run(image, tmp_path / "found") == 0
    picture = imagecodecs.imread(tmp_path / "found" / "segmentation.png")
    assert picture.shape == (80, 164, 3)
    with open_volume(tmp_path / "found" / "labels.ome.zarr") as volume:
        seen = volume[0].max(axis=0) > 0
    np.testing.assert_array_equal(picture[:, 84:].any(axis=2), seen)
    assert picture[:, :80][seen].mean() > 2 * picture[:, :80][~seen].mean()


def test_a_second_run_does_nothing_and_other_settings_want_overwrite(
    image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "found"
    assert run(image, out) == 0
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    assert run(image, out) == 0
    assert "up to date" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before
    assert run(image, out, "--low", 8, "--high", 20) == 2
    assert "other settings" in capsys.readouterr().err
    assert run(image, out, "--low", 8, "--high", 20, "--overwrite") == 0
    assert "written" in capsys.readouterr().out
    assert {path.name for path in out.iterdir()} == FILES


def test_an_interrupted_run_goes_on(image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, out, partial = (tmp_path / name for name in ("whole", "found", "found.partial"))
    settings = segmented.Settings()
    segmented.segment(Image(image), whole, settings)

    def stop(stage: str, done: int, total: int) -> None:
        if stage == "ordering voxels":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        segmented.segment(Image(image), out, settings, tell=stop)
    assert not out.exists()
    assert list(partial.glob("blocks/*/*/*.npz"))
    with pytest.raises(UsageError, match="interrupted run of other settings"):
        segmented.segment(Image(image), out, segmented.Settings(low=3.0))
    read: list[str] = []
    report = segmented.segment(
        Image(image), out, settings, tell=lambda stage, done, of: read.append(f"{stage} {done}")
    )
    assert report["status"] == "resumed"
    assert "finding objects 0" not in read  # all blocks are there
    assert not partial.exists()
    for path in sorted(whole.rglob("*")):
        if path.is_file():
            assert path.read_bytes() == (out / path.relative_to(whole)).read_bytes(), path


def test_a_run_that_was_stopped_while_it_gave_the_folder_its_name_is_completed(
    image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, old = tmp_path / "found", tmp_path / ".found.old"
    assert run(image, out) == 0

    def stop(_: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(segment_folder, "tidied", stop)
        with pytest.raises(KeyboardInterrupt):
            segmented.segment(Image(image), out, segmented.Settings(low=8.0), overwrite=True)
    assert (out / "blocks").is_dir()
    assert old.is_dir()
    assert run(image, out, "--low", 8) == 0
    assert {path.name for path in out.iterdir()} == FILES
    assert not old.exists()


def test_one_channel_and_one_threshold(image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "found"
    assert run(image, out, "--method", "otsu", "--channel", 1, "--low", 150, "--min-size", 5) == 0
    assert "thresholds of otsu: 150 and 150" in capsys.readouterr().out
    with open_volume(image) as volume, open_volume(out / "labels.ome.zarr") as labels:
        mask, found = volume[1] >= 150, labels[0] > 0
    assert found.any()
    assert not (found & ~mask).any()


@pytest.mark.parametrize("fill", [0, 1200])
def test_of_a_constant_image_nothing_is_found(
    fill: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = tmp_path / "constant.ome.tif", tmp_path / "found"
    write_ome_tiff(path, from_array(np.full((1, 4, 20, 20), fill, np.uint16), "CZYX", voxel_size_um=SIZE))
    assert run(path, out) == 1
    told = capsys.readouterr().out
    assert "0 object(s)" in told
    assert "nothing in the image stands out" in told
    assert {path.name for path in out.iterdir()} == FILES
    assert read_tsv(out / "objects.tsv") == []
    with open_volume(out / "labels.ome.zarr") as labels:
        assert not labels[0].any()


def test_a_plane_is_segmented(tmp_path: Path) -> None:
    lines = np.random.default_rng(0).poisson(100, (1, 1, 60, 60)).astype(np.uint16)
    lines[0, 0, 30, 5:55] = 900
    path = tmp_path / "plane.ome.tif"
    write_ome_tiff(path, from_array(lines, "CZYX", voxel_size_um=(None, 0.5, 0.5)))
    assert run(path, tmp_path / "found") == 0
    skeleton = read_swc(tmp_path / "found" / "skeletons" / "label-1.swc")
    assert skeleton.length_um() == pytest.approx(25, abs=3)


def test_a_result_that_lacks_a_file_is_not_up_to_date(
    image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "found"
    assert run(image, out) == 0
    (out / "boxes.tsv").unlink()
    assert run(image, out) == 2
    assert "no boxes.tsv" in capsys.readouterr().err
    assert run(image, out, "--overwrite") == 0
    assert {path.name for path in out.iterdir()} == FILES


@pytest.mark.parametrize("text", ["3", '"identity"', '{"identity": 3}', '{"identity": {}}', "[" * 10**5])
def test_what_is_no_report_of_a_segmentation_is_left_alone(
    text: str, image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "segmentation.json").write_text(text)
    assert run(image, tmp_path, "--overwrite") == 2
    assert "would be lost" in capsys.readouterr().err
    assert (tmp_path / "segmentation.json").read_text() == text


def test_what_cannot_be_done_is_told_in_a_message(
    image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "found"
    bare = tmp_path / "bare.npy"
    np.save(bare, np.zeros((4, 20, 20), np.uint8))
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "notes.txt").write_text("mine")
    for line, status, message in (
        ((bare, out, "--axes", "ZYX"), 2, "--voxel-size"),
        ((tmp_path / "none.tif", out), 3, "none.tif"),
        ((image, out, "--channel", 7), 2, "no such channel"),
        ((image, out, "--min-size", 0), 2, "--min-size 0"),
        ((image, out, "--sigma", -1), 2, "sigma"),
        ((image, out, "--sigma", 1, "--method", "otsu"), 2, "--sigma"),
        ((image, out, "--low", 9, "--high", 3), 2, "lies above"),
        ((image, taken, "--overwrite"), 2, "would be lost"),
        ((image, image), 2, "source itself"),
        ((image, tmp_path / "a" / "b"), 3, "no such folder"),
    ):
        assert run(*line) == status, line
        assert message in capsys.readouterr().err, line
    assert not out.exists()
    assert not list(tmp_path.glob("*.partial"))
    assert (taken / "notes.txt").read_text() == "mine"


def test_labels_are_no_image(image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(image, tmp_path / "found") == 0
    assert run(tmp_path / "found" / "labels.ome.zarr", tmp_path / "again") == 2
    assert "segmented already" in capsys.readouterr().err


def test_neurons_by_colour_and_cell_bodies_go_into_the_folder(
    image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = np.zeros((16, 80, 80), np.uint16)
    labels[3:6, 10:14, 5:60], labels[9, 40, 20:30] = 1, 2

    class Closing(ArrayPixels):
        """Labels computed from the image, which is closed with them."""

        def __init__(self, source: Volume) -> None:
            super().__init__(labels)
            self._source = source

        def close(self) -> None:
            self._source.close()

    def color_instances(
        volume: Volume, *, options: ColorOptions, mask: Volume, somata: object, folder: Path, **_: object
    ) -> Volume:
        assert folder.suffix == ".partial"
        assert mask.size_zyx == volume.size_zyx and mask.n_channels == 1
        assert somata == ["one"]
        sizes.append(options.smallest)
        found = from_array(labels, "ZYX", path=image, voxel_size_um=SIZE, labels=True)
        return replace(found, pixels=Closing(volume))

    columns = {"point_id": ["soma-1"], "x_um": [3.0], "y_um": [4.0], "z_um": [5.0]}
    monkeypatch.setattr("neuropack.process.color_instances.color_instances", color_instances)
    looked: list[Volume] = []
    sizes: list[int] = []

    def detect_somata(volume: Volume, **_: object) -> list[str]:
        looked.append(volume)
        return ["one"]

    monkeypatch.setattr("neuropack.process.soma_detection.detect_somata", detect_somata)
    monkeypatch.setattr(
        "neuropack.process.soma_detection.soma_marks",
        lambda somata, credit: marks_table("points", columns, credit),
    )
    assert run(image, tmp_path / "found", "--method", "color", "--soma") == 0
    assert "1 soma(ta)" in capsys.readouterr().out
    assert len(looked) == 1  # for the colours and for the table
    assert {path.name for path in (tmp_path / "found").iterdir()} == FILES | {"somata.tsv"}
    boxes = read_marks(tmp_path / "found" / "boxes.tsv").table.to_pylist()
    assert [[box[k] for k in ("z0", "y0", "x0", "z1", "y1", "x1")] for box in boxes] == [
        [3, 10, 5, 6, 14, 60],
        [9, 40, 20, 10, 41, 30],
    ]
    assert [box["confidence"] for box in boxes] == [None, None]
    assert len(read_marks(tmp_path / "found" / "somata.tsv").table) == 1
    assert run(image, tmp_path / "other", "--method", "color", "--low", 3) == 2
    assert run(image, tmp_path / "other", "--method", "color", "--min-size", 7) == 0
    assert sizes == [100, 7]
    assert not (tmp_path / "other" / "somata.tsv").exists()


def test_a_slab_of_whole_planes_is_read_of_a_file_of_planes(image: Path) -> None:
    with open_volume(image) as volume:
        assert segment_blocks.blocks_of(volume, 2 << 30, (10, 10, 10))[0] == (16, 80, 80)
        assert segment_blocks.blocks_of(volume, 1 << 20, (10, 10, 10)) == ((8, 80, 80), 1)


def test_what_lies_around_a_block_counts_as_its_memory() -> None:
    large = from_array(np.broadcast_to(np.uint8(0), (1, 300, 900, 900)), "CZYX", voxel_size_um=SIZE)
    assert segment_blocks.blocks_of(large, 1 << 30, (4, 10, 10))[0] == (64, 256, 256)
    block, workers = segment_blocks.blocks_of(large, 1 << 30, (60, 90, 90))
    assert workers == 1
    around = [n + 2 * h for n, h in zip(block, (60, 90, 90), strict=True)]
    assert 29 * np.prod(around) <= 1 << 30


@pytest.mark.parametrize("method", ["tubeness", "color"])
def test_of_a_wrong_voxel_size_no_memory_is_asked_for(
    method: str, image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "found"
    assert run(image, out, "--method", method, "--voxel-size", "2e-6,5e-7,5e-7") == 2
    assert "too wide, in voxels" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_real_dendrite_is_found(data_file: Callable[[str], Path], tmp_path: Path) -> None:
    source = data_file("neuron/mapmanager-rr30a-tp0-ch2-crop320.tif")
    trace = read_swc(data_file("neuron/mapmanager-rr30a-s0-crop320.swc"))
    assert run(source, tmp_path / "found", "--voxel-size", "1,0.12,0.12") == 0
    with open_volume(tmp_path / "found" / "labels.ome.zarr") as volume:
        labels = volume[0]
    z, y, x = np.rint(trace.xyz[:, ::-1] / (1, 0.12, 0.12)).astype(int).T  # it counts from the centres of voxels
    near = [(slice(max(k - 1, 0), k + 2), slice(max(j - 8, 0), j + 9)) for k, j in zip(z, y, strict=True)]
    on = [labels[planes, rows, max(i - 8, 0) : i + 9].any() for (planes, rows), i in zip(near, x, strict=True)]
    assert np.mean(on) > 0.95
