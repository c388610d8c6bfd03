"""Presets of the simulator, and files of their form: each mistake with its place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from neuropack.errors import UsageError
from neuropack.simulate.colours import BRAINBOW, Fluorophore
from neuropack.simulate.optics import Optics
from neuropack.simulate.seams import Mosaic
from neuropack.simulate.settings import Simulation, Traced
from neuropack.simulate.tissue import Tissue
from neuropack.simulate.trees import Habit
from neuropack.study.presets import HUGE, number, preset_file, preset_root, shipped_presets
from neuropack.study.records import suggestion, unknown_keys
from neuropack.study.yaml import Node, Problem, StudyError

_SECTIONS: dict[str, Any] = {
    "growth": Habit(),
    "traced": Traced(),
    "tissue": Tissue(),
    "optics": Optics(),
    "mosaic": Mosaic(),
}
_LABELLING = ("sparse_viral", "brainbow")
# Smallest and largest value of a field, where these are not 0 and a billion.
_LIMITS: dict[str, tuple[float, float]] = {
    "shape": (1, 1_000_000),
    "voxel_size_um": (1e-3, 1000),
    "subjects": (1, 999),
    "stacks": (1, 99),
    "neurons": (0, 65535),
    "copies": (0.05, 50),
    "growth.soma_radius_um": (0.1, 100),
    "growth.stems": (0, 50),
    "growth.stem_radius_um": (0.01, 50),
    "growth.axon_radius_um": (0.01, 50),
    "growth.smallest_radius_um": (0.01, 50),
    "growth.dendrite_length_um": (0, 100_000),
    "growth.axon_length_um": (0, 100_000),
    "growth.step_um": (0.1, 50),
    "growth.turn": (0, 2),
    "growth.branches_per_um": (0, 1),
    "growth.branching_decay": (0, 1),
    "growth.taper_per_um": (0, 0.02),
    "growth.bouton_every_um": (0.1, HUGE),
    "traced.scale": (1e-3, 1000),
    "tissue.drift": (0, 2),
    "tissue.drift_um": (0.1, HUGE),
    "tissue.beads": (0, 1),
    "tissue.bead_um": (0.1, HUGE),
    "tissue.debris_radius_um": (0.05, 100),
    "tissue.vessel_radius_um": (0.5, 100),
    "tissue.vessel_shade": (0, 1),
    "optics.numerical_aperture": (0.05, 1.7),
    "optics.axial_ratio": (0.1, 20),
    "optics.peak_photons": (0, 1_000_000),
    "optics.background_photons": (0, 1_000_000),
    "optics.attenuation_um": (1, HUGE),
    "optics.offset_counts": (0, 60_000),
    "optics.counts_per_photon": (1e-3, 60_000),
    "optics.shift_um": (-100, 100),
    "optics.scale": (0.5, 2),
    "optics.mixing": (0, 10),
    "optics.vignetting": (0, 0.99),
    "optics.stripes": (0, 0.99),
    "mosaic.grid": (1, 1000),
    "mosaic.gain": (0, 2),
    "mosaic.vignetting": (0, 0.99),
    "mosaic.seam_um": (0, 100),
}
_RANGES = {  # smallest and largest
    *("growth.soma_radius_um", "growth.stems", "tissue.debris_radius_um", "tissue.debris_brightness"),
    "tissue.vessel_radius_um",
}
_ROWS = {"optics.shift_um": 3, "optics.mixing": 0}  # lists of rows, with so many numbers each; 0: any
_LISTS = ("optics.scale",)
_LASER = {"excitation_nm": (100.0, 20_000.0), "emission_nm": (100.0, 20_000.0)}


class SimulationError(StudyError):
    """Everything that is wrong with a file of the simulator, each with its place."""

    about = "simulation"


def presets() -> dict[str, Path]:
    """The presets that ship with neuropack, by name."""
    return shipped_presets("simulate")


def preset_named(word: str) -> Simulation:
    """A preset by its name.

    Raises:
        UsageError: there is none of this name.
    """
    return load_simulation(preset_file(word, presets()))


def load_simulation(path: Path) -> Simulation:
    """A simulation from a file; what it does not say is as `Simulation` has it.

    Raises:
        SimulationError: with every mistake.
        InputError: the file cannot be read.
    """
    problems: list[Problem] = []
    fix = "see docs/how-to/simulate.md for all fields"
    root = preset_root(path, presets(), "a simulation", fix, SimulationError, problems)
    made = Simulation(path.stem)
    if not isinstance(root.value, dict):
        problems.append(Problem(root.at, "a simulation is a mapping", "keys and values", root.shown()))
    else:
        unknown_keys(root, [one.name for one in fields(Simulation)], "a simulation", problems)
        made = replace(made, **_top(root, made, problems))
    if not problems:
        try:
            made.check()
        except UsageError as error:
            at = (root.get(error.where or "optics") or root).at
            problems.append(Problem(at, error.what, error.expected, error.found, error.fix))
    if problems:
        raise SimulationError(path, problems)
    return made


def _top(root: Node, default: Simulation, problems: list[Problem]) -> dict[str, Any]:
    """The fields that a file says."""
    found: dict[str, Any] = {}
    for key, node in root.items.items():
        if node.value is None:
            continue
        if key in _SECTIONS:
            unknown_keys(node, [one.name for one in fields(_SECTIONS[key])], key, problems)
            inner = {
                name: value
                for name, one in node.items.items()
                if hasattr(_SECTIONS[key], name)
                and (value := _value(f"{key}.{name}", one, getattr(_SECTIONS[key], name), problems)) is not None
            }
            found[key] = replace(_SECTIONS[key], **inner)
        elif key == "fluorophores":
            found[key] = _fluorophores(node, problems)
        elif key == "labelling":
            if node.text not in _LABELLING:
                problems.append(Problem(node.at, "no such labelling", " or ".join(_LABELLING), node.shown()))
            found[key] = node.text
        elif key in ("name", "description"):
            if isinstance(node.value, dict | list) or not node.text.strip():
                problems.append(Problem(node.at, f"{key} is text", "some words", node.shown()))
            found[key] = " ".join(node.text.split())
        elif hasattr(default, key) and (value := _value(key, node, getattr(default, key), problems)) is not None:
            found[key] = value
    return found


def _value(name: str, node: Node, default: Any, problems: list[Problem]) -> Any:
    """A number, or several, of the kind that the default is of; None where it is none, which is noted."""
    if node.value is None:
        return None
    if isinstance(default, bool):
        if isinstance(node.value, bool):
            return node.value
        problems.append(Problem(node.at, f"{name} is true or false", "true or false", node.shown()))
        return None
    if name in _ROWS:
        return _rows(name, node, problems)
    if isinstance(default, tuple):
        count = 0 if name in _LISTS else len(default)
        whole = bool(default) and all(isinstance(v, int) for v in default)
        values = _numbers(name, node, count, problems, whole=whole)
        if values is not None and name in _RANGES and values[0] > values[1]:
            problems.append(Problem(node.at, f"{name} is from smallest to largest", "a smaller number first"))
        return values
    return number(name, node, _LIMITS, problems, whole=isinstance(default, int))


def _numbers(
    name: str, node: Node, count: int, problems: list[Problem], *, whole: bool = False
) -> tuple[Any, ...] | None:
    if not isinstance(node.value, list) or (count and len(node.value) != count):
        expected = f"a list of {count} numbers" if count else "a list of numbers"
        problems.append(Problem(node.at, f"{name} is a list of numbers", expected, node.shown()))
        return None
    values = tuple(number(name, one, _LIMITS, problems, whole=whole) for one in node.entries)
    return None if any(v is None for v in values) else values


def _rows(name: str, node: Node, problems: list[Problem]) -> tuple[Any, ...] | None:
    if not isinstance(node.value, list):
        problems.append(Problem(node.at, f"{name} is a list of rows", "a list of lists of numbers", node.shown()))
        return None
    rows = tuple(_numbers(name, one, _ROWS[name], problems) for one in node.entries)
    return None if any(row is None for row in rows) else rows


def _fluorophores(node: Node, problems: list[Problem]) -> tuple[Fluorophore, ...]:
    known = {f.name: f for f in BRAINBOW}
    if not isinstance(node.value, list) or not node.value:
        expected = f"a list; known are {', '.join(known)}"
        problems.append(Problem(node.at, "fluorophores is a list", expected, node.shown()))
        return ()
    found = []
    for one in node.entries:
        if isinstance(one.value, dict):
            found.append(_fluorophore(one, problems))
        elif one.text in known:
            found.append(known[one.text])
        else:
            fix = suggestion(one.text, known, "or a mapping with name, excitation_nm, emission_nm and color")
            problems.append(Problem(one.at, "is no fluorophore that is known", ", ".join(known), one.shown(), fix))
    return tuple(found)


def _fluorophore(node: Node, problems: list[Problem]) -> Fluorophore:
    names = [one.name for one in fields(Fluorophore)]
    unknown_keys(node, names, "a fluorophore", problems)
    values: dict[str, Any] = {}
    for name in _absent(names, node):
        problems.append(Problem(node.at, f"the fluorophore has no {name}", ", ".join(names)))
    for name, (low, high) in _LASER.items():
        one = node.get(name)
        value = one.value if one is not None else low
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            problems.append(Problem(node.at if one is None else one.at, f"{name} is a wavelength", "100 to 20000"))
            value = low
        values[name] = float(value)
    color = node.get("color")
    text = color.text if color is not None else "FFFFFF"
    if len(text) != 6 or any(c not in "0123456789abcdefABCDEF" for c in text):
        problems.append(
            Problem((color or node).at, "color is six hexadecimal digits", "such as '22DD44'", text[:60])
        )
    name_node = node.get("name")
    called = " ".join(name_node.text.split()) if name_node is not None else ""
    return Fluorophore(called, **values, color=text.upper())


def _absent(names: Iterable[str], node: Node) -> list[str]:
    return [name for name in names if (one := node.get(name)) is None or not one.text.strip() or one.value is None]
