"""Programs against a person on real dendrites: ``real_dendrites.py [--data DIR] [--pictures DIR] [--out FILE]``.

The stack and the manual trace of MapManager (two-photon, see docs/how-to/pixels-to-neurons.md, whose commands these
are): segmented, traced from end to end with six points, and traced from one or two seeds; each in the raw image and
after the recipe ``confocal``. Cable is compared with the manual trace, which counts from the centres of voxels.
That person traced one dendrite with two branches and nothing else, so whatever lies on others counts as wrong.
Defaults were chosen on simulated stacks, but this one was at hand while the programs were built: it is not unseen.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from automatic_tracing import MANUAL, STACK, VOXEL_ZYX, cables, together

from neuropack.cli import main as neuropack
from neuropack.evaluate.agreement import traces
from neuropack.readers import open_volume
from neuropack.skeleton import Skeleton
from neuropack.swc import read_swc
from neuropack.trace.automatic import Traced
from neuropack.trace.flags import Flag

PATHS = {
    "upper": ("35,89,10", "31,21,319"),
    "oblique": ("30,54,193", "25,178,319"),
    "lower": ("25,98,0", "27,316,87"),
}
SEEDS = {"one seed": ("35\t89\t10",), "two seeds": ("35\t89\t10", "25\t98\t0")}
IMAGES = {"raw": "stack.tif", "preprocessed": "clean.ome.zarr"}
PLACES_UM = {  # x and y of cable that nobody traced
    "the trunk at the left edge": ((0, 4), (0, 20)),
    "hooks between the two dendrites": ((5, 16), (20, 40)),
}
TOLERANCES_UM = (2.0, 1.0)
COMMAND = "python tests/benchmarks/real_dendrites.py --out docs/benchmarks/real-dendrites.md"


@dataclass(frozen=True)
class Way:
    """What one way found in one image.

    Attributes:
        image: raw or preprocessed.
        name: of the way.
        found: all that it traced, as one.
        flags: rows of the table of places to look at, from seeds only.
    """

    image: str
    name: str
    found: Skeleton
    flags: list[dict[str, Any]]


def said(*arguments: str) -> str:
    """What a command prints; it has to end well."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        status = neuropack(list(arguments))
    if status:
        raise SystemExit(f"neuropack {' '.join(arguments)}: exit {status}\n{printed.getvalue()}")
    return printed.getvalue()


def ways() -> list[Way]:
    """Everything that is compared, made in the working folder, which holds ``stack.tif`` and ``clicked.swc``."""
    size = ",".join(f"{v:g}" for v in VOXEL_ZYX)
    said("annotations", "convert", "clicked.swc", "manual.swc", "--origin", "centre", "--voxel-size", size)
    said("preprocess", "stack.tif", "clean.ome.zarr", "--recipe", "confocal", "--picture", "pictures")
    made = []
    for image, file in IMAGES.items():
        said("segment", file, f"found-{image}")
        pieces = [read_swc(path) for path in sorted(Path(f"found-{image}/skeletons").glob("*.swc"))]
        made.append(Way(image, "segment", together(pieces), []))
        paths = []
        for name, (start, end) in PATHS.items():
            said("trace", file, "--from", start, "--to", end, "--out", f"{image}-{name}.swc")
            paths.append(read_swc(Path(f"{image}-{name}.swc")))
        made.append(Way(image, "three paths", together(paths), []))
        for name, seeds in SEEDS.items():
            lines = ["neuron_id\tz\ty\tx", *(f"dendrite\t{seed}" for seed in seeds)]
            Path("seeds.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
            out = f"{image}-{name.replace(' ', '-')}"
            record = json.loads(said("trace", file, "--seeds", "seeds.tsv", "--out", out, "--json"))
            neurons = [read_swc(path) for path in sorted(Path(out, "neurons").glob("*.swc"))]
            made.append(Way(image, name, together(neurons), record["flags"]))
    return made


def table(made: Sequence[Way], manual: Skeleton) -> str:
    """Rows of results as a table of Markdown."""
    head = ["image", "way", "cable, um"]
    for tolerance in TOLERANCES_UM:
        head += [f"precision at {tolerance:g} um", "recall", "F1"]
    lines = [f"| {' | '.join([*head, 'flags'])} |", "|---" * (len(head) + 1) + "|"]
    for way in made:
        cells = [way.image, way.name, f"{way.found.length_um():.1f}"]
        for tolerance in TOLERANCES_UM:
            cells += [f"{score.value or 0.0:.3f}" for score in traces(manual, way.found, tolerance)]
        lines.append(f"| {' | '.join([*cells, str(len(way.flags)) if 'seed' in way.name else ''])} |")
    return "\n".join(lines)


def details(made: Sequence[Way], manual: Skeleton, clicked: Skeleton) -> str:
    """Where the cable lies that one seed found off the manual trace, and what half a voxel does, as a list."""
    from scipy.spatial import KDTree

    by_name = {(way.image, way.name): way.found for way in made}
    found, paths = by_name["raw", "one seed"], by_name["raw", "three paths"]
    ends = found.xyz[found.edges()]
    middle, length = ends.mean(axis=1), np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1)
    off = KDTree(manual.xyz).query(middle)[0] > TOLERANCES_UM[0]
    lines = [f"- One seed, raw: {length[off].sum():.0f} um lie off the manual trace."]
    for what, ((x0, x1), (y0, y1)) in PLACES_UM.items():
        there = off & (middle[:, 0] > x0) & (middle[:, 0] < x1) & (middle[:, 1] > y0) & (middle[:, 1] < y1)
        z = middle[there, 2]
        lines.append(f"- Of these, {what}: {length[there].sum():.0f} um, at z {z.min():.0f} to {z.max():.0f} um.")
    for way in made:
        if "seed" in way.name:
            lines.append(flagged(way, manual))
    for tolerance in (2.0, 0.5):
        with_it, without = (traces(one, paths, tolerance)[1].value or 0.0 for one in (manual, clicked))
        figures = f"{with_it:.3f}; {without:.3f} with the manual trace left half a voxel off"
        lines.append(f"- Three paths, raw, recall at {tolerance:g} um: {figures}.")
    return "\n".join(lines)


