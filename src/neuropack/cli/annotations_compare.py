"""``neuropack annotations compare``: how well annotators agree on the same objects."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from neuropack.cli import common
from neuropack.cli.progress import Watch, progress
from neuropack.errors import UsageError

if TYPE_CHECKING:
    from neuropack.evaluate.compared import Compared
    from neuropack.progress import Progress

Kind = Literal["skeletons", "labels", "marks"]


def compare(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="A B...",
            readable=False,
            help="Of each annotator: skeletons (file or folder), a label image, or a table of marks.",
        ),
    ],
    tolerance: Annotated[
        float, typer.Option(metavar="UM", help="How far apart two traces, or two points, may lie.")
    ] = 2.0,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE.tsv", readable=False, help="Write every comparison as a table.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace FILE.tsv.")] = False,
    show: Watch = "auto",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print every comparison, and their sums, as JSON.")
    ] = False,
) -> int:
    """Compare what annotators made of the same objects: masks by voxels, traces by length, classes by kappa.

    Neurons are matched by their names (two single skeletons are one neuron), labels by their values, classes by
    their objects.
    """
    if len(files) < 2:
        raise UsageError("there is nothing to compare with", expected="two files or more", found=str(len(files)))
    if len({path.resolve() for path in files}) < len(files):
        raise UsageError("is named twice", file=next(p for p in files if files.count(p) > 1), fix="name it once")
    if not 0 < tolerance < float("inf"):
        raise UsageError(
            "--tolerance is no length", expected="a positive number of micrometre", found=f"{tolerance}"
        )
    if out is not None:
        common.free(out, overwrite=overwrite)
    kinds = {path: _kind(path) for path in files}
    if len(set(kinds.values())) > 1:
        found = ", ".join(f"{path.name}: {kind}" for path, kind in kinds.items())
        raise UsageError("are of different kinds", file=files[0], expected="one kind of annotation", found=found)
    with progress(show) as tell:
        rows = _compared(files, kinds[files[0]], tolerance, tell)
    from neuropack.evaluate.compared import COLUMNS, summed_up, told
    from neuropack.table import tsv_text
    from neuropack.whole import published

    if not rows:
        raise UsageError(
            "have no object in common", file=files[0], found=", ".join(str(path) for path in files[1:])
        )
    if out is not None:
        with published(out, overwrite=overwrite) as partial:
            partial.write_text(tsv_text(COLUMNS, (one.row() for one in rows)), encoding="utf-8", newline="\n")
    sums = summed_up(rows)
    if as_json:
        record = {
            "tolerance_um": tolerance,
            "compared": [one.row() for one in rows],
            "sums": [asdict(one) for one in sums],
        }
        typer.echo(json.dumps(record, indent=2, ensure_ascii=False))
    else:
        typer.echo("\n".join(told(sums)))
        for one in rows:
            if one.score.value is None:
                typer.echo(f"  {one.object or 'all'}: {one.score.measure}: no value: {one.score.note}")
    return 0


def _kind(path: Path) -> Kind:
    from neuropack.annotations import holds_skeletons
    from neuropack.annotations.mark_files import holds_marks

    if holds_skeletons(path):
        return "skeletons"
    return "marks" if path.is_file() and holds_marks(path) else "labels"


def _names(files: Sequence[Path]) -> list[str]:
    """A name for each annotator: of the file, or with its folder where two are alike."""
    plain = [path.name for path in files]
    return plain if len(set(plain)) == len(plain) else [str(path) for path in files]


def _compared(files: Sequence[Path], kind: Kind, tolerance: float, tell: Progress | None) -> list[Compared]:
    from neuropack.evaluate import compared

    names = _names(files)
    if kind == "skeletons":
        from neuropack.annotations import read_skeletons

        traced = [read_skeletons(path) for path in files]
        if all(len(found) == 1 for found in traced):  # a neuron each: it is the same one, whatever they call it
            traced = [{"": next(iter(found.values()))} for found in traced]
        return list(compared.compare_traces(dict(zip(names, traced, strict=True)), tolerance))
    if kind == "marks":
        return _marks(files, names, tolerance)
    from neuropack.readers import open_volume

    with ExitStack() as opened:
        images = {name: opened.enter_context(open_volume(path)) for name, path in zip(names, files, strict=True)}
        for image in images.values():
            if image.dtype.kind not in "iub":
                raise UsageError(
                    "is no label image", file=image.path, expected="whole numbers", found=image.dtype.name
                )
        return list(compared.compare_labels(images, tell))


def _marks(files: Sequence[Path], names: Sequence[str], tolerance: float) -> list[Compared]:
    import numpy as np

    from neuropack.annotations.mark_files import read_marks
    from neuropack.annotations.stated import Stated
    from neuropack.evaluate import compared
    from neuropack.marks import Credit

    read = [read_marks(path, None, Stated(), Credit(path.name, "manual")) for path in files]
    kinds = {kind for _, kind, _ in read}
    if len(kinds) > 1:
        raise UsageError("are of different kinds", file=files[0], found=", ".join(sorted(kinds)))
    tables = [table for table, _, _ in read]
    if kinds == {"classes"}:
        said: list[Mapping[Hashable, str]] = [
            dict(
                zip(
                    zip(*(t.column(c).to_pylist() for c in ("object_kind", "object_id")), strict=True),
                    t.column("class").to_pylist(),
                    strict=True,
                )
            )
            for t in tables
        ]
        return list(compared.compare_classes(dict(zip(names, said, strict=True))))
    boxes = kinds == {"boxes"}
    columns = ("z0", "y0", "x0", "z1", "y1", "x1") if boxes else ("x_um", "y_um", "z_um")
    arrays = [np.column_stack([t.column(c).to_numpy().astype(np.float64) for c in columns]) for t in tables]
    marked = dict(zip(names, arrays, strict=True))
    return list(compared.compare_boxes(marked) if boxes else compared.compare_points(marked, tolerance))
