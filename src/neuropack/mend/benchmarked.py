"""Scores of a benchmark put into the release that it was made on, with all that states digests, at once."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from neuropack.amend import commit, finish
from neuropack.benchmark.scoring import MEASURES
from neuropack.build import bids
from neuropack.build.place import MARKER
from neuropack.errors import UsageError
from neuropack.evaluate.traces import ERRORS
from neuropack.manifest import MANIFEST
from neuropack.mend.released import Released
from neuropack.mend.standing import alone
from neuropack.release import METADATA, SCORES, open_release
from neuropack.table import tsv_text

COLUMNS: Final = {
    "task": "What the methods did: foreground, instances, somata, tracing or classification",
    "method": "The method",
    "measure": "The score, as docs/reference/scores.md of neuropack defines it; or a number of errors",
    "value": "Its mean over the images of the test split (of classification, over all neurons); of errors the sum",
    "low": "Lower end of the 95 % interval of the mean, by the bootstrap over images; n/a with fewer than three",
    "high": "Upper end of it",
    "images": "Images of the test split; of classification, animals",
    "without": "Images of these on which the score has no value; they are not in the mean",
    "settings": "Settings of the method, as JSON",
    "tried": "How many settings were tried on the validation split",
    "tolerance_um": "How far apart two traces or somata may lie, micrometre",
    "seconds": "Time on the wall, all images together",
    "cpu_seconds": "Time of all processors",
    "memory_bytes": "The most memory that the process of the method held",
    "seed": "Of the bootstrap, and handed to the method",
    "data_digest": "SHA-256 of the manifest of the release before scores were put into it",
    "processor": "That it ran on",
    "software": "Program and version that ran and scored the methods",
    "date": "When it was made",
}
"""What each column of the table says."""


def put_scores(root: Path, rows: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Put the scores of methods into a release; earlier ones of the same task and method go.

    Args:
        root: the release.
        rows: of a benchmark; those of other data are left out.

    Returns:
        the files that were written, by path in the release.

    Raises:
        UsageError: it is no release, its version is published, or a build was interrupted there.
        InputError: the release is not what its manifest lists.
        OutputError: another run is at work there, or it cannot be written.
    """
    see_release(root)
    with open_release(root) as release:
        stacks, about = list(release.stacks), release.metadata.get("dataset", {})
    name = " ".join(str(about[key]) for key in ("id", "version") if about.get(key)) or root.name
    with alone(root):
        finish(root)
        if (root / MARKER).exists():
            raise UsageError("a build was interrupted here", file=root, fix="complete it: build the study again")
        released = Released(root, stacks[0])
        new = [line for row in rows if row["data"] == name for line in _lines(row)]
        made = {(line["task"], line["method"]) for line in new}
        kept = [line for line in released.rows(SCORES) if (line["task"], line["method"]) not in made]
        _derivative(released)
        text = tsv_text(list(COLUMNS), [*kept, *new])
        released.put(SCORES, text.encode())
        said = {column: {"Description": what} for column, what in COLUMNS.items()}
        released.put(SCORES.removesuffix(".tsv") + ".json", bids.json_text(said).encode())
        released.put_descriptions()
        released.entries.pop(MANIFEST, None)
        commit(root, released.files, released.entries)
    return tuple(released.files)


def see_release(root: Path) -> None:
    """See that scores can be put there.

    Raises:
        UsageError: it is no release.
    """
    if not (root / METADATA).is_file():
        raise UsageError(
            "--into-release is for releases", file=root, expected=f"a folder with {METADATA}", fix="leave it out"
        )


def _derivative(released: Released) -> None:
    """The texts of the derivative, as a build of this version writes them."""
    names = [f"{name}.{kind}" for name in ("participants", "samples") for kind in ("tsv", "json")]
    people = {name: released.read(name).decode() for name in names}
    for path, text in bids.derivative_texts_of(released.document["dataset"], "benchmark", people).items():
        if not released.has(path) or released.read(path) != text.encode():
            released.put(path, text.encode())


def _lines(row: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """A line for each measure of a result."""
    for measure in (*MEASURES[row["task"]], *(name for name in ERRORS if name in row)):
        span = (row["interval"] or {}).get(measure) or (None, None)
        yield {
            "task": row["task"],
            "method": row["method"],
            "measure": measure,
            "value": _rounded(row.get(measure)),
            "low": _rounded(span[0]),
            "high": _rounded(span[1]),
            "images": row["images"],
            "without": row["without"].get(measure, 0),
            "settings": json.dumps(row["settings"], sort_keys=True),
            "tried": row["settings_tried"],
            "tolerance_um": row.get("tolerance_um"),
            "seconds": row["seconds"],
            "cpu_seconds": row["cpu_seconds"],
            "memory_bytes": row["memory_bytes"],
            "seed": row["seed"],
            "data_digest": row["data_digest"],
            "processor": row["machine"]["processor"],
            "software": row["software"],
            "date": row["machine"]["date"],
        }


def _rounded(value: Any) -> Any:
    return round(value, 6) if isinstance(value, float) else value