def flagged(way: Way, manual: Skeleton) -> str:
    """How much of the cable off the manual trace lies behind flags, in all and without the trunk, as an item."""
    keys = ("reason", "about", "confidence", "below_um")
    flags = [Flag("it", f["node"], tuple(f["xyz_um"]), *(f[key] for key in keys)) for f in way.flags]
    found = cables(Traced({"it": way.found}, {}, flags), {"it": manual})
    (x0, x1), (y0, y1) = PLACES_UM["the trunk at the left edge"]
    x, y, _ = way.found.xyz.T
    rest, behind = ~((x > x0) & (x < x1) & (y > y0) & (y < y1)), np.isfinite(found.rank)
    shares = [found.wrong[behind & of].sum() / found.wrong[of].sum() for of in (rest | True, rest)]
    shares.append(found.length[behind & (found.wrong == 0)].sum() / found.length[found.wrong == 0].sum())
    told = f"{shares[0]:.0%} of what lies off the manual trace is behind a flag, {shares[1]:.0%} without the trunk"
    return f"- {way.name.capitalize()}, {way.image}: {told}; of what lies on it {shares[2]:.0%}."


PAGE = """\
# Programs against a person on real dendrites

```text
{command}
```

{date}. A real two-photon stack of dendrites, 70 x 320 x 320 voxels of 1 x 0.12 x 0.12 um, with the manual
trace of one dendrite and two of its branches ({length:.1f} um): MapManager's `rr30a`
([where it is from](../how-to/pixels-to-neurons.md)). Precision is the part of the found cable that lies within 2 um
(1 um) of the manual trace, recall the part of the manual trace within that of what was found. One stack and one
person: this shows what to expect, and is no benchmark of a population.

{table}

{details}

The ways:

- `segment`: all skeletons of `neuropack segment`, with every spine and every speck that it found.
- `three paths`: semi-automatic, `neuropack trace --from --to`, a person sets the six ends.
- `one seed`, `two seeds`: automatic, `neuropack trace --seeds`, a person sets one or two points.
- Preprocessed: the recipe `confocal` as it comes.

What lies off the manual trace is not all wrong, for the person left out the trunk at the left edge, a second
dendrite that crosses below, and spines; nor is it all right. Where it lies is shown in
[the how-to](../how-to/pixels-to-neurons.md).

The defaults were chosen on simulated stacks. But this stack was at hand while the programs were built, and tests
run on it, so these figures are no test on unseen data.

The manual trace was clicked in voxels, so its depth goes in steps of 1 um: its length is too large by these steps,
and at 1 um they count as errors of whoever is smoother.
"""


def main() -> None:
    """Run, and print the table."""
    root = Path(__file__).resolve().parents[2]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=root.parent / "shared" / "data", help="the real files")
    parser.add_argument("--pictures", type=Path, help="draw there what the how-to shows")
    parser.add_argument("--out", type=Path, help="write the page of the manual there too")
    args = parser.parse_args()
    if not (args.data / STACK).exists():
        raise SystemExit(f"{STACK} is not in {args.data}: nothing to measure")
    pictures, out = (path and path.resolve() for path in (args.pictures, args.out))
    stack, clicked = (args.data / name for name in (STACK, MANUAL))
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(stack, Path(folder, "stack.tif"))
        shutil.copy(clicked, Path(folder, "clicked.swc"))
        before = Path.cwd()
        os.chdir(folder)
        try:
            made = ways()
            manual, before_it_moved = read_swc(Path("manual.swc")), read_swc(Path("clicked.swc"))
            if pictures:
                draw(pictures, made, manual)
        finally:
            os.chdir(before)
    shown = table(made, manual)
    more = details(made, manual, before_it_moved)
    print(f"{shown}\n\n{more}")
    if out:
        date = datetime.now(UTC).strftime("Measured %Y-%m-%d")
        page = PAGE.format(command=COMMAND, date=date, length=manual.length_um(), table=shown, details=more)
        out.write_text(page, encoding="utf-8")


