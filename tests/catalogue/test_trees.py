"""Regions of several releases as one numbered forest."""

from __future__ import annotations

from typing import Any

import pytest

from neuropack.catalogue.trees import Forest
from neuropack.errors import UsageError


def rows(*regions: tuple[int, str, int | None], ontology: str = "CCFv3") -> list[dict[str, Any]]:
    return [
        {"region_id": id_, "acronym": name, "name": f"area {name}", "parent": parent, "ontology": ontology}
        for id_, name, parent in regions
    ]


BRAIN = rows((1, "root", None), (2, "CTX", 1), (3, "VIS", 2), (4, "TH", 1))


def below(forest: Forest, word: str | int) -> set[tuple[int, int]]:
    """Numbers of tree and region in the spans."""
    names = {number: key for key, number in forest.order.items()}
    trees = list(dict.fromkeys(forest.of.values()))
    return {
        (trees.index(names[n][0]), names[n][1]) for first, last in forest.find(word) for n in range(first, last + 1)
    }


def test_releases_of_one_atlas_share_a_tree() -> None:
    forest = Forest.grow({"a": BRAIN, "b": rows((3, "VIS", None))})
    assert forest.of["a"] == forest.of["b"]
    assert below(forest, "CTX") == {(0, 2), (0, 3)}
    assert len(forest.find("ctx")) == 1


def test_the_order_of_releases_does_not_matter() -> None:
    forest = Forest.grow({"b": rows((3, "VIS", None)), "a": BRAIN})
    assert below(forest, "area CTX") == {(0, 2), (0, 3)}


@pytest.mark.parametrize(
    "other", [rows((1, "root", None), (2, "HB", 1)), rows((1, "root", None), (3, "VIS", 1)), rows((2, "CTX", 3))]
)
def test_atlases_that_disagree_stay_apart(other: list[dict[str, Any]]) -> None:
    forest = Forest.grow({"a": BRAIN, "b": other})
    assert forest.of["a"] != forest.of["b"]
    assert below(forest, 2) >= {(0, 2), (0, 3), (1, 2)} or 2 not in {row["region_id"] for row in other}


def test_atlases_of_two_names_are_both_searched() -> None:
    forest = Forest.grow({"a": BRAIN, "b": rows((7, "CTX", None), (8, "L5", 7), ontology="another")})
    assert below(forest, "CTX") == {(0, 2), (0, 3), (1, 7), (1, 8)}


def test_a_tree_that_bites_its_tail_ends() -> None:
    forest = Forest.grow({"a": rows((1, "a", 2), (2, "b", 1), (3, "c", 3), (4, "d", 99))})
    assert len(forest.order) == 4
    assert below(forest, "d") == {(0, 4)}
    assert below(forest, "c") == {(0, 3)}


def test_a_tree_of_ten_thousand_levels() -> None:
    forest = Forest.grow({"a": rows(*((n, f"r{n}", n - 1 if n > 1 else None) for n in range(1, 10_001)))})
    assert forest.find("r1") == [(0, 9999)]


def test_commas_and_capitals_do_not_matter() -> None:
    forest = Forest.grow({"a": [{**BRAIN[0], "name": "Primary visual area, layer 5"}]})
    assert forest.find("primary visual area layer 5") == forest.find("Primary Visual Area, Layer 5") == [(0, 0)]
    with pytest.raises(UsageError, match="Primary visual area, layer 5"):
        forest.find("primary visual area layer 6")
