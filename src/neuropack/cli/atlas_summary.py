"""``neuropack atlas summary``: what of the neurons of a release lies in which region, as tables and figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from neuropack.cli.progress import Watch, progress

if TYPE_CHECKING:
    from neuropack.page.atlas import Done

_SHOWN = 12  # regions that the text lists


def summary(
    release: Annotated[Path, typer.Argument(metavar="RELEASE", readable=False, help="The folder of a release.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the summary.")] = Path("atlas-summary"),
    level: Annotated[
        str | None,
        typer.Option(
            metavar="LEVEL",
            help="summary, annotation, a depth of the tree, or acronyms with commas (default: summary).",
        ),
    ] = None,
    annotation: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH", readable=False, help="The annotation (default: the release's, else what was fetched)."
        ),
    ] = None,
    structures: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", readable=False, help="The tree of structures, where the default does not fit."
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace another summary.")] = False,
    show: Watch = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Summarise the neurons of a release by brain region: tables, figures, and a page with both.

    Ends with status 1 where the tables of the release contradict each other.
    """
    from neuropack.page.atlas import write_summary

    with progress(show) as tell:
        done = write_summary(
            release,
            out,
            level=level,
            annotation=annotation,
            structures=structures,
            overwrite=overwrite,
            progress=tell,
        )
    if as_json:
        typer.echo(json.dumps({"out": str(done.out), **done.document}, indent=2, ensure_ascii=False))
    else:
        typer.echo(_text(done))
    return 1 if done.document["findings"] else 0


def _text(done: Done) -> str:
    document = done.document
    atlas, totals = document["atlas"], document["totals"]
    word = "" if done.fresh else ", there already and up to date"
    lines = [
        f"{done.out}: {len(document['files'])} files{word}",
        f"  neurons    {totals['n_neurons']}",
        f"  axon       {totals['axon_length_um'] / 1000:.1f} mm",
        f"  dendrite   {totals['dendrite_length_um'] / 1000:.1f} mm",
        f"  atlas      {atlas['name'] or '?'}, annotation {atlas['annotation_version'] or '?'}",
        f"  level      {document['level']}",
    ]
    lengths: dict[str, float] = {}
    for row in document["regions"]:
        length = row["axon_length_um"] + row["dendrite_length_um"] + row["other_length_um"]
        lengths[row["region"]] = lengths.get(row["region"], 0.0) + length
    most = sorted((name for name, length in lengths.items() if length), key=lambda name: -lengths[name])
    width = max((len(name) for name in most[:_SHOWN]), default=0)
    lines += [f"  {name:<{width}}  {lengths[name] / 1000:10.3f} mm" for name in most[:_SHOWN]]
    if len(most) > _SHOWN:
        lines.append(f"  and {len(most) - _SHOWN} more regions")
    lines += [f"  note: {note}" for note in document["notes"]]
    lines += [f"  finding: {finding}" for finding in document["findings"]]
    return "\n".join(lines)
