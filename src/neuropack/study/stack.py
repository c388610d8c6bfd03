"""One image of a study: its records, its files, and the names that it gets in a release."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from neuropack.schema import fields
from neuropack.study.inherit import Resolved
from neuropack.study.records import Record, record, suggestion
from neuropack.study.registration import Registering, registering_of
from neuropack.study.yaml import Node, Place, Problem

# BIDS 1.11, microscopy: the suffixes of the techniques.
SUFFIXES = [
    *("TEM", "SEM", "uCT", "BF", "DF", "PC", "DIC", "FLUO", "CONF"),
    *("PLI", "CARS", "2PE", "MPE", "SR", "NLO", "OCT", "SPIM", "XPCT"),
]
_LABEL = re.compile(r"[0-9A-Za-z]+")
_SPACE = "space-AllenCCFv3"


@dataclass(frozen=True)
class Stack:
    """One image of the study with everything that holds for it.

    Attributes:
        name: the BIDS name without its suffix, such as ``sub-M01_ses-01_sample-LH_acq-25x_chunk-01``.
        suffix: the BIDS suffix, such as ``CONF``.
        title: what the study calls the stack; its BIDS name where it says nothing.
        subject, specimen, labelling, instrument, acquisition, annotation: records of the model, as far as the study
            knows them.
        file, scene, axes: the raw image.
        labels, skeletons: ground truth or annotations beside it.
        registration: how it lies in the atlas.
        at: line and column in study.yaml.
    """

    name: str
    suffix: str
    title: str
    label: str
    subject: Record
    specimen: Record
    labelling: Record | None
    instrument: Record
    acquisition: Record
    annotation: Record
    file: Path
    scene: str | None
    axes: str | None
    chunk: str | None
    labels: Path | None
    skeletons: tuple[Path, ...]
    registration: Registering | None
    at: Place

    @property
    def id(self) -> str:
        """Identifier of the image stack in the release."""
        return f"{self.name}_{self.suffix}"

    @property
    def session(self) -> str | None:
        """Label of the session."""
        label: str | None = self.acquisition.get("session")
        return label

    @property
    def folder(self) -> str:
        """Folder of the stack, relative to its dataset: ``sub-M01/ses-01/micr``."""
        session = [f"ses-{self.session}"] if self.session else []
        return "/".join([f"sub-{self.subject['id']}", *session, "micr"])

    @property
    def image(self) -> str:
        """The OME-Zarr, relative to the release."""
        return f"{self.folder}/{self.id}.ome.zarr"

    @property
    def sidecar(self) -> str:
        """The BIDS sidecar, relative to the release."""
        return f"{self.folder}/{self.id}.json"

    @property
    def nwb(self) -> str:
        """The NWB file, relative to the release."""
        return f"derivatives/nwb/{self.folder}/{self.id}.nwb"

    @property
    def label_image(self) -> str:
        """The label image, relative to the release."""
        return f"derivatives/segmentation/{self.folder}/{self.name}_desc-neurons_{self.suffix}.ome.zarr"

    def neuron(self, skeleton: Path) -> str:
        """Identifier of the neuron in an SWC file, unique in the release."""
        return f"{self.name}_desc-{re.sub('[^0-9A-Za-z]', '', skeleton.stem) or 'neuron'}"

    def morphology(self, skeleton: Path) -> str:
        """The SWC file of a neuron, relative to the release."""
        return f"derivatives/morphology/{self.folder}/{self.neuron(skeleton)}.swc"

    def morphology_ccf(self, skeleton: Path) -> str:
        """The SWC file of a neuron in the CCF, relative to the release."""
        return f"derivatives/morphology/{self.folder}/{_in_ccf(self.neuron(skeleton))}.swc"

    @property
    def registered_image(self) -> str:
        """The stack resampled into the CCF, relative to the release."""
        name = _in_ccf(f"{self.name}_desc-registered")
        return f"derivatives/registration/{self.folder}/{name}_{self.suffix}.ome.zarr"

    @property
    def transform_file(self) -> str:
        """The transform of the stack to the CCF, relative to the release."""
        return f"derivatives/registration/{self.folder}/{self.id}_from-stack_to-AllenCCFv3_mode-points_xfm.json"

    @property
    def landmarks_file(self) -> str:
        """The landmarks of the registration, relative to the release."""
        return f"derivatives/registration/{self.folder}/{self.id}_landmarks.tsv"

    @property
    def voxel_size_um(self) -> tuple[float | None, float | None, float | None]:
        """The voxel size (z, y, x) that the study states, micrometre."""
        z, y, x = (self.acquisition.get(f"voxel_size_{a}_um") for a in "zyx")
        return z, y, x


def _in_ccf(name: str) -> str:
    """A BIDS name with the space of the atlas in its place: before ``chunk-`` and ``desc-``."""
    parts = name.split("_")
    at = next(i for i, part in enumerate(parts) if part.startswith(("chunk-", "desc-")))
    return "_".join([*parts[:at], _SPACE, *parts[at:]])


def make_stack(folder: Path, found: Resolved, problems: list[Problem]) -> Stack | None:
    """A stack of the study, None where it lacks what names it."""
    before = len(problems)
    at = found.settings.at
    labels: dict[str, str | None] = {}
    for node, key, name, needed in (
        (found.subject, "id", "sub", True),
        (found.specimen, "id", "sample", True),
        (found.acquisition, "session", "ses", False),
        (found.settings, "acq", "acq", False),
        (found.settings, "chunk", "chunk", False),
    ):
        labels[name] = _label(node, key, name, at if node is None else node.at, needed, problems)
    technique = _text(found.settings, "suffix") or ""
    if technique not in SUFFIXES:
        node = found.settings.get("suffix") or found.settings
        expected = suggestion(technique, SUFFIXES)
        fix = "write suffix: CONF (or another) at the stack, or once under defaults: stack:"
        problems.append(Problem(node.at, "suffix is no BIDS name of a technique", expected, repr(technique), fix))
    file = _file(folder, found.settings, "file", problems)
    named = len(problems) == before
    subject, sample = labels["sub"] or "X", labels["sample"] or "X"  # X: told above, not to be told again below
    given = {"id": f"{subject}-{sample}", "subject": subject}
    entities = [("sub", subject), ("ses", labels["ses"]), ("sample", sample), ("acq", labels["acq"])]
    entities.append(("chunk", labels["chunk"]))
    name = "_".join(f"{k}-{v}" for k, v in entities if v)
    labelling = None
    if found.labelling is not None:
        own = {"specimen": given["id"], "id": _text(found.labelling, "id") or f"{given['id']}-labelling"}
        labelling = record("Labelling", found.labelling, problems, at=found.specimen.at, given=own)
    links = {"id": _text(found.acquisition, "id") or f"{name}-acquisition", "specimen": given["id"]}
    stack = Stack(
        name=name,
        suffix=technique,
        title=_text(found.settings, "id") or f"{name}_{technique}",
        label=sample,
        subject=record("Subject", found.subject, problems, at=found.subject.at, given={"id": subject}),
        specimen=record("Specimen", found.specimen, problems, at=found.specimen.at, given=given),
        labelling=labelling,
        instrument=record("Instrument", found.instrument, problems, at=at, whole=False),
        acquisition=record("Acquisition", found.acquisition, problems, at=at, given=links, whole=False),
        annotation=_annotation(found.settings, problems),
        file=file or folder,
        scene=_text(found.settings, "scene"),
        axes=_text(found.settings, "axes"),
        chunk=labels["chunk"],
        labels=_file(folder, found.settings, "labels", problems),
        skeletons=tuple(dict.fromkeys(_skeletons(folder, found.settings, problems))),
        registration=registering_of(found.settings, folder, problems),
        at=at,
    )
    if problem := _unknown_neuron(stack, found.settings):
        problems.append(problem)
    return stack if named else None


def _unknown_neuron(stack: Stack, settings: Node) -> Problem | None:
    """The first entry of the label map that names a neuron without a skeleton."""
    neurons = [path.stem for path in stack.skeletons]
    for i, entry in enumerate(stack.annotation.get("label_map", ())):
        name = entry.get("neuron")
        if name is not None and name not in neurons:
            node = settings.get("annotation", "label_map", i, "neuron") or settings
            fix = suggestion(name, neurons) if neurons else "name its SWC file under skeletons:"
            return Problem(node.at, "no skeleton of the stack has this name", "an SWC file's name", repr(name), fix)
    return None


def _annotation(settings: Node, problems: list[Problem]) -> Record:
    """What the study says of labels and skeletons; it must say it where there are any."""
    node = settings.get("annotation")
    known = record("Annotation", node, problems, at=settings.at, whole=False)
    for key in ("annotator", "provenance") if settings.get("labels") or settings.get("skeletons") else ():
        if key not in known:
            what = f"labels and skeletons need annotation.{key}"
            place = node.at if node is not None else settings.at
            problems.append(
                Problem(place, what, fields("Annotation")[key]["description"], "nothing", "write annotation:")
            )
    return known


def _text(node: Node | None, key: str) -> str | None:
    found = node.get(key) if node is not None else None
    return found.text or None if found is not None and found.value is not None else None


def _label(
    node: Node | None, key: str, entity: str, at: Place, needed: bool, problems: list[Problem]
) -> str | None:
    """A BIDS label; chunk takes digits only, the others letters and digits."""
    found = node.get(key) if node is not None else None
    text = _text(node, key)
    if text is None:
        if needed:
            what, example = {"sub": ("the subject", "M01"), "sample": ("the specimen", "LH")}[entity]
            problems.append(Problem(at, f"{what} has no id", "letters and digits", fix=f"write id: {example}"))
        return None
    wanted = "digits" if entity == "chunk" else "letters and digits"
    if not (text.isascii() and text.isdigit() if entity == "chunk" else _LABEL.fullmatch(text)):
        place = found.at if found is not None else at
        fix = f"it becomes {entity}-{text} in file names: BIDS takes {wanted} there"
        problems.append(Problem(place, f"{key} cannot name a file", wanted, repr(text), fix))
        return None
    return text


def _file(folder: Path, settings: Node, key: str, problems: list[Problem]) -> Path | None:
    text = _text(settings, key)
    if text is None:
        if key == "file":
            what, fix = "the stack has no file", "write file: and the raw file's path, relative to study.yaml"
            problems.append(Problem(settings.at, what, "a path", fix=fix))
        return None
    if not (folder / text).exists():
        at = settings.items[key].at
        fix = "paths are relative to study.yaml: correct it, or put the file there"
        problems.append(Problem(at, f"{key} does not exist", "a file", str(folder / text), fix))
        return None
    return folder / text


def _skeletons(folder: Path, settings: Node, problems: list[Problem]) -> Iterator[Path]:
    """The SWC files of a stack: paths and patterns, each in the order of its names."""
    found = settings.get("skeletons")
    if found is None or found.value is None:
        return
    for node in found.entries or [found]:
        pattern = node.text
        if not pattern:
            problems.append(Problem(node.at, "skeletons are paths", "a path or a pattern", node.shown()))
            continue
        absolute = Path(pattern).is_absolute()
        base = Path(Path(pattern).anchor) if absolute else folder
        matches = sorted(base.glob(str(Path(pattern).relative_to(base)) if absolute else pattern))
        if not matches:
            fix = "paths are relative to study.yaml; a pattern looks like traces/*.swc"
            problems.append(Problem(node.at, "no skeleton is there", "SWC files", repr(pattern), fix))
        yield from matches
