"""The results as Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from goals import GOALS, NotMeasuredError, Results, Section
from machine import words

ABOUT = {
    "engine": "The floor, and neuropack to each format and to both in one pass.",
    "peers": "neuropack beside other writers. Seconds and sizes are compared per decoded byte of level 0.",
    "workers": "Two workers against the threads of one process, on two cores.",
    "sources": "The same pixels from other files, to OME-Zarr.",
    "flat": "Stacks of more and more planes, to OME-Zarr.",
    "small": "A small stack from the shell, a new process each time.",
}


def render(results: Results) -> str:
    """The goals of the sections that are there, then a table for each of them."""
    parts = ["# Results", _goals(results)]
    parts += [_section(name, results[name]) for name in ABOUT if name in results]
    return "\n\n".join(parts) + "\n"


def _goals(results: Results) -> str:
    lines = ["| goal | wanted | measured | verdict |", "|---|---|---|---|"]
    for goal in GOALS:
        if goal.section in results:
            value = goal.measured(results)
            wanted = f"at {'most' if goal.at_most else 'least'} {goal.limit:g}"
            shown = "" if value is None else f"{value:.2f}"
            lines.append(f"| {goal.words} | {wanted} | {shown} | {goal.verdict(results)} |")
    return "\n".join(lines)


def _section(name: str, record: Mapping[str, Any]) -> str:
    section = Section(record)
    shape = ", ".join(map(str, record["shape"]))
    about = (
        f"{ABOUT[name]} Simulated stack C, Z, Y, X = {shape}, uint16, {record['bytes'] / 1e9:.3g} GB; medians of "
        f"{record['runs']} run(s). {words(record['machine'])}"
    )
    lines = [
        "| what | seconds | lowest to highest | MB/s | peak MiB | output MB | output/pixels | ratio | wrote |",
        "|---|---|---|---|---|---|---|---|---|",
        *(_row(section, row) for row in record["rows"]),
    ]
    notes = [f"- {row['name']}: {row['note']}" for row in record["rows"] if row["note"]]
    return "\n\n".join([f"## {name}", about, "\n".join(lines), *(["\n".join(notes)] if notes else [])])


def _row(section: Section, row: Mapping[str, Any]) -> str:
    if row["absent"]:
        return f"| {row['name']} | {row['absent']} |" + " |" * 7
    key, decoded, written = row["key"], row["decoded_bytes"], row["output_bytes"]
    seconds = section.seconds(key)
    cells = [
        row["name"],
        f"{seconds:.2f}",
        f"{min(row['seconds']):.2f} to {max(row['seconds']):.2f}",
        f"{decoded / seconds / 1e6:.0f}" if decoded else "",
        f"{section.peak_mib(key):.0f}",
        f"{written / 1e6:.1f}" if written else "",
        f"{written / decoded:.3f}" if written and decoded else "",
        _ratio(section, row),
        _wrote(row["found"]),
    ]
    return "| " + " | ".join(cells) + " |"


def _ratio(section: Section, row: Mapping[str, Any]) -> str:
    others = row["against"]
    try:
        times = section.times(row["key"], *others) if others else None
    except NotMeasuredError:
        times = None
    if times is None:
        return ""
    return f"{times:.2f} times {others[0] if len(others) == 1 else 'the dearer'}"


def _wrote(found: Mapping[str, Any]) -> str:
    if not found:
        return ""
    levels = len(found["levels"])
    cut = f"chunks {_by(found['chunk'])}" + (f" in shards {_by(found['shard'])}" if found["shard"] else "")
    return f"{levels} level{'s' if levels > 1 else ''}, {found['codec']}, {cut}"


def _by(lengths: list[int]) -> str:
    return " x ".join(map(str, lengths))
