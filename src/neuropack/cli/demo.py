"""``neuropack demo``: the main job from raw files to a checked release, on simulated or on your own data."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from neuropack.cli import common
from neuropack.cli.progress import progress


def demo(
    folder: Annotated[Path, typer.Argument(metavar="DIR", readable=False, help="Where to put it.")] = Path(
        "neuropack-demo"
    ),
    source: Annotated[
        Path | None,
        typer.Option(
            "--input",
            metavar="FILE",
            readable=False,
            help="A microscope file of your own, instead of simulated ones.",
        ),
    ] = None,
    voxel_size: Annotated[
        str | None, typer.Option(metavar="Z,Y,X", help="Its voxel size in micrometre, where the file lacks it.")
    ] = None,
    axes: Annotated[
        str | None, typer.Option(metavar="LETTERS", help="What its dimensions mean, where the file lacks it.")
    ] = None,
    scene: Annotated[
        str | None, typer.Option(metavar="NAME", help="Which image, where the file holds several.")
    ] = None,
    session_start: Annotated[
        str | None, typer.Option(metavar="TIME", help="Start of its acquisition, where the file lacks it.")
    ] = None,
    seed: Annotated[int, typer.Option(metavar="NUMBER", help="Seed of the simulation.")] = 0,
) -> int:
    """Simulate a small Brainbow dataset (or take your file), build a release, validate it, and show it."""
    size, start = common.voxel_size(voxel_size), common.date_time(session_start)
    from neuropack.build import build
    from neuropack.cli.found import find_neurons
    from neuropack.errors import UsageError
    from neuropack.page import write_page
    from neuropack.report import to_text
    from neuropack.rules import check
    from neuropack.simulate.demo import write_raw

    release, page = folder / "release", folder / "report.html"
    if page.exists() and not (folder / "study.yaml").exists():  # ours is written after the study
        raise UsageError(
            "is there already, without the demonstration's study", file=page, fix="name another folder"
        )
    if source is None:
        complete = _has_kernels()
        study = write_raw(folder, seed=seed, preprocess=complete).study
        if not complete:
            typer.echo("without preprocessing and tracing, which need more: pip install neuropack[trace]")
    else:
        study = _study_of(folder, source, voxel_size_um=size, axes=axes, scene=scene, session_start=start)
    typer.echo(f"study    {study}")
    with progress() as tell:
        build(study, release, progress=tell)
    typer.echo(f"release  {release}")
    with progress() as tell:
        report = check(release, progress=tell)
    with progress() as tell:
        found = list(find_neurons(release, folder / "found", tell)) if source is None else []
    write_page(release, page, report, found)
    typer.echo(f"page     {page}\n\n{to_text(report)}")
    typer.echo(f"\nin the browser: neuropack serve {release}")
    return 0 if report.clean else 1


def _has_kernels() -> bool:
    """Whether the extra is installed that preprocessing, segmentation and tracing need."""
    from importlib.util import find_spec

    return all(find_spec(name) is not None for name in ("numba", "skimage"))


def _study_of(
    folder: Path,
    source: Path,
    *,
    voxel_size_um: tuple[float, float, float] | None,
    axes: str | None,
    scene: str | None,
    session_start: datetime | None,
) -> Path:
    """Write the study of one file, with placeholders, called so, for what a file cannot say."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    from neuropack import resources
    from neuropack.errors import OutputError, UsageError
    from neuropack.readers import open_volume
    from neuropack.schema import schema_version

    with open_volume(source, scene=scene, axes=axes, voxel_size_um=voxel_size_um) as volume:
        volume.require_axes()
        volume.require_voxel_size()
        undated = volume.acquired is None and session_start is None
    if undated:
        session_start = datetime.fromtimestamp(source.stat().st_mtime, UTC).replace(microsecond=0)
        typer.echo("the file does not state when it was acquired: the date of the file stands in as a placeholder")
    templates = FileSystemLoader(resources.folder("templates") / "demo")
    # what comes out is YAML, and every value goes through tojson, which escapes it
    environment = Environment(loader=templates, undefined=StrictUndefined, keep_trailing_newline=True)  # noqa: S701
    text = environment.get_template("one-file.yaml.j2").render(
        schema_version=schema_version(),
        name=source.name,
        date=datetime.now(UTC).date().isoformat(),
        file=str(source.resolve()),
        scene=scene,
        axes=axes,
        voxel_size_um=voxel_size_um,
        session_start=session_start.isoformat() if session_start else None,
        undated=undated,
    )
    study = folder / "study.yaml"
    try:
        if study.exists() and study.read_bytes().splitlines()[:1] != text.encode().splitlines()[:1]:
            raise UsageError("the folder holds another study", file=study, fix="name another folder")
        folder.mkdir(parents=True, exist_ok=True)
        study.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise OutputError(
            f"cannot be written: {error.strerror}", file=study, fix="name another folder, or check its permissions"
        ) from error
    return study
