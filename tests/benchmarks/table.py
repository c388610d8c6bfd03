"""The results as Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from goals import GOALS, NotMeasuredError, Results, Section
from machine import words

ABOUT = {
    "engine": "The floor, and neuropack to each format and to both in one pass.",
    "peers": "neuropack beside other writers.",
    "workers": "Two workers against the threads of one process, on two cores.",
    "sources": "The same pixels from other files, to OME-Zarr.",
    "flat": "Stacks of more and more planes, to OME-Zarr.",
    "small": "A small stack from the shell, a new process each time.",
    "space": "Points through an affine and a displacement field, and regions and distances of points, on one core.",
    "shapes": "All features of one neuron's shape, on one core; its points are samples.",
    "trace": "Paths between two points of a simulated filament, on one core; its points are voxels of a path.",
    "validate": "A release of the stack as OME-Zarr and NWB, checked to the last byte; no start of Python.",
    "segment": "Tubeness of a block on one core, and the objects of large stacks; its points are voxels.",
}
_FULL = 2_000_000_000  # bytes; the goals are about stacks of this size, but for `small`
_COLUMNS = (
    "what",
    "seconds",
    "lowest to highest",
    "MB/s",
    "peak MiB",
    "output MB",
    "output per byte of pixels",
    "seconds per byte",
    "wrote",
)


_POINT_COLUMNS = ("what", "seconds", "lowest to highest", "points", "million points/s", "seconds per point")


def render(results: Results) -> str:
    """The goals of the sections that are there, then a table for each of them, then the versions."""
    there = [name for name in ABOUT if name in results]
    parts = ["# Results", _goals(results), *(_section(name, results[name]) for name in there), _versions(results)]
    return "\n\n".join(parts) + "\n"


def _goals(results: Results) -> str:
    lines = _head(("goal", "wanted", "measured", "verdict"))
    for goal in GOALS:
        if goal.section in results:
            value = goal.measured(results)
            wanted = f"at {'most' if goal.at_most else 'least'} {goal.limit:g}"
            shown = "" if value is None else f"{value:.2f}"
            lines.append(_line(goal.words, wanted, shown, goal.verdict(results)))
    small = [name for name, record in results.items() if name != "small" and 0 < record["bytes"] < _FULL]
    if small:
        lines += ["", f"The goals are about a stack of 2 GB; of a smaller one are: {', '.join(sorted(small))}."]
    return "\n".join(lines)


def _section(name: str, record: Mapping[str, Any]) -> str:
    section = Section(record)
    shape, of_points = ", ".join(map(str, record["shape"])), not record["bytes"]
    stack = f"Simulated stack C, Z, Y, X = {shape}, uint16, {record['bytes'] / 1e9:.3g} GB; medians"
    about = (
        f"{ABOUT[name]} {'Medians' if of_points else stack} of {record['runs']} run(s). {words(record['machine'])}"
    )
    columns, line = (_POINT_COLUMNS, _point_row) if of_points else (_COLUMNS, _row)
    if of_points and any(row["peak_mib"] for row in record["rows"]):
        columns, line = (*_POINT_COLUMNS, "peak MiB"), _point_row_with_peak
    lines = [*_head(columns), *(line(section, row) for row in record["rows"])]
    notes = [f"- {row['name']}: {row['note']}." for row in record["rows"] if row["note"]]
    return "\n\n".join([f"## {name}", about, "\n".join(lines), *(["\n".join(notes)] if notes else [])])


def _row(section: Section, row: Mapping[str, Any]) -> str:
    if not row["seconds"]:
        return _line(row["name"], row["absent"] or "not measured", *[""] * (len(_COLUMNS) - 2))
    key, decoded, written = row["key"], row["decoded_bytes"], row["output_bytes"]
    seconds = section.seconds(key)
    return _line(
        row["name"],
        f"{seconds:.2f}",
        f"{min(row['seconds']):.2f} to {max(row['seconds']):.2f}",
        f"{decoded / seconds / 1e6:.0f}" if decoded else "",
        f"{section.peak_mib(key):.0f}" if row["peak_mib"] else "",
        f"{written / 1e6:.1f}" if written else "",
        f"{written / decoded:.3f}" if written and decoded else "",
        _ratio(section, row),
        _wrote(row["found"]),
    )


def _point_row(section: Section, row: Mapping[str, Any]) -> str:
    if not row["seconds"]:
        return _line(row["name"], row["absent"] or "not measured", *[""] * (len(_POINT_COLUMNS) - 2))
    return _line(
        row["name"],
        f"{section.seconds(row['key']):.3f}",
        f"{min(row['seconds']):.3f} to {max(row['seconds']):.3f}",
        f"{row['points']:,}",
        f"{section.millions(row['key']):.2f}",
        _ratio(section, row),
    )


def _point_row_with_peak(section: Section, row: Mapping[str, Any]) -> str:
    peak = f"{section.peak_mib(row['key']):.0f}" if row["peak_mib"] else ""
    return f"{_point_row(section, row)} {peak} |"


def _ratio(section: Section, row: Mapping[str, Any]) -> str:
    others = row["against"]
    try:
        times = section.times(row["key"], *others) if others else None
    except NotMeasuredError:
        return ""
    if times is None:
        return ""
    return f"{times:.2f} times {section.row(others[0])['name'] if len(others) == 1 else 'the dearer one'}"


def _wrote(found: Mapping[str, Any]) -> str:
    if not found:
        return ""
    levels = len(found["levels"])
    cut = f"chunks {_by(found['chunk'])}" + (f" in shards {_by(found['shard'])}" if found["shard"] else "")
    return f"{levels} level{'s' if levels > 1 else ''}, {found['codec']}, {cut}"


def _by(lengths: list[int]) -> str:
    return " x ".join(map(str, lengths))


def _versions(results: Results) -> str:
    """Of all sections together, or of each where they were measured with others."""
    said: dict[str, list[str]] = {}
    for name, record in results.items():
        libraries = record["machine"]["libraries"]
        said.setdefault(", ".join(f"{k} {v}" for k, v in libraries.items()), []).append(name)
    lines = [text if len(said) == 1 else f"{', '.join(names)}: {text}" for text, names in said.items()]
    return "## Versions\n\n" + "\n\n".join(f"{line}." for line in lines)


def _head(columns: tuple[str, ...]) -> list[str]:
    return [_line(*columns), "|" + "---|" * len(columns)]


def _line(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"