def draw(folder: Path, made: Sequence[Way], manual: Skeleton) -> None:
    """The pictures of the how-to; those of the commands are the commands' own, made smaller."""
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    Image.open("pictures/channel-0.png").convert("L").save(folder / "before-after.png", optimize=True)
    Image.open("found-preprocessed/segmentation.png").convert("RGB").save(
        folder / "segmentation.png", optimize=True
    )
    by_name = {(way.image, way.name): way for way in made}
    _draw_paths(folder / "paths.png", manual)
    _draw_seeds(folder / "automatic.png", [by_name[image, "one seed"] for image in IMAGES], manual)


def _panels(count: int) -> tuple[Any, Any]:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    return pyplot.subplots(1, count, figsize=(4.6 * count, 4.8), dpi=80, layout="constrained", squeeze=False)


def _show(axis: Any, file: str, title: str) -> None:
    """The brightest voxel along z, in micrometre."""
    with open_volume(file) as volume:
        top = np.asarray(volume[0]).max(axis=0)
        _, y, x = (n * v for n, v in zip(volume.size_zyx, VOXEL_ZYX, strict=True))
    axis.imshow(top, cmap="gray", vmin=np.median(top), vmax=np.percentile(top, 99), extent=(0, x, y, 0))
    axis.set_title(title, fontsize=10)
    axis.set_xlim(0, x)
    axis.set_ylim(y, 0)
    axis.set_xlabel("x, µm")
    axis.set_ylabel("y, µm")


def _lines(
    axis: Any, skeleton: Skeleton, color: str, keep: npt.NDArray[np.bool_] | None = None, **style: Any
) -> None:
    """The edges of a skeleton from above; those that are kept."""
    from matplotlib.collections import LineCollection

    edges = skeleton.edges()
    lines = skeleton.xyz[edges][:, :, :2]
    axis.add_collection(LineCollection(list(lines if keep is None else lines[keep]), colors=color, **style))


def _draw_paths(file: Path, manual: Skeleton) -> None:
    """The three paths over the raw image, and the manual trace beside them."""
    figure, ((left, right),) = _panels(2)
    _show(left, IMAGES["raw"], "the person's own trace")
    _lines(left, manual, "#ffd000", linewidths=1.6)
    _show(right, IMAGES["raw"], "three paths between six points")
    for (name, ends), color in zip(PATHS.items(), ("#ff4060", "#40c0ff", "#60e060"), strict=True):
        _lines(right, read_swc(Path(f"raw-{name}.swc")), color, linewidths=1.6)
        for end in ends:
            _, y, x = (float(v) for v in end.split(","))
            right.plot((x + 0.5) * VOXEL_ZYX[2], (y + 0.5) * VOXEL_ZYX[1], "o", color=color, mec="white", ms=6)
    _save(figure, file)


def _draw_seeds(file: Path, ways_: Sequence[Way], manual: Skeleton) -> None:
    """What grew from one seed in each image: on the manual trace or off it, and the flags."""
    from scipy.spatial import KDTree

    figure, (axes,) = _panels(len(ways_))
    for axis, way in zip(axes, ways_, strict=True):
        _show(axis, IMAGES[way.image], f"one seed, {way.image}: {len(way.flags)} flag(s)")
        edges = way.found.edges()
        away, _ = KDTree(manual.xyz).query(way.found.xyz[edges].mean(axis=1))
        for color, keep in (("#ff9030", away > TOLERANCES_UM[0]), ("#60e060", away <= TOLERANCES_UM[0])):
            _lines(axis, way.found, color, keep, linewidths=1.6)
        _, y, x = (float(v) for v in SEEDS["one seed"][0].split("\t"))
        axis.plot((x + 0.5) * VOXEL_ZYX[2], (y + 0.5) * VOXEL_ZYX[1], "*", color="white", mec="black", ms=13)
        for n, flag in enumerate(way.flags, 1):
            fx, fy = flag["xyz_um"][:2]
            axis.plot(fx, fy, "o", mfc="none", mec="#ff40ff", ms=11, mew=1.6)
            axis.annotate(str(n), (fx, fy), (7, 5), textcoords="offset points", color="#ff80ff", fontsize=9)
    _save(figure, file)


def _save(figure: Any, file: Path) -> None:
    """As PNG of 128 colours, a third of the size."""
    from PIL import Image

    with io.BytesIO() as drawn:
        figure.savefig(drawn, format="png")
        Image.open(drawn).convert("RGB").quantize(128).save(file, optimize=True)


if __name__ == "__main__":
    main()
