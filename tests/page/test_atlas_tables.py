"""Every micrometre is accounted for, at every level; what belongs to whom is told by hand-made neurons."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import placed
import pytest

from neuropack.errors import InputError
from neuropack.page.atlas.records import Neuron, read_lengths, read_neurons
from neuropack.page.atlas.tables import Tables, summarise
from neuropack.skeleton import Skeleton
from neuropack.space.frames import CCF
from neuropack.space.levels import Level, level_of
from neuropack.space.mapping import compartment_lengths
from neuropack.space.structures import Structure, Structures
from neuropack.space.volumes import volumes_mm3

ATLAS = placed.small_atlas()
LEVELS = ["annotation", "summary", "0", "1", "2", "3", "simTH,simCTX1", "simFT", "sim"]
# A soma in the striatum of the left hemisphere; an axon that crosses the midline there; two dendrites.
SOMA = (4100.0, 4100.0, 5100.0)


def chain(*rows: tuple[int, float, float, float, int]) -> Skeleton:
    """A skeleton of (type, AP, DV, LR, parent); ids count from 1."""
    table = np.array([row[1:4] for row in rows], np.float64)
    return Skeleton(
        id=np.arange(1, len(rows) + 1),
        type=np.array([row[0] for row in rows]),
        xyz=table,
        radius=np.ones(len(rows)),
        parent=np.array([row[4] for row in rows]),
        frame=CCF,
    )


CROSSING = chain(
    (1, *SOMA, -1),
    (2, 4100, 4100, 6300, 1),  # 600 um on each side of the midline
    (3, 4100, 4100, 4800, 1),  # 300 um
    (5, 4100, 4100, 4700, 3),  # 100 um of no compartment
)


def tables_of(folder: Path, skeletons: Sequence[Skeleton], level: Level | str, *, volumes: bool = True) -> Tables:
    release = placed.write_release(folder, skeletons, ATLAS)
    return read_tables(release, level, volumes=volumes)


def read_tables(release: Path, level: Level | str, *, volumes: bool = True) -> Tables:
    neurons, _ = read_neurons(release)
    division = level_of(level, ATLAS.structures) if isinstance(level, str) else level
    lengths = read_lengths(release, {one.key: one for one in neurons})
    return summarise(neurons, lengths, division, volumes_mm3(ATLAS.annotation) if volumes else None)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Skeleton]]:
    skeletons = placed.grown(6, seed=4)
    return placed.write_release(tmp_path_factory.mktemp("many") / "release", skeletons, ATLAS), skeletons


@pytest.mark.parametrize("level", LEVELS)
def test_sums_are_those_of_the_neurons_at_every_level(level: str, many: tuple[Path, list[Skeleton]]) -> None:
    release, skeletons = many
    found = read_tables(release, level)
    wanted = {
        name: sum(compartment_lengths(one)[name] for one in skeletons) for name in ("axon", "dendrite", "other")
    }
    rows = list(csv.DictReader(io.StringIO(found.regions_tsv()), delimiter="\t"))
    for name, length in wanted.items():
        assert found.totals()[f"{name}_length_um"] == pytest.approx(length, abs=0.5)
        assert sum(float(row[f"{name}_length_um"]) for row in rows) == pytest.approx(length, abs=0.5)
    assert sum(int(row["n_somata"]) for row in rows) == len(skeletons)
    assert not found.findings
    projections = list(csv.DictReader(io.StringIO(found.projections_tsv()), delimiter="\t"))
    matrix = list(csv.DictReader(io.StringIO(found.matrix_tsv()), delimiter="\t"))
    for skeleton, neuron, row in zip(skeletons, found.neurons, matrix, strict=True):
        axon = compartment_lengths(skeleton)["axon"]
        own = [float(one["axon_length_um"]) for one in projections if one["neuron_id"] == neuron.id]
        cells = [
            float(cell) for name, cell in row.items() if name.endswith(("_ipsi_um", "_contra_um", "_unknown_um"))
        ]
        assert sum(own) == pytest.approx(axon, abs=0.1)
        assert sum(cells) == pytest.approx(float(row["axon_length_um"])) == pytest.approx(axon, abs=0.1)
    outside = [row for row in rows if row["kind"] == "outside"]
    assert sum(float(row["axon_length_um"]) for row in outside) > 1000
    assert {row["volume_mm3"] for row in outside} == {"n/a"}


def test_sides_compartments_and_densities_of_one_neuron(tmp_path: Path) -> None:
    found = tables_of(tmp_path / "release", [CROSSING], "annotation")
    rows = {(row.area.acronym, row.hemisphere): row for row in found.regions}
    left, right = rows["simSTR", "left"], rows["simSTR", "right"]
    assert left.lengths_um == pytest.approx({"axon": 600, "dendrite": 300, "other": 100})
    assert right.lengths_um == pytest.approx({"axon": 600, "dendrite": 0, "other": 0})
    assert (left.n_somata, right.n_somata) == (1, 0)
    assert [(one.area.acronym, one.hemisphere, one.side) for one in found.projections] == [
        ("simSTR", "left", "ipsi"),
        ("simSTR", "right", "contra"),
    ]
    volume = volumes_mm3(ATLAS.annotation)[22, "left"]
    record = left.record()
    assert record["volume_mm3"] == pytest.approx(volume, abs=1e-6)
    assert record["somata_per_mm3"] == pytest.approx(1 / volume, abs=1e-3)
    assert record["axon_mm_per_mm3"] == pytest.approx(0.6 / volume, abs=1e-3)
    assert record["dendrite_mm_per_mm3"] == pytest.approx(0.3 / volume, abs=1e-3)
    header = found.matrix_tsv().splitlines()[0].split("\t")
    assert header[-2:] == ["simSTR_ipsi_um", "simSTR_contra_um"]


def test_what_is_in_no_region_of_the_level_has_a_row(tmp_path: Path) -> None:
    found = tables_of(tmp_path / "release", [CROSSING], "simCTX")
    rows = {(row.area.acronym, row.hemisphere): row for row in found.regions}
    assert rows["rest", "right"].lengths_um["axon"] == pytest.approx(600)
    assert rows["rest", "left"].area.kind == "rest"
    assert rows["rest", "left"].n_somata == 1
    assert rows["simCTX", "left"].empty
    inside = [row.volume_mm3 or 0.0 for row in found.regions if row.area.kind != "outside"]
    assert sum(inside) == pytest.approx((ATLAS.annotation.labels != 0).sum() * 0.2**3)


def test_volumes_of_the_parts_sum_to_that_of_the_whole(tmp_path: Path) -> None:
    release = placed.write_release(tmp_path / "release", [CROSSING], ATLAS)
    fine, coarse = read_tables(release, "annotation"), read_tables(release, "summary")
    layers = sum(row.volume_mm3 or 0 for row in fine.regions if row.area.acronym.startswith("simCTX"))
    assert layers == pytest.approx(
        sum(row.volume_mm3 or 0 for row in coarse.regions if row.area.acronym == "simCTX")
    )


def test_without_an_annotation_there_are_no_volumes(tmp_path: Path) -> None:
    found = tables_of(tmp_path / "release", [CROSSING], "summary", volumes=False)
    assert {row.record()["volume_mm3"] for row in found.regions} == {None}
    assert {row.record()["axon_mm_per_mm3"] for row in found.regions} == {None}
    assert "\tn/a" in found.regions_tsv()
    assert found.totals()["axon_length_um"] == pytest.approx(1200)


def test_a_label_that_the_tree_lacks_has_a_row(tmp_path: Path) -> None:
    release = placed.write_release(tmp_path / "release", [CROSSING], ATLAS)
    trees = Structures([one for one in ATLAS.structures if one.acronym != "simSTR"], "smaller tree")
    found = read_tables(release, level_of("summary", trees))
    unknown = [row for row in found.regions if row.area.kind == "unknown"]
    assert [(row.area.id, row.hemisphere) for row in unknown] == [(22, "left"), (22, "right")]
    assert found.totals()["axon_length_um"] == pytest.approx(1200)


def test_another_tree_than_the_release_has_is_refused(tmp_path: Path) -> None:
    release = placed.write_release(tmp_path / "release", [CROSSING], ATLAS)
    other = Structures(
        [Structure(1, "root", "root", None, "#000000"), Structure(22, "TMv", "x", 1, "#000000")], "tree"
    )
    with pytest.raises(InputError, match="tree of structures is another one") as told:
        read_tables(release, level_of("summary", other))
    assert told.value.where == "line 2"


def test_a_neuron_without_a_soma_has_no_side(tmp_path: Path) -> None:
    headless = chain((2, *SOMA, -1), (2, 4100, 4100, 6300, 1))
    found = tables_of(tmp_path / "release", [headless], "annotation")
    assert {one.side for one in found.projections} == {"unknown"}
    assert found.totals()["n_somata"] == 0
    assert "simSTR_unknown_um" in found.matrix_tsv()


def test_a_table_that_contradicts_the_other_is_a_finding(tmp_path: Path) -> None:
    release = placed.write_release(tmp_path / "release", [CROSSING], ATLAS)
    table = release / "derivatives" / "morphology" / "regions.tsv"
    lines = table.read_text(encoding="utf-8").splitlines(keepends=True)
    table.write_text("".join(line for line in lines if "\tright\t" not in line), encoding="utf-8")
    (finding,) = read_tables(release, "annotation").findings
    assert "says 1200 um of axon, the rows of regions.tsv sum to 600 um" in finding


def test_regions_of_one_name_keep_columns_of_their_own() -> None:
    neuron = Neuron(("sub-M01", "n1"), Path("n1.swc"), 5, "A", "left", 30.0, 0.0, 2)
    from neuropack.page.atlas.records import Length

    lengths = [Length(neuron.key, id, "A", "left", "axon", um, 2) for id, um in ((5, 10.0), (6, 20.0))]
    found = summarise([neuron], lengths, level_of("annotation", None))
    head, row = (line.split("\t") for line in found.matrix_tsv().splitlines())
    assert dict(zip(head, row, strict=True))["5_ipsi_um"] == "10.0"
    assert dict(zip(head, row, strict=True))["6_ipsi_um"] == "20.0"


def test_neurons_of_two_animals_may_have_one_name() -> None:
    from neuropack.page.atlas.records import Length

    neurons = [Neuron((f"sub-M0{n}", "n1"), Path("n1.swc"), 5, "A", "left", n, 0.0, 2) for n in (1.0, 2.0)]
    lengths = [Length(one.key, 5, "A", "left", "axon", one.axon_um or 0, 2) for one in neurons]
    found = summarise(neurons, lengths, level_of("annotation", None))
    assert [one.axon_um for one in found.projections] == [1.0, 2.0]
    assert not found.findings
