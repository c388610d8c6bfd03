"""``neuropack preprocess``: channels aligned and unmixed, light evened, noise removed, and a record of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neuropack.address import place
from neuropack.cli import common
from neuropack.cli.progress import Watch, progress
from neuropack.errors import NeuropackError, UsageError

if TYPE_CHECKING:
    from neuropack.process.preprocess.recipe import Recipe
    from neuropack.process.preprocess.run import Preprocessed
    from neuropack.volume import Volume

_SUFFIX = ".ome.zarr"


def preprocess(
    stack: Annotated[
        Path,
        typer.Argument(metavar="STACK", parser=place, help="A microscope file, a folder of slices, or a URL."),
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A name that ends in .ome.zarr.", readable=False)],
    recipe: Annotated[
        str | None,
        typer.Option(metavar="NAME|FILE", help="confocal, brainbow, or a recipe of your own, a file in .yaml."),
    ] = None,
    step: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STEP",
            help="A step, as denoise='strength: 0.7': in place of the recipe's own, or after it. May come again.",
        ),
    ] = None,
    voxel_size: Annotated[
        str | None, typer.Option(metavar="Z,Y,X", help="Voxel size in micrometre, where the file lacks it.")
    ] = None,
    axes: Annotated[
        str | None, typer.Option(metavar="LETTERS", help="What the file's dimensions mean, letters of TCZYXS.")
    ] = None,
    scene: Annotated[
        str | None, typer.Option(metavar="NAME", help="Which image, where the file holds several.")
    ] = None,
    picture: Annotated[
        Path | None,
        typer.Option(metavar="DIR", readable=False, help="Draw each channel before and after, PNG."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Of the sampled blocks.")] = 0,
    memory: common.Memory = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier result of neuropack.")] = False,
    steps: Annotated[
        bool, typer.Option("--list", help="Tell all steps with their parameters, and do nothing else.")
    ] = False,
    show: Watch = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print the record of what was done.")] = False,
) -> int:
    """Preprocess an image into a new OME-Zarr; the image itself is never touched.

    Beside OUT stands OUT.json: the steps, what was estimated for each, and how well. Run it again to continue after
    an interruption: what the record holds is not estimated anew.
    """
    from neuropack.study.recipes import described

    if steps:
        typer.echo(described())
        return 0
    chosen, budget = _recipe(recipe, step or ()), common.size(memory)
    _fits(stack, out, picture)
    from neuropack.convert import convert
    from neuropack.process.preprocess.run import preprocess as done
    from neuropack.readers import open_volume
    from neuropack.source import fingerprint

    opened = open_volume(stack, scene=scene, axes=axes, voxel_size_um=common.voxel_size(voxel_size))
    with opened as volume, progress(show) as tell:
        volume.require_axes()
        volume.require_voxel_size()
        identity = _identity(volume, fingerprint(stack), chosen, seed)
        place = record_of(out)
        earlier = _earlier(place, identity, overwrite=overwrite)
        found = [one["found"] for one in earlier["steps"]] if earlier is not None else None
        made = done(volume, chosen, found=found, seed=seed, progress=tell)
        record = _record(identity, made, out, earlier["saturated"] if earlier is not None else made.saturated)
        with _standing(place, record if earlier is None else None):
            result = convert(made.volume, [out], overwrite=overwrite, memory=budget, progress=tell)
        drawn = _draw(picture, volume, out) if picture is not None else []
    shown = {**record, "status": result.status, "pictures": [str(path) for path in drawn]}
    typer.echo(json.dumps(shown, indent=2, ensure_ascii=False) if as_json else _text(shown, out, place))
    return 0


def record_of(out: Path) -> Path:
    """The record beside an image."""
    return out.with_name(out.name + ".json")


def _recipe(name: str | None, steps: Sequence[str]) -> Recipe:
    """What the line asks for."""
    from neuropack.process.preprocess.recipe import Recipe
    from neuropack.study.recipes import recipe_named, shipped, task_of

    if name is None and not steps:
        raise UsageError(
            "nothing says what is to be done",
            expected="a recipe, or steps",
            found="neither",
            fix=f"give --recipe {' or '.join(shipped())}, or --step NAME; --list tells the steps",
        )
    made = recipe_named(name) if name is not None else Recipe("steps", ())
    for text in steps:
        made = made.with_task(task_of(text))
    units = [task for task in made.tasks if task.step == "noise_units"]
    others = [task for task in made.tasks if task.step != "noise_units"]
    return Recipe(made.name, (*others, *units))  # counts first, whatever the order on the line


def _fits(stack: Path, out: Path, picture: Path | None) -> None:
    """See that nothing is written over the image, or into it.

    Raises:
        UsageError: it would be, or OUT is no name of an OME-Zarr.
    """
    if "://" in str(out) or ":/" in str(out):
        raise UsageError(
            "OUT is no folder of this machine",
            file=out,
            fix="preprocess to a folder, then convert that to the bucket",
        )
    if not out.name.lower().endswith(_SUFFIX) or out.name.lower() == _SUFFIX:
        raise UsageError("OUT is no name of an OME-Zarr", expected=f"a name in {_SUFFIX}", found=out.name)
    source = stack.resolve()
    for path in (out, record_of(out), picture):
        if path is None:
            continue
        target = path.resolve()
        if target == source or (stack.is_dir() and target.is_relative_to(source)):
            raise UsageError(
                "lies on or in the image, which stays as it is",
                file=path,
                expected="another place than STACK",
                found=str(stack),
                fix="name another place",
            )
        if source.is_relative_to(target) and path == out:
            raise UsageError("would replace the folder that holds the image", file=path, fix="name another place")


def _identity(volume: Volume, source: Mapping[str, Any], recipe: Recipe, seed: int) -> dict[str, Any]:
    """What an estimate hangs on: the same again, and it is not made anew."""
    image = {"scene": volume.scene, "axes": volume.axes, "shape": list(volume.shape)}
    size = {"voxel_size_um": list(volume.voxel_size_um)}
    return {"input": {**source, **image, **size}, "recipe": recipe.name, "seed": seed, "steps": recipe.record()}


def _earlier(place: Path, identity: Mapping[str, Any], *, overwrite: bool) -> dict[str, Any] | None:
    """The record of an earlier run of this very work; None where there was none.

    Raises:
        UsageError: the record is of other work, or of no work of ours, and may not be replaced.
    """
    if not place.exists():
        return None
    try:
        record = json.loads(place.read_text(encoding="utf-8"))
        ours = record["software"] == "neuropack" and all(
            isinstance(record[k], list) for k in ("steps", "saturated")
        )
        given = [{"step": one["step"], "parameters": one["parameters"]} for one in record["steps"]]
        known = all("found" in one for one in record["steps"])
        same = (
            ours
            and known
            and all(
                json.loads(json.dumps(value)) == (given if key == "steps" else record.get(key))
                for key, value in identity.items()
            )
        )
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise UsageError(
            "is there, and is no record of preprocessing", file=place, fix="move it away, or name another OUT"
        ) from None
    if same:
        return dict(record)
    if not overwrite:
        raise UsageError(
            "is the record of other work: another image, recipe or seed",
            file=place,
            fix="name another OUT, or add --overwrite to replace the earlier result",
        )
    return None


def _record(
    identity: Mapping[str, Any], made: Preprocessed, out: Path, saturated: Sequence[float] | None
) -> dict[str, Any]:
    """What was done, in the words of Processing: an activity for each step, with all that decides its result."""
    from neuropack import __version__
    from neuropack.process.preprocess.steps import STEPS

    steps = [
        {
            "step": one["step"],
            "activity": STEPS[one["step"]].activity,
            "parameters": one["parameters"],
            "found": found,
        }
        for one, found in zip(identity["steps"], made.found, strict=True)
    ]
    return {
        "software": "neuropack",
        "software_version": __version__,
        **identity,
        "steps": steps,
        "saturated": list(saturated or ()),
        "output": {"name": out.name, "dtype": made.volume.dtype.name, "shape": list(made.volume.shape)},
    }


@contextmanager
def _standing(place: Path, record: Mapping[str, Any] | None) -> Iterator[None]:
    """A new record beside the image while that is written, so that what breaks off can be continued.

    Where nothing is to be written none is left, and a record of the image that stands there stays with it.
    """
    if record is None:
        yield
        return
    before = place.read_bytes() if place.exists() else None
    text = json.dumps(record, indent=1, ensure_ascii=False) + "\n"
    _write(place, text.encode())
    try:
        yield
    except NeuropackError as error:
        if before is not None:
            _write(place, before)
        elif isinstance(error, UsageError):
            place.unlink(missing_ok=True)
        raise


def _write(place: Path, data: bytes) -> None:
    from neuropack.whole import published

    with published(place, overwrite=True) as path:
        path.write_bytes(data)


def _draw(folder: Path, before: Volume, out: Path) -> list[Path]:
    from neuropack.page.before_after import write_pictures
    from neuropack.readers import open_volume

    with open_volume(out) as after:  # as it was written: nothing is computed twice
        return write_pictures(folder, before, after)


def _text(record: Mapping[str, Any], out: Path, place: Path) -> str:
    """The result for a person: a line for each step."""
    lines = [f"{out}: {record['status']}", f"{place}: the record"]
    lines += [f"  {one['step']}: {_said(one['step'], one['found'])}" for one in record["steps"]]
    for c, part in enumerate(record["saturated"]):
        if part:
            lines.append(f"  channel {c}: {part:.2%} of the voxels are saturated; no step brings that light back")
    return "\n".join([*lines, *(f"{path}: before and after" for path in record["pictures"])])


def _said(step: str, found: Mapping[str, Any]) -> str:
    """What a step found, in a line."""

    def row(values: Sequence[float | None], digits: int = 2) -> str:
        return ", ".join("?" if v is None else f"{v:.{digits}f}" for v in values)

    if step == "align" and "residual" in found:
        rows = zip(found["shift"], found["scale"], found["residual"], strict=True)
        told = [
            f"channel {c} by {row(shift)} voxels z, y, x, stretched {row(scale, 4)}, residual {row(left)}"
            for c, (shift, scale, left) in enumerate(rows)
            if c != found["reference"]
        ]
        return f"onto channel {found['reference']}: " + "; ".join(told)
    lines: dict[str, tuple[str, Callable[[], str]]] = {
        "unmix": ("matrix", lambda: " / ".join(row(one) for one in found["matrix"])),
        "depth": ("logarithm of the light, a plane deeper", lambda: row(found["slope"], 4)),
        "stripes": ("brightest over dimmest plane", lambda: row([max(one) / min(one) for one in found["gain"]])),
        "seams": ("left at the seams", lambda: row(found["residual"], 4)),
        "background": ("made equal to", lambda: row(found["level"], 1)),
        "denoise": ("width of the noise", lambda: row([v**0.5 for v in found["floor"]], 1)),
    }
    words, value = lines.get({"noise_units": "denoise"}.get(step, step), ("done", lambda: ""))
    return f"{words} {value()}".strip()
