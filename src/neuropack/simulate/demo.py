"""The raw files of the demonstration: two simulated mice, one recorded as a CZI, the other as an OME-TIFF."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import neuropack
from neuropack import resources
from neuropack.errors import OutputError, UsageError
from neuropack.simulate import registration
from neuropack.simulate.colours import BRAINBOW
from neuropack.simulate.optics import Optics
from neuropack.simulate.stack import SimulatedStack, stack
from neuropack.swc import write_swc
from neuropack.table import tsv_text
from neuropack.whole import published
from neuropack.writers.czi import write_czi
from neuropack.writers.ome_tiff import write_ome_tiff

SHAPE_ZYX = (32, 256, 256)
VOXEL_SIZE_UM = (2.0, 0.5, 0.5)
NEURONS = 5
STUDY = "study.yaml"
ATLAS = "atlas"
_FWHM = 2.3548  # full width at half maximum of a Gaussian, in standard deviations


@dataclass(frozen=True)
class DemoInputs:
    """What the demonstration starts from.

    Attributes:
        folder: holds all of it; a study folder as ``neuropack build`` wants it.
        study: the study.
        raw: the raw files of the two mice.
        labels: the label image of each.
        classes: the table of classes of each.
        skeletons: the SWC files of each.
        landmarks: the landmarks of each in the simulated atlas.
        atlas: the files of the simulated atlas.
    """

    folder: Path
    study: Path
    raw: tuple[Path, ...]
    labels: tuple[Path, ...]
    classes: tuple[Path, ...]
    skeletons: tuple[tuple[Path, ...], ...]
    landmarks: tuple[Path, ...]
    atlas: tuple[Path, ...]


@dataclass(frozen=True)
class _Mouse:
    """One subject of the demonstration. `start` is in the study where the raw file cannot hold it.

    `centre_um` is where the middle of its stack lies in the simulated atlas: in the left cortex, across a border.
    """

    subject: str
    sex: str
    suffix: str
    recorded: str
    stated_by_file: bool
    centre_um: tuple[float, float, float]

    @property
    def name(self) -> str:
        return f"{self.subject}_LH"

    def raw(self, folder: Path) -> Path:
        return folder / "raw" / f"{self.name}{self.suffix}"

    def labels(self, folder: Path) -> Path:
        return folder / "annotations" / f"{self.name}_labels.ome.tif"

    def classes(self, folder: Path) -> Path:
        return folder / "annotations" / f"{self.name}_classes.tsv"

    def skeletons(self, folder: Path) -> tuple[Path, ...]:
        return tuple(folder / "annotations" / self.name / f"n{i:03d}.swc" for i in range(1, NEURONS + 1))

    def landmarks(self, folder: Path) -> Path:
        return folder / "registration" / f"{self.name}_landmarks.csv"


_MICE = (
    _Mouse("M01", "F", ".czi", "2026-01-15T09:30:00+00:00", False, (5000.0, 1800.0, 3500.0)),
    _Mouse("M02", "M", ".ome.tif", "2026-01-16T10:00:00+00:00", True, (6400.0, 1600.0, 3900.0)),
)


def write_raw(folder: Path, seed: int = 0, *, preprocess: bool = True) -> DemoInputs:
    """Simulate the inputs of the demonstration and write them; what is there already stays as it is.

    The study is written first and names the seed, every other file appears when it is complete. So the same call
    goes on after an interruption, and a call with another seed is refused instead of mixing two demonstrations.

    Args:
        folder: a new folder, or one of an earlier call with the same seed.
        seed: 0 or more; it fixes every voxel and every sample.
        preprocess: have the study name a recipe; a study that is there already stays as it is in this.

    Raises:
        UsageError: the folder holds another study, or files of these names.
        OutputError: it cannot be read or written.
    """
    inputs = DemoInputs(
        folder=folder,
        study=folder / STUDY,
        raw=tuple(m.raw(folder) for m in _MICE),
        labels=tuple(m.labels(folder) for m in _MICE),
        classes=tuple(m.classes(folder) for m in _MICE),
        skeletons=tuple(m.skeletons(folder) for m in _MICE),
        landmarks=tuple(m.landmarks(folder) for m in _MICE),
        atlas=tuple(folder / ATLAS / name for name in registration.ATLAS_FILES),
    )
    _begin(inputs, _study(seed, preprocess), _study(seed, not preprocess))
    _write_atlas(inputs.atlas)
    for number, mouse in enumerate(_MICE):
        _record(mouse, folder, seed, number)
    return inputs


def _write_atlas(files: tuple[Path, ...]) -> None:
    if all(path.exists() for path in files):
        return
    for path, data in zip(files, registration.atlas_files(), strict=True):
        with published(path) as partial:
            partial.write_bytes(data)


def _record(mouse: _Mouse, folder: Path, seed: int, number: int) -> None:
    """Simulate one mouse and write the files of it that are missing."""
    made = stack(
        2 * seed + 1 + number,
        SHAPE_ZYX,
        VOXEL_SIZE_UM,
        NEURONS,
        name=f"{mouse.name} (simulated)",
        acquired=mouse.recorded,
    )
    for number_of_neuron, path in enumerate(mouse.skeletons(folder), 1):
        if not path.exists():
            with published(path) as partial:
                write_swc(
                    partial, made.skeletons[number_of_neuron - 1], _comments(made, number_of_neuron), decimals=3
                )
    if not (landmarks := mouse.landmarks(folder)).exists():
        size = [n * s for n, s in zip(SHAPE_ZYX[::-1], VOXEL_SIZE_UM[::-1], strict=True)]
        place = registration.placed(2 * seed + 1 + number, size, mouse.centre_um)
        with published(landmarks) as partial:
            text = registration.landmarks_text(2 * seed + 1 + number, size, place)
            partial.write_text(text, encoding="utf-8", newline="\n")
    if not (classes := mouse.classes(folder)).exists():
        with published(classes) as partial:
            partial.write_text(_classes(made, mouse.skeletons(folder)), encoding="utf-8", newline="\n")
    if not (labels := mouse.labels(folder)).exists():
        write_ome_tiff(labels, made.labels, compress=True)
    if not (raw := mouse.raw(folder)).exists():
        if mouse.suffix == ".czi":  # a stage has its zero anywhere: a reader must not expect the image at (0, 0)
            write_czi(raw, made.volume, origin_px=(-1024, 768))
        else:
            write_ome_tiff(raw, replace(made.volume, origin_um=(0.0, -512.0, 384.0)))


def _classes(made: SimulatedStack, skeletons: tuple[Path, ...]) -> str:
    """A class for each neuron, the fluorophore that it has most of; and one for the image."""
    rows = [
        {"object_kind": "neuron", "object_id": path.stem, "class": f"mostly {BRAINBOW[int(copies.argmax())].name}"}
        for path, copies in zip(skeletons, made.copies, strict=True)
    ]
    rows.append({"object_kind": "image", "object_id": "stack", "class": "simulated"})
    return tsv_text(["object_kind", "object_id", "class"], rows)


def _comments(made: SimulatedStack, number: int) -> list[str]:
    copies = zip(BRAINBOW, made.copies[number - 1], strict=True)
    return [
        f"SIMULATED by neuropack {neuropack.__version__}",
        f"label {number}; copies: " + ", ".join(f"{f.name} {n}" for f, n in copies),
    ]


def _begin(inputs: DemoInputs, text: str, other: str) -> None:
    """Write the study, or find that it is there already, in this or the other form."""
    if inputs.study.exists():
        try:
            there = inputs.study.read_bytes()
        except OSError as error:
            raise OutputError(f"cannot be read: {error.strerror}", file=inputs.study) from error
        if there not in (text.encode(), other.encode()):
            raise UsageError(
                "holds another study",
                file=inputs.study,
                expected="an empty folder, or the same demonstration",
                found="a study with other contents",
                fix="choose another folder",
            )
        return
    for path in (
        *inputs.raw,
        *inputs.labels,
        *inputs.classes,
        *inputs.landmarks,
        *inputs.atlas,
        *(p for mouse in inputs.skeletons for p in mouse),
    ):
        if path.exists():
            raise UsageError(
                "is there already, without the demonstration's study", file=path, fix="choose another folder"
            )
    with published(inputs.study) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")


def _study(seed: int, preprocess: bool) -> str:
    """The text of study.yaml."""
    import jinja2

    folder = resources.folder("templates") / "demo"
    environment = jinja2.Environment(  # YAML, not HTML: values that need it are quoted as JSON
        loader=jinja2.FileSystemLoader(folder),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701
    )
    schema = resources.folder("schema") / "generated" / "neuropack.schema.json"
    optics = Optics()
    return environment.get_template("study.yaml.j2").render(
        schema_version=json.loads(schema.read_text(encoding="utf-8"))["version"],
        neuropack_version=neuropack.__version__,
        seed=seed,
        preprocess=preprocess,
        fluorophores=BRAINBOW,
        numerical_aperture=optics.numerical_aperture,
        psf_fwhm_um=[round(_FWHM * s, 3) for s in optics.sigma_um(BRAINBOW[1].emission_nm)],
        stacks=[_described(mouse) for mouse in _MICE],
        atlas={"folder": ATLAS, "version": registration.VERSION, "name": registration.NAME},
    )


def _described(mouse: _Mouse) -> dict[str, Any]:
    here = Path()
    return {
        "subject": mouse.subject,
        "sex": mouse.sex,
        "file": mouse.raw(here).as_posix(),
        "start": None if mouse.stated_by_file else mouse.recorded,
        "labels": mouse.labels(here).as_posix(),
        "classes": mouse.classes(here).as_posix(),
        "skeletons": [path.as_posix() for path in mouse.skeletons(here)],
        "landmarks": mouse.landmarks(here).as_posix(),
        "neurons": [
            {"value": i, "name": f"simulated neuron {i}", "id": path.stem}
            for i, path in enumerate(mouse.skeletons(here), 1)
        ],
    }
