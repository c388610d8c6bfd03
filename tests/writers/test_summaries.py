"""What lies beside the levels of an OME-Zarr: projections and label values, those of the whole image."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from neuropack.axes import Array, Box
from neuropack.convert import convert
from neuropack.readers import open_volume
from neuropack.volume import Volume, from_array
from neuropack.writers.summaries import PROJECTIONS, distinct, read_label_values, read_projections

MEMORY = 256 << 20


def image(folder: Path, array: Array, axes: str = "CZYX", **fields: object) -> Volume:
    source = folder / "source.bin"
    source.write_bytes(array.tobytes()[:1000])
    fields.setdefault("voxel_size_um", (2.0, 0.5, 0.5))
    return from_array(array, axes, path=source, **fields)


def written(folder: Path, volume: Volume, **options: Any) -> Path:
    convert(volume, [folder / "a.ome.zarr"], memory=MEMORY, workers=1, **options)
    return folder / "a.ome.zarr"


@pytest.mark.parametrize(
    ("shape", "dtype"), [((2, 5, 1300, 90), "u2"), ((1, 3, 60, 70), "f4"), ((2, 1, 40, 50), "?")]
)
def test_projections_are_the_maxima_of_the_image(tmp_path: Path, shape: tuple[int, ...], dtype: str) -> None:
    whole = np.random.default_rng(3).normal(0, 300, shape).astype(dtype)
    if dtype == "f4":
        whole[0, 1, 5:7] = np.nan
    path = written(tmp_path, image(tmp_path, whole))
    with open_volume(path) as volume:
        found = read_projections(volume)
    assert found is not None
    assert found.factor == (1, 2 if shape[2] > 1024 else 1, 1)
    rows = np.arange(0, shape[2], found.factor[1])
    if dtype == "f4":
        whole[np.isnan(whole)] = -np.inf  # less than every number
    np.testing.assert_array_equal(found.along_z, np.fmax.reduceat(np.fmax.reduce(whole, 1), rows, axis=1))
    np.testing.assert_array_equal(found.along_y, np.fmax.reduce(whole, 2))
    np.testing.assert_array_equal(found.along_x, np.fmax.reduceat(np.fmax.reduce(whole, 3), rows, axis=2))
    group = zarr.open_group(path / PROJECTIONS, mode="r")
    assert [group[n].metadata.dimension_names for n in "zyx"] == [tuple("cyx"), tuple("czx"), tuple("czy")]


def test_projections_of_a_series_are_those_of_its_first_frame(tmp_path: Path) -> None:
    whole = np.random.default_rng(3).integers(0, 900, (3, 2, 4, 40, 40)).astype("u2")
    with open_volume(written(tmp_path, image(tmp_path, whole, "TCZYX"))) as volume:
        found = read_projections(volume)
    assert found is not None
    np.testing.assert_array_equal(found.along_z, whole[0].max(axis=1))


def spoil_factor(path: Path) -> None:
    edit(path / PROJECTIONS / "zarr.json", lambda node: node["attributes"]["neuropack"].update(factor=[1, 2, 1]))


def spoil_name(path: Path) -> None:
    edit(path / "zarr.json", lambda node: node["attributes"]["neuropack"].update(projections="../elsewhere"))


def spoil_shape(path: Path) -> None:
    edit(path / PROJECTIONS / "x" / "zarr.json", lambda node: node.update(shape=[2, 4, 39]))


def spoil_claim(path: Path) -> None:
    """A shard that is larger than the array, as one may be by any factor."""
    old = zarr.open_array(path / PROJECTIONS / "y", mode="r")[...]
    where = {"store": path / PROJECTIONS, "name": "y", "overwrite": True}
    new = zarr.create_array(**where, shape=old.shape, dtype=old.dtype, chunks=(1, 4, 40), shards=(4, 8, 80))
    new[...] = old


def spoil_file(path: Path) -> None:
    """Zarr reads zeros where a file is not there."""
    (path / PROJECTIONS / "z" / "c" / "0" / "0" / "0").unlink()


def spoil_pixels(path: Path) -> None:
    file = path / PROJECTIONS / "z" / "c" / "0" / "0" / "0"
    data = bytearray(file.read_bytes())
    data[100] ^= 1
    file.write_bytes(data)


def edit(file: Path, change: Any) -> None:
    node = json.loads(file.read_text(encoding="utf-8"))
    change(node)
    file.write_text(json.dumps(node), encoding="utf-8")


@pytest.mark.parametrize("spoil", [spoil_factor, spoil_name, spoil_shape, spoil_claim, spoil_file, spoil_pixels])
def test_projections_that_are_not_those_of_the_image_are_none(tmp_path: Path, spoil: Any) -> None:
    whole = np.random.default_rng(3).integers(0, 900, (2, 4, 40, 40)).astype("u2")
    path = written(tmp_path, image(tmp_path, whole))
    with open_volume(path) as volume:
        assert read_projections(volume) is not None
    spoil(path)
    with open_volume(path) as volume:
        assert read_projections(volume) is None


def labels_of(shape: tuple[int, ...]) -> Array:
    """Every value but those from 20 to 29, many voxels each, in runs as labels come."""
    values = np.arange(np.prod(shape) // 100, dtype="u4") + 5
    values[(values >= 20) & (values < 30)] = 0
    labels: Array = np.resize(np.repeat(values, 100), shape)
    return labels


def test_distinct_values_of_a_block() -> None:
    block = np.random.default_rng(2).integers(-3, 4, (1, 3, 8, 9)).astype("i4")
    assert distinct(block).tolist() == [-3, -2, -1, 1, 2, 3]
    assert distinct(np.full((1, 1, 1, 3), 614454277, "u4")).tolist() == [614454277]
    assert distinct(np.zeros((1, 2, 2, 2), "u1")).tolist() == []


def test_the_values_of_a_label_image_are_stored_sorted(tmp_path: Path) -> None:
    whole = labels_of((40, 600, 600))
    path = written(tmp_path, image(tmp_path, whole, "ZYX"), labels=True)
    np.testing.assert_array_equal(read_label_values(path), np.unique(whole)[1:])
    root = json.loads((path / "zarr.json").read_text(encoding="utf-8"))
    assert "colors" not in root["attributes"]["ome"]["image-label"]  # too many for a viewer's table
    assert not (path / PROJECTIONS).exists()


def test_an_image_without_a_label_has_no_values(tmp_path: Path) -> None:
    path = written(tmp_path, image(tmp_path, np.zeros((3, 20, 20), "u1"), "ZYX"), labels=True)
    assert read_label_values(path).size == 0


class Dying:
    """Pixels of an array, of which only the first blocks can be read."""

    def __init__(self, array: Array, left: int) -> None:
        self.array, self.left = array, left

    def read(self, box: Box, out: Array | None = None) -> Array:
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        return self.array[box]

    def native_blocks(self) -> Any:
        return iter([tuple(slice(0, n) for n in self.array.shape)])

    def close(self) -> None:
        pass


def tree(path: Path) -> dict[str, str]:
    return {
        p.relative_to(path).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in path.rglob("*")
        if p.is_file()
    }


@pytest.mark.parametrize("labels", [True, False])
def test_a_continued_run_stores_the_same(tmp_path: Path, labels: bool) -> None:
    whole = labels_of((16, 1100, 1100))
    (tmp_path / "whole").mkdir()
    expected = tree(written(tmp_path / "whole", image(tmp_path, whole, "ZYX"), labels=labels))
    volume = image(tmp_path, whole, "ZYX")
    left = tmp_path / f".a.ome.zarr.{'labels' if labels else 'projections'}"
    reading = volume.pixels.read
    for _ in range(2):
        volume.pixels.read = Dying(whole, 3).read  # type: ignore[method-assign]
        with pytest.raises(KeyboardInterrupt):
            written(tmp_path, volume, labels=labels)
        assert left.stat().st_size > 0
        if labels:
            with left.open("ab") as file:
                file.write(b"\x07")  # a part of a value
    volume.pixels.read = reading  # type: ignore[method-assign]
    result = convert(volume, [tmp_path / "a.ome.zarr"], memory=MEMORY, workers=1, labels=labels, digests=True)
    assert result.status == "resumed"
    assert tree(tmp_path / "a.ome.zarr") == expected
    assert not left.exists()
