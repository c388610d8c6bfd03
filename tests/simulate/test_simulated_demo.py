"""The demonstration's inputs: real raw files, ground truth beside them, and a study without a mistake."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from neuropack.errors import UsageError
from neuropack.readers import open_volume
from neuropack.simulate.demo import DemoInputs, write_raw
from neuropack.study import load_study
from neuropack.swc import read_swc


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> DemoInputs:
    return write_raw(tmp_path_factory.mktemp("demo"), seed=0)


def test_one_mouse_is_a_czi_and_the_other_an_ome_tiff(demo: DemoInputs) -> None:
    formats = []
    for path in demo.raw:
        with open_volume(path) as volume:
            formats.append(volume.format)
            assert volume.shape == (3, 32, 256, 256)
            assert volume.voxel_size_um == pytest.approx((2.0, 0.5, 0.5))
            assert [c.name for c in volume.channels] == ["mTagBFP2", "EYFP", "tdTomato"]
    assert formats == ["CZI", "OME-TIFF"]


def test_the_study_has_no_mistake_and_says_that_all_is_simulated(demo: DemoInputs) -> None:
    study = load_study(demo.study)
    assert [s.file for s in study.stacks] == list(demo.raw)
    assert [s.labels for s in study.stacks] == list(demo.labels)
    for kind, files in (("skeletons", demo.skeletons), ("classes", [(path,) for path in demo.classes])):
        assert [s.annotations[kind][0].files for s in study.stacks] == list(files)  # type: ignore[index]
    assert "SIMULATED" in study.dataset["abstract"] and study.dataset["title"].startswith("Simulated")
    for stack in study.stacks:
        assert "no animal" in stack.subject["description"]
        assert stack.annotation["provenance"] == "simulated"
        assert stack.instrument["model"].startswith("simulator")


def test_the_raw_files_themselves_say_that_they_are_simulated(demo: DemoInputs) -> None:
    for path in demo.raw:
        assert b"LH (simulated)" in path.read_bytes(), path


def test_labels_and_skeletons_are_of_the_neurons_in_the_raw_file(demo: DemoInputs) -> None:
    for raw, labels, skeletons in zip(demo.raw, demo.labels, demo.skeletons, strict=True):
        with open_volume(labels) as truth, open_volume(raw) as image:
            values, pixels = truth[0], image[:].max(axis=0)
        assert set(np.unique(values)) == set(range(len(skeletons) + 1))
        assert pixels[values > 0].mean() > 3 * pixels[values == 0].mean()
        for number, path in enumerate(skeletons, 1):
            assert path.read_text(encoding="utf-8").startswith("# SIMULATED")
            at = np.floor(read_swc(path).xyz[:, ::-1] / (2.0, 0.5, 0.5)).astype(int)
            assert (values[tuple(at.T)] >= number).all()


def test_the_two_mice_differ(demo: DemoInputs) -> None:
    one, other = (open_volume(path) for path in demo.raw)
    with one, other:
        assert not np.array_equal(one[0, 10], other[0, 10])


def test_a_second_call_only_writes_what_is_missing(demo: DemoInputs) -> None:
    everything = [demo.study, *demo.raw, *demo.labels, *(p for mouse in demo.skeletons for p in mouse)]
    everything += [*demo.classes, *demo.landmarks, *demo.atlas]
    victim = demo.labels[1]
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in everything}
    victim.unlink()
    assert write_raw(demo.folder, seed=0) == demo
    for path in everything:
        assert path.read_bytes() == before[path][0], path
        if path != victim:
            assert path.stat().st_mtime_ns == before[path][1], path
    assert sorted(p for p in demo.folder.rglob("*") if p.is_file()) == sorted(everything)


def test_another_seed_in_the_same_folder_is_refused(demo: DemoInputs) -> None:
    with pytest.raises(UsageError, match="holds another study"):
        write_raw(demo.folder, seed=1)


def test_files_of_somebody_else_are_not_taken_for_ours(tmp_path: Path) -> None:
    foreign = tmp_path / "raw" / "M01_LH.czi"
    foreign.parent.mkdir()
    foreign.write_bytes(b"precious")
    with pytest.raises(UsageError, match="is there already"):
        write_raw(tmp_path)
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == [foreign]
