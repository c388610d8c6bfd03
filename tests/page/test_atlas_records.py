"""Tables of a stranger: what makes no sense is said with file and line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import placed
import pytest

from neuropack.errors import InputError
from neuropack.page.atlas.records import read_lengths, read_neurons
from neuropack.table import stream_tsv

ATLAS = placed.small_atlas()


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return placed.write_release(tmp_path_factory.mktemp("clean") / "release", placed.grown(2), ATLAS)


def cell(line: int, column: str, value: str) -> Callable[[str], str]:
    """What puts a value into a cell of a table."""

    def change(text: str) -> str:
        rows = [row.split("\t") for row in text.splitlines()]
        rows[line - 1][rows[0].index(column)] = value
        return "\n".join("\t".join(row) for row in rows) + "\n"

    return change


def without(column: str) -> Callable[[str], str]:
    def change(text: str) -> str:
        rows = [row.split("\t") for row in text.splitlines()]
        at = rows[0].index(column)
        return "\n".join("\t".join(row[:at] + row[at + 1 :]) for row in rows) + "\n"

    return change


def read(release: Path) -> None:
    neurons, _ = read_neurons(release)
    list(read_lengths(release, {one.key: one for one in neurons}))


@pytest.mark.parametrize(
    ("table", "change", "where", "complaint"),
    [
        ("neurons", cell(3, "axon_length_um", "long"), "line 3", "is no length"),
        ("neurons", cell(3, "axon_length_um", "nan"), "line 3", "is no length"),
        ("neurons", cell(3, "dendrite_length_um", "-1"), "line 3", "is no length"),
        ("neurons", cell(2, "dendrite_length_um", "1e300"), "line 2", "is no length"),
        ("neurons", cell(2, "soma_region_id", "2.5"), "line 2", "is no id"),
        ("neurons", cell(2, "soma_region_id", "9" * 5000), "line 2", "is no id"),
        ("neurons", cell(2, "soma_region_id", "\u00b2"), "line 2", "is no id"),
        ("neurons", cell(2, "soma_hemisphere", "L"), "line 2", "unknown value"),
        ("neurons", cell(3, "swc_ccf", "gone.swc"), "line 3", "not in the release"),
        ("neurons", cell(3, "swc_ccf", "../../../../etc/hostname"), "line 3", "not in the release"),
        ("neurons", cell(3, "swc_ccf", "a\0b"), "line 3", "not in the release"),
        ("neurons", cell(3, "neuron_id", f"{placed.STACK}_desc-n001"), "line 3", "comes twice"),
        ("neurons", cell(1, "n_nodes", "length_um"), "line 1", "two columns"),
        ("neurons", without("soma_hemisphere"), "line 1", "no column soma_hemisphere"),
        ("neurons", without("neuron_id"), "line 1", "no column neuron_id"),
        ("neurons", lambda text: text + "short\n", "line 4", "does not fit the header"),
        ("neurons", lambda text: "", "line 1", "has no column"),
        ("regions", cell(2, "length_um", "n/a"), "line 2", "has no length"),
        ("regions", cell(2, "length_um", "inf"), "line 2", "is no length"),
        ("regions", cell(2, "region_id", "n/a"), "line 2", "is no id"),
        ("regions", cell(2, "region_id", str(1 << 32)), "line 2", "is no id"),
        ("regions", cell(2, "hemisphere", "both"), "line 2", "unknown value"),
        ("regions", cell(2, "compartment", "apical"), "line 2", "unknown value"),
        ("regions", cell(5, "neuron_id", "nobody"), "line 5", "not placed"),
        ("regions", without("compartment"), "line 1", "no column compartment"),
    ],
)
def test_what_makes_no_sense_is_said_with_its_line(
    table: str, change: Callable[[str], str], where: str, complaint: str, clean: Path
) -> None:
    path = clean / "derivatives" / "morphology" / f"{table}.tsv"
    whole = path.read_text(encoding="utf-8")
    read(clean)
    path.write_text(change(whole), encoding="utf-8")
    try:
        with pytest.raises(InputError, match=complaint) as told:
            read(clean)
    finally:
        path.write_text(whole, encoding="utf-8")
    assert (told.value.file, told.value.where) == (path, where)


def test_a_skeleton_behind_a_link_out_of_the_release_is_not_read(clean: Path, tmp_path: Path) -> None:
    target = tmp_path / "secret.swc"
    target.write_text("1 1 0 0 0 1 -1\n", encoding="utf-8")
    link = clean / "derivatives" / "morphology" / "link.swc"
    link.symlink_to(target)
    path = clean / "derivatives" / "morphology" / "neurons.tsv"
    whole = path.read_text(encoding="utf-8")
    path.write_text(cell(2, "swc_ccf", "link.swc")(whole), encoding="utf-8")
    try:
        with pytest.raises(InputError, match="not in the release"):
            read(clean)
    finally:
        path.write_text(whole, encoding="utf-8")
        link.unlink()


def test_neurons_that_are_not_placed_are_counted(clean: Path) -> None:
    path = clean / "derivatives" / "morphology" / "neurons.tsv"
    whole = path.read_text(encoding="utf-8")
    path.write_text(cell(3, "swc_ccf", "n/a")(whole), encoding="utf-8")
    try:
        neurons, elsewhere = read_neurons(clean)
    finally:
        path.write_text(whole, encoding="utf-8")
    assert (len(neurons), elsewhere) == (1, 1)


def test_a_table_is_not_text(tmp_path: Path) -> None:
    path = tmp_path / "table.tsv"
    path.write_bytes(b"a\tb\n1\t2\n" + b"\xff\xfe\t3\n")
    with pytest.raises(InputError, match="is not UTF-8"):
        list(stream_tsv(path, ["a"]))
    with pytest.raises(InputError, match="cannot be read"):
        list(stream_tsv(tmp_path / "none.tsv", ["a"]))


def test_a_table_is_streamed_with_its_lines(tmp_path: Path) -> None:
    path = tmp_path / "table.tsv"
    path.write_bytes(b"\xef\xbb\xbfa\tb\r\n1\t2\r\n3\t4")
    assert list(stream_tsv(path, ["b"])) == [(2, {"a": "1", "b": "2"}), (3, {"a": "3", "b": "4"})]
