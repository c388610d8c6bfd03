"""The tree of structures, from every source that has it."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import small_atlas

from neuropack.errors import InputError, UsageError
from neuropack.space.structure_files import read_structures
from neuropack.space.structures import Structures


def written(path: Path, document: Any) -> Path:
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def nested() -> dict[str, Any]:
    """The graph as the Allen Institute's API gives it."""
    nodes = {
        row["id"]: {
            **{key: row[key] for key in ("id", "acronym", "name")},
            "color_hex_triplet": "".join(f"{part:02X}" for part in row["rgb_triplet"]),
            "parent_structure_id": row["structure_id_path"][-2] if len(row["structure_id_path"]) > 1 else None,
            "children": [],
        }
        for row in small_atlas.structures()
    }
    for node in nodes.values():
        if node["parent_structure_id"]:
            nodes[node["parent_structure_id"]]["children"].append(node)
    return {"success": True, "msg": [nodes[997]]}


def table(path: Path) -> Path:
    """The same as a table, with the void of iblatlas's and a colour that a spreadsheet has shortened."""
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(["id", "name", "acronym", "structure_id_path", "color_hex_triplet", "parent_structure_id"])
        out.writerow([0, "void", "void", "", "", ""])
        for row in small_atlas.structures():
            way = "/" + "/".join(map(str, row["structure_id_path"])) + "/"
            colour = "".join(f"{part:02X}" for part in row["rgb_triplet"]).lstrip("0")
            out.writerow([row["id"], row["name"], row["acronym"], way, colour, ""])
    return path


@pytest.fixture
def tree(tmp_path: Path) -> Structures:
    return read_structures(written(tmp_path / "structures.json", small_atlas.structures()))


def test_every_form_gives_the_same_tree(tree: Structures, tmp_path: Path) -> None:
    assert list(read_structures(written(tmp_path / "graph.json", nested()))) == list(tree)
    assert list(read_structures(table(tmp_path / "table.csv"))) == list(tree)
    paths = [
        {**row, "structure_id_path": "/" + "/".join(map(str, row["structure_id_path"])) + "/"}
        for row in small_atlas.structures()
    ]
    assert list(read_structures(written(tmp_path / "paths.json", paths))) == list(tree)


def test_relations(tree: Structures) -> None:
    def acronyms(found: list[Any]) -> list[str]:
        return [one.acronym for one in found]

    assert acronyms(tree.ancestors(33)) == ["VISp", "CTXpl", "grey", "root"]
    assert acronyms(tree.descendants(695)) == ["VISp", "VISp2/3", "VISp6a"]
    assert acronyms(tree.descendants(997)) == [row[1] for row in small_atlas.REGIONS[1:]]
    assert acronyms(tree.children(8)) == ["CTXpl", "SCs", "Su3"]
    assert (tree.depth(997), tree.depth(33)) == (0, 4)
    assert tree[33].colour == "#019399"
    assert tree[997].parent is None


def test_layers_are_those_of_the_cortex(tree: Structures) -> None:
    assert {one.acronym: tree.layer(one.id) for one in tree if tree.layer(one.id)} == {
        "VISp2/3": "2/3",
        "VISp6a": "6a",
    }


def test_a_structure_is_found_by_any_of_its_names(tree: Structures) -> None:
    for word in (821, "821", "VISp2/3", "Primary visual area, layer 2/3", "Primary visual area layer 2/3"):
        assert tree.find(word).id == 821
    with pytest.raises(UsageError, match="VISp"):
        tree.find("VISP")


def change(rows: list[dict[str, Any]], **new: Any) -> list[dict[str, Any]]:
    return [*rows[:-1], {**rows[-1], **new}]


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda rows: [*rows, rows[3]], "two structures have one id"),
        (lambda rows: [row for row in rows if row["id"] != 385], "part of 385, which is not there"),
        (lambda rows: change(rows, structure_id_path=None, parent_structure_id=small_atlas.LARGEST), "of itself"),
        (lambda rows: change(rows, structure_id_path=[small_atlas.LARGEST]), "2 structures that are part of none"),
        (lambda rows: [], "0 structures that are part of none"),
        (lambda rows: change(rows, id="x"), "no table of structures"),
        (lambda rows: change(rows, id=1 << 32), "no table of structures"),
        (lambda rows: change(rows, id=7.5), "no table of structures"),
        (lambda rows: change(rows, rgb_triplet=[1, 2]), "no table of structures"),
        (lambda rows: change(rows, rgb_triplet=[0, 0, -1]), "no colour"),
        (lambda rows: [{k: v for k, v in row.items() if k != "name"} for row in rows], "KeyError: 'name'"),
        (lambda rows: [1, 2], "no list of structures"),
        (lambda rows: {"rows": rows}, "no list of structures"),
        (lambda rows: {"msg": [{**rows[0], "children": 7}]}, "no table of structures"),
    ],
)
def test_what_is_no_tree_is_refused(
    spoil: Callable[[list[dict[str, Any]]], Any], complaint: str, tmp_path: Path
) -> None:
    path = written(tmp_path / "structures.json", spoil(small_atlas.structures()))
    with pytest.raises(InputError, match=complaint):
        read_structures(path)


def test_a_cycle_of_two_is_refused(tmp_path: Path) -> None:
    rows = small_atlas.structures()
    plain = [{**row, "structure_id_path": None, "parent_structure_id": 997} for row in rows[1:]]
    plain[0]["parent_structure_id"], plain[1]["parent_structure_id"] = plain[1]["id"], plain[0]["id"]
    with pytest.raises(InputError, match="a part of itself"):
        read_structures(written(tmp_path / "a.json", [rows[0], *plain]))


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "no tree"),
        (b"{", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"a,b\n1,2\n", "no"),
        (b"\xff\xfe\0", "UTF-8"),
    ],
)
def test_a_file_that_holds_none_is_refused(content: bytes, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / "structures.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=complaint):
        read_structures(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_structures(tmp_path / "none.csv")


def test_the_library_has_all_structures() -> None:
    tree = read_structures(small_atlas.needs_table())
    assert len(tree) == 1327
    assert [one.acronym for one in tree.ancestors(tree.find("VISp5").id)][-1] == "root"
    assert len(tree.descendants(997)) == 1326
    assert tree.layer(tree.find("VISp2/3").id) == "2/3"


def test_the_library_is_not_imported() -> None:
    small_atlas.needs_table()
    code = (
        "import sys; from neuropack.space import structure_files as s; s.read_structures(s.library_table());"
        "print([name for name in sys.modules if name.startswith('iblatlas')])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_the_library_agrees_with_the_allen_institute(data_file: Callable[[str], Path]) -> None:
    # Its table has lost the commas in names and acronyms, and spells five acronyms in another way (Mmm for MMm).
    ours = read_structures(small_atlas.needs_table())
    theirs = read_structures(data_file("ccf/structures_aind.json"))
    assert [(one.id, one.parent, one.colour) for one in ours] == [
        (one.id, one.parent, one.colour) for one in theirs
    ]
    assert [one.name for one in ours] == [one.name.replace(",", "") for one in theirs]
    spelled = {one.acronym for one in ours if one.acronym != theirs[one.id].acronym.replace(",", "")}
    assert spelled == {"Mmme", "Mml", "Mmm", "Mmp", "Mmd"}
    assert [ours.layer(one.id) for one in ours] == [theirs.layer(one.id) for one in theirs]
