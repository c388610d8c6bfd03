"""``neuropack features``: the shape of neurons in numbers and figures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neuropack.cli import common
from neuropack.cli.progress import Watch, progress
from neuropack.errors import InputError, NeuropackError, UsageError

if TYPE_CHECKING:
    from neuropack.morphology.table import Neuron, Shape
    from neuropack.progress import Progress

_SUFFIXES = (".csv", ".tsv", ".parquet", ".json")
_MUCH = 8 << 20  # bytes of SWC, a second or so: worth the start of more processes
_SHOWN = 40  # neurons that the text lists
_COLUMNS = {  # of the text, each with its heading
    "n_stems": "stems",
    "n_tips": "tips",
    "total_length_um": "length um",
    "axon_length_um": "axon um",
    "dendrite_length_um": "dendrite um",
    "max_path_distance_um": "path um",
    "max_branch_order": "order",
}


def features(
    sources: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE|DIR", readable=False, help="SWC files, folders of them, or folders of releases."
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array with an object per neuron.")] = False,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", readable=False, help="Write all features: .csv, .tsv, .parquet or .json."),
    ] = None,
    plots: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            readable=False,
            help="Write figures of Sholl profiles and persistence, and their numbers.",
        ),
    ] = None,
    sholl_step: Annotated[
        float, typer.Option(metavar="UM", help="Distance of the spheres of Sholl analysis.")
    ] = 10.0,
    workers: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Measure in N processes (default: one a core, where there is much)."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
    show: Watch = "auto",
) -> int:
    """Measure the shape of neurons: lengths, branches, angles, Sholl, hull, persistence.

    Ends with status 3 where a file cannot be read, after all others are measured and written.
    """
    _outputs_are_free(out, plots, overwrite=overwrite)
    _releases_stay(sources, out, plots)
    neurons = neurons_of(sources)
    from neuropack.morphology.table import Shape, measure

    with progress(show) as tell:
        found = measure(neurons, workers=workers or _cores(neurons), sholl_step_um=sholl_step, progress=tell)
        shapes = [one for one in found if isinstance(one, Shape)]
        if out is not None and shapes:
            _write(out, shapes, overwrite=overwrite)
        if plots is not None and shapes:
            _draw(plots, shapes, tell)
    if as_json:
        typer.echo(json.dumps([shape.record() for shape in shapes], indent=2, ensure_ascii=False))
    elif shapes:
        typer.echo(_text(shapes))
        if out is not None:
            typer.echo(f"{out}: {len(shapes)} neuron(s), {len(shapes[0].features)} features")
        if plots is not None:
            typer.echo(f"{plots}: figures of {len(shapes)} neuron(s)")
    return _tell_of([one for one in found if isinstance(one, NeuropackError)], len(neurons))


def neurons_of(sources: Sequence[Path]) -> list[Neuron]:
    """The neurons of files and folders, each once: those of a release by their names, else by those of files.

    Raises:
        InputError: a folder holds no SWC file, or a release no neuron.
    """
    from neuropack.morphology.table import Neuron
    from neuropack.release import METADATA

    found: dict[Path, Neuron] = {}
    for source in sources:
        if (source / METADATA).is_file():
            neurons = _of_release(source)
        elif source.is_dir():
            files = sorted(path for path in source.rglob("*.[sS][wW][cC]") if path.is_file())
            neurons = [Neuron(path.stem, path) for path in files]
        else:
            neurons = [Neuron(source.stem, source)]
        if not neurons:
            raise InputError(
                "holds no neurons", file=source, expected="SWC files, or a release with morphology", found="none"
            )
        for one in neurons:
            if isinstance(one.data, Path):
                found.setdefault(one.data.resolve(), one)
    return list(found.values())


def _of_release(folder: Path) -> list[Neuron]:
    from neuropack.morphology.table import Neuron
    from neuropack.release import open_release

    with open_release(folder) as release:
        records = release.metadata.get("neurons", ())
        return [Neuron(one["id"], folder / one["morphology"]) for one in records if one.get("morphology")]


def _outputs_are_free(out: Path | None, plots: Path | None, *, overwrite: bool) -> None:
    if out is not None:
        if out.suffix.lower() not in _SUFFIXES:
            raise UsageError(
                "--out does not name a table", expected=f"a name in {', '.join(_SUFFIXES)}", found=out.name
            )
        common.free(out, overwrite=overwrite)
    if plots is not None:
        common.free(plots, overwrite=overwrite)
        if plots.exists() and not _is_ours(plots):
            raise UsageError(
                "is no folder of figures, and would be replaced", file=plots, fix="name another folder for --plots"
            )


def _releases_stay(sources: Sequence[Path], *outputs: Path | None) -> None:
    """See that nothing is written into a release, whose manifest seals it."""
    from neuropack.release import METADATA

    for source in sources:
        release = source.resolve()
        for path in outputs:
            if path is not None and (source / METADATA).is_file() and path.resolve().is_relative_to(release):
                raise UsageError("lies in the release, which stays as it is", file=path, fix="name another place")


def _is_ours(folder: Path) -> bool:
    """Whether a folder is empty, or holds what `write_figures` writes and nothing else."""
    if not folder.is_dir():
        return False
    names = {path.name for path in folder.iterdir()}
    figures = {name for name in names if name.endswith((".png", ".svg"))}
    return not names or names - figures == {"sholl.tsv", "persistence.tsv"}


def _cores(neurons: Sequence[Neuron]) -> int:
    import os

    if sum(one.size for one in neurons) < _MUCH:
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _write(out: Path, shapes: Sequence[Shape], *, overwrite: bool) -> None:
    from neuropack.whole import published

    records = [shape.record() for shape in shapes]
    with published(out, overwrite=overwrite) as path:
        if out.suffix.lower() == ".parquet":
            import pyarrow.parquet as pq

            from neuropack.morphology.table import table

            pq.write_table(table(shapes), path)
        else:
            path.write_text(_table_text(out, records), encoding="utf-8", newline="\n")


def _table_text(out: Path, records: Sequence[dict[str, Any]]) -> str:
    if out.suffix.lower() == ".json":
        return json.dumps(records, indent=2, ensure_ascii=False) + "\n"
    return common.table_text(out, list(records[0]), records)


def _draw(plots: Path, shapes: Sequence[Shape], tell: Progress | None) -> None:
    from neuropack.page.shapes import write_figures
    from neuropack.whole import published_folder

    with published_folder(plots) as folder:
        write_figures(shapes, folder, tell)


def _text(shapes: Sequence[Shape]) -> str:
    """A few features of each neuron, in columns."""
    lines = [["neuron", *_COLUMNS.values()]]
    for shape in shapes[:_SHOWN]:
        lines.append([shape.neuron, *(_cell(shape.features[name]) for name in _COLUMNS)])
    widths = [max(len(line[n]) for line in lines) for n in range(len(lines[0]))]
    text = [
        "  ".join([line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True))])
        for line in lines
    ]
    if len(shapes) > _SHOWN:
        text.append(f"and {len(shapes) - _SHOWN} more; --json or --out gives all neurons and all features")
    return "\n".join(text)


def _cell(value: float | int | None) -> str:
    if value is None:
        return "-"
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def _tell_of(problems: Sequence[NeuropackError], total: int) -> int:
    """Say what could not be measured; the exit status."""
    for problem in problems:
        typer.echo(str(problem), err=True)
    if not problems:
        return 0
    typer.echo(f"{len(problems)} of {total} neuron(s) could not be measured", err=True)
    return 3
