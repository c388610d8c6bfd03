"""``neuropack annotations convert``: skeletons and marks of other programs as neuropack keeps them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from neuropack.cli import common
from neuropack.cli.progress import Watch, progress
from neuropack.errors import UsageError

if TYPE_CHECKING:
    from neuropack.annotations.stated import Stated
    from neuropack.marks import Credit


def convert(
    source: Annotated[
        Path,
        typer.Argument(metavar="SRC", readable=False, help="A file of skeletons or marks, or a folder of it."),
    ],
    out: Annotated[
        Path,
        typer.Argument(
            metavar="DST",
            readable=False,
            help="Skeletons: .swc or .npy, .precomputed for neuroglancer, else a folder of SWC. "
            "Marks: .tsv, .csv, .parquet, .json.",
        ),
    ],
    unit: Annotated[
        Literal["voxel", "nm", "um", "mm"] | None, typer.Option(help="What coordinates of SRC count.")
    ] = None,
    order: Annotated[Literal["xyz", "zyx"] | None, typer.Option(help="The order of coordinates in SRC.")] = None,
    origin: Annotated[
        Literal["corner", "centre"] | None, typer.Option(help="What 0 is: corner or centre of the first voxel.")
    ] = None,
    voxel_size: Annotated[
        str | None, typer.Option(metavar="Z,Y,X", help="Of the image that voxels are counted of, in micrometre.")
    ] = None,
    frame: Annotated[
        str | None, typer.Option(metavar="NAME", help="Frame in which SRC lies, where it does not say so.")
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="What the columns of an array are, of id,type,x,y,z,radius,parent; _ for one that is left out.",
        ),
    ] = None,
    path: Annotated[
        bool, typer.Option("--path", help="In an array without parents, each node hangs on the one above.")
    ] = False,
    repair: Annotated[
        str | None,
        typer.Option(
            metavar="WHAT",
            help="Of SWC, with commas between: rows, ids=drop|renumber, parents=root|drop, cycles, "
            "roots=join|largest, order.",
        ),
    ] = None,
    kind: Annotated[
        Literal["boxes", "points", "classes"] | None,
        typer.Option(help="Which marks, where SRC holds several kinds."),
    ] = None,
    ends: Annotated[
        Literal["half-open", "inclusive"] | None,
        typer.Option(help="Whether the last voxel of a box is behind it or in it."),
    ] = None,
    annotator: Annotated[str | None, typer.Option(metavar="NAME", help="Who made the marks.")] = None,
    provenance: Annotated[
        Literal["manual", "model", "corrected", "simulated"] | None, typer.Option(help="How marks were made.")
    ] = None,
    guideline: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Version of the guideline that annotators followed.")
    ] = None,
    confidence: Annotated[
        float | None, typer.Option(min=0, max=1, metavar="0..1", help="How sure the annotator was.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace DST.")] = False,
    show: Watch = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print what was done as JSON.")] = False,
) -> int:
    """Convert skeletons (SWC, NPY, NPZ, MouseLight, neuroglancer), or boxes, points and classes.

    What a file leaves open of its coordinates has to be stated: nothing is guessed, nothing is repaired unasked.
    """
    size = common.voxel_size(voxel_size)
    if source.exists() and source.resolve() == out.resolve():
        raise UsageError("the destination is the source itself", file=out, fix="name another destination")
    from neuropack.annotations.mark_files import SUFFIXES
    from neuropack.annotations.stated import Stated
    from neuropack.marks import Credit

    stated = Stated(unit, order, origin, size, frame)
    credit = Credit(annotator, provenance, guideline, confidence)
    if out.suffix.lower() in SUFFIXES:
        _refuse(source, "of skeletons", {"--columns": columns, "--path": path, "--repair": repair})
        record = _marks(source, out, stated, credit, kind=kind, ends=ends, overwrite=overwrite)
    else:
        given = {"--annotator": annotator, "--provenance": provenance, "--guideline": guideline}
        _refuse(source, "of marks", {**given, "--confidence": confidence, "--kind": kind, "--ends": ends})
        from neuropack.annotations import read_skeletons
        from neuropack.cli.annotations_written import may_write, summary, write

        way = may_write(source, out, overwrite=overwrite)
        changes: list[str] = []
        with progress(show) as tell:
            if tell is not None:
                tell("reading", 0, 0)
            neurons = read_skeletons(
                source,
                stated,
                repair=repair,
                columns=None if columns is None else [word.strip() for word in columns.split(",")],
                path_order=path,
                told=changes.append,
            )
            files, notes = write(way, source, out, neurons, overwrite=overwrite, tell=tell)
        record = summary(source, out, way, neurons, files) | {"changes": changes, "notes": notes}
    typer.echo(json.dumps(record, indent=2, ensure_ascii=False) if as_json else _to_text(record))
    return 0


def _marks(
    source: Path,
    out: Path,
    stated: Stated,
    credit: Credit,
    *,
    kind: Literal["boxes", "points", "classes"] | None,
    ends: Literal["half-open", "inclusive"] | None,
    overwrite: bool,
) -> dict[str, Any]:
    from neuropack.annotations.convert_marks import convert_marks

    common.free(out, overwrite=overwrite)
    told = convert_marks(source, out, stated, credit, kind=kind, ends=ends, overwrite=overwrite)
    return {"source": str(source), "destination": str(out), "kind": "marks", "what": told[0], "notes": told[1:]}


def _refuse(source: Path, of: str, options: dict[str, object]) -> None:
    """See that no option was given that means nothing for what is written.

    Raises:
        UsageError: one was.
    """
    given = [name for name, value in options.items() if value not in (None, False)]
    if given:
        raise UsageError(
            f"{given[0]} is an option {of}, which DST is no file for",
            file=source,
            found=", ".join(given),
            fix="leave it out, or name another destination",
        )


def _to_text(record: dict[str, Any]) -> str:
    lines = [f"{record['destination']}: {record['what']}"]
    lines += [f"  repaired: {change}" for change in record.get("changes", ())]
    return "\n".join(lines + [f"  note: {note}" for note in record["notes"]])
