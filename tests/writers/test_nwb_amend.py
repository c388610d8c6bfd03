"""Neurons added to an NWB file, in tables that are there or not."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import h5py
import numpy as np
import pynwb
import pytest

from neuropack.annotations.nwb import NwbContents
from neuropack.convert import convert
from neuropack.errors import InputError
from neuropack.skeleton import Skeleton
from neuropack.volume import from_array
from neuropack.writers.nwb import NwbMetadata, NwbNeuron
from neuropack.writers.nwb_amend import amend_neurons
from neuropack.writers.nwb_annotations import NwbAnnotations

WHEN = datetime(2026, 1, 2, tzinfo=UTC)


def skeleton(n: int) -> Skeleton:
    ids = np.arange(1, n + 1)
    return Skeleton(ids, np.where(ids == 1, 1, 3), np.outer(ids, [1.0, 2, 3]), np.ones(n), ids - 1 - (ids == 1))


def file_with(folder: Path, neurons: dict[str, Skeleton]) -> Path:
    volume = from_array(np.arange(2 * 8 * 8, dtype=np.uint16).reshape(1, 2, 8, 8), "CZYX", voxel_size_um=(1, 1, 1))
    (folder / "raw").write_bytes(b"x")  # what it is known by
    volume = replace(volume, path=folder / "raw")
    meta = NwbMetadata(
        identifier="x",
        session_start_time=WHEN,
        created=WHEN,
        neurons=tuple(NwbNeuron(neuron_id=name, morphology=f"{name}.swc", label=7) for name in neurons),
        annotations=NwbAnnotations(skeletons=neurons) if neurons else None,
    )
    convert(volume, [folder / "x.nwb"], nwb=meta)
    return folder / "x.nwb"


def pixels(path: Path) -> bytes:
    with h5py.File(path) as file:
        found: list[bytes] = []
        file["acquisition"].visititems(
            lambda _, one: (
                found.append(one[()].tobytes()) if isinstance(one, h5py.Dataset) and one.ndim > 2 else None
            )
        )
    assert found
    return b"".join(found)


@pytest.mark.parametrize("there", [{}, {"a": skeleton(3), "b": skeleton(4)}], ids=["new tables", "tables"])
def test_neurons_are_added_and_replaced(there: dict[str, Skeleton], tmp_path: Path) -> None:
    path = file_with(tmp_path, there)
    before = pixels(path)
    new = {"b": skeleton(6), "c": skeleton(2)}
    rows = [
        NwbNeuron(neuron_id=name, morphology=f"new/{name}.swc", annotator="Ann", confidence=0.5) for name in new
    ]
    amend_neurons(path, rows, new)
    contents = NwbContents(path)
    known = {row["neuron_id"]: row for row in contents.neurons.to_pylist()}
    assert list(known) == (["a", "b", "c"] if there else ["b", "c"])
    assert (known["b"]["morphology"], known["b"]["n_nodes"], known["b"]["annotator"]) == ("new/b.swc", 6, "Ann")
    for name, one in {**there, **new}.items():
        assert np.array_equal(contents.skeletons[name].xyz, one.xyz)
        assert np.array_equal(contents.skeletons[name].parent, one.parent)
    if there:
        assert (known["a"]["label"], known["c"]["label"], known["a"]["annotator"]) == (7, None, None)
    assert pixels(path) == before
    assert pynwb.validate(path=str(path)) == []
    with pynwb.NWBHDF5IO(path, "r") as io:
        nwb = io.read()
        nodes = nwb.processing["ophys"]["skeleton_nodes"]
        assert nodes["neuron"][0]["neuron_id"].tolist() == [next(iter(known))]


def test_what_is_no_nwb_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.nwb"
    path.write_bytes(b"no")
    with pytest.raises(InputError, match="no NWB file"):
        amend_neurons(path, [NwbNeuron(neuron_id="a", morphology="a.swc")], {"a": skeleton(2)})
    with pytest.raises(ValueError, match="no skeleton"):
        amend_neurons(path, [NwbNeuron(neuron_id="a", morphology="a.swc")], {})
