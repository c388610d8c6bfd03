"""Tables: what each column means is said beside it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from neuropack.rules import Finding, ReleaseFiles, rule
from neuropack.rules.values import hint

# what BIDS defines itself, by the name of the table
DEFINED = {
    "participants": {"participant_id", "species", "age", "sex", "handedness", "strain", "strain_rrid"},
    "samples": {"sample_id", "participant_id", "sample_type", "pathology", "derived_from"},
}
DESCRIBE = "describe the column in the JSON file beside the table, or build the release again"


@rule(id="tables.described", level="warning", reads="text", gives_way=True)
def described(release: ReleaseFiles) -> Iterator[Finding]:
    """Every column of participants.tsv and samples.tsv that BIDS does not define is described in its JSON sidecar.

    A column that only its maker understands is lost to everybody else.

    Describe the column in the JSON file beside the table, or build the release again.
    """
    for name in release.named(r"(?:derivatives/[^/]+/)?(?:participants|samples)\.tsv"):
        table, sidecar = release.table(name), name.removesuffix(".tsv") + ".json"
        described = release.json(sidecar)
        if table is None or sidecar in release.problems or (described and not isinstance(described.data, dict)):
            continue
        known = described.data if described is not None else {}
        kind = PurePosixPath(name).stem
        missing = [c for c in table.columns if c not in known and c not in DEFINED[kind]]
        if missing:
            found = f"no {', no '.join(missing)}" + ("" if described else f"; there is no {sidecar}")
            yield Finding(table.where(-1), f"a description of every column in {sidecar}", found, DESCRIBE)


@rule(id="tables.columns", level="warning", reads="text", gives_way=True)
def columns(release: ReleaseFiles) -> Iterator[Finding]:
    """Every column that the JSON sidecar of a table describes is in the table.

    The column was lost or renamed, and whoever looks for it by the description finds nothing.

    Restore the column, or take its description out of the JSON file.
    """
    for name in release.files:
        sidecar = name.removesuffix(".tsv") + ".json"
        if not name.endswith(".tsv") or sidecar not in release.files:
            continue
        table, file = release.table(name), release.json(sidecar)
        if table is None or file is None or not isinstance(file.data, dict):
            continue
        for key, value in file.data.items():
            if key not in table.columns and isinstance(value, dict) and "Description" in value:
                found = f"no such column{hint(key, table.columns)}"
                yield Finding(table.where(-1), f"a column {key!r}, as {file.where(key)} says", found, DESCRIBE)
