"""The results of a benchmark for people: a table in Markdown, and a page with pictures."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from neuropack.benchmark import folder as folders
from neuropack.benchmark.measured import words

Row = Mapping[str, Any]
SHOWN: Final[dict[str, tuple[str, ...]]] = {
    "foreground": ("f1", "iou", "precision", "recall", "accuracy", "prevalence", "cldice"),
    "instances": ("f1", "av_f1", "coverage", "fisbe_s", "pq", "voi_split", "voi_merge", "rand_error"),
    "somata": ("f1", "precision", "recall"),
    "tracing": (
        *("f1", "precision", "recall", "erl_um", "erl_fraction"),
        *("splits", "merges", "missing", "spurious", "unfound"),
    ),
    "classification": ("accuracy", "largest_class", "f1", "precision", "recall", "kappa"),
}
"""The columns of the tables; all scores are in ``results.json``."""


def write_told(folder: Path, task: str, rows: Sequence[Row]) -> None:
    """Write ``results.json``, ``results.md`` and ``results.html``."""
    folders.write_json(folder / folders.RESULTS, list(rows))
    folders.write_text(folder / "results.md", markdown(task, rows))
    folders.write_text(folder / "results.html", page(task, rows, folder))


def table(task: str, rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """Head and cells of the table of one set of data: means, and their intervals."""
    head = ["method", *SHOWN[task], "time", "memory", "settings"]
    return head, [[row["method"], *(_cell(row, name) for name in SHOWN[task]), *_cost(row)] for row in rows]


def _cell(row: Row, name: str) -> str:
    value = row.get(name)
    if value is None:
        return "-"
    text = str(value) if isinstance(value, int) else f"{value:.1f}" if name.endswith("_um") else f"{value:.3f}"
    span = (row.get("interval") or {}).get(name)
    digits = 1 if name.endswith("_um") else 3
    text += f" ({span[0]:.{digits}f} to {span[1]:.{digits}f})" if span else ""
    left_out = (row.get("without") or {}).get(name)
    return text + (f" *{left_out} without" if left_out else "")


def _cost(row: Row) -> list[str]:
    seconds, memory = row.get("seconds"), row.get("memory_bytes")
    settings = ", ".join(f"{key} {value}" for key, value in (row.get("settings") or {}).items())
    tried = row.get("settings_tried", 1)
    told = f"best of {tried}" if tried > 1 else ""
    return [
        "-" if seconds is None else f"{seconds:.2f} s",
        "-" if memory is None else f"{memory / 2**20:.0f} MiB",
        "; ".join(part for part in (settings, told) if part) or "-",
    ]


def by_data(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """The results of each set of data."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row["data"], []).append(row)
    return found


def _beneath(rows: Sequence[Row]) -> str:
    row = rows[0]
    if row["task"] == "classification":
        lines = (
            f"Over all neurons of {row['images']} animals, each predicted from the others; in brackets the 95 % "
        )
        lines += "interval of the bootstrap over animals."
    else:
        lines = f"Means over {row['images']} test images; in brackets 95 % intervals of the bootstrap over them."
        if any(one["settings_tried"] > 1 for one in rows):
            lines += f" Settings are chosen by {row['chosen_by']} on the validation split."
    return f"{lines} Seed {row['seed']}. {row['software']}. {words(row['machine'])}"


def markdown(task: str, rows: Sequence[Row]) -> str:
    """The tables, for a page of a manual."""
    lines = [f"# Benchmark: {task}", ""]
    for data, some in by_data(rows).items():
        head, cells = table(task, some)
        lines += [f"## {_plain(data)}", ""]
        lines += [
            f"| {' | '.join(_plain(cell) for cell in line)} |" for line in (head, ["---"] * len(head), *cells)
        ]
        lines += ["", _beneath(some), ""]
        lines += [f"- {_plain(row['method'])}: {_plain(note)}" for row in some for note in row["notes"]]
        lines += [""] if lines[-1] else []
    return "\n".join(lines).rstrip() + "\n"


def _plain(text: str) -> str:
    """As a cell of a Markdown table holds it."""
    return " ".join(str(text).split()).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")


def page(task: str, rows: Sequence[Row], folder: Path) -> str:
    """A page that needs nothing beside it: tables, and pictures of the typical and the worst image."""
    import jinja2

    from neuropack import resources

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(resources.folder("templates") / "benchmark"),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    sets = []
    for data, some in by_data(rows).items():
        head, cells = table(task, some)
        shown = [
            {
                "method": row["method"],
                "what": what,
                "image": one["image"],
                "measure": row["chosen_by"],
                "score": _cell(one, row["chosen_by"]),
                "png": base64.b64encode((folder / one["file"]).read_bytes()).decode("ascii"),
            }
            for row in some
            for what, one in row["pictures"].items()
        ]
        notes = [f"{row['method']}: {note}" for row in some for note in row["notes"]]
        sets.append(
            {
                "name": data,
                "head": head,
                "cells": cells,
                "beneath": _beneath(some),
                "pictures": shown,
                "notes": notes,
            }
        )
    return environment.get_template("results.html.j2").render(task=task, sets=sets)
