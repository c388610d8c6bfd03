"""One image of a study: its records, its files, and the names that it gets in a release."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from neuropack.process.preprocess.recipe import Recipe
from neuropack.study.annotations import Sources, others_of, sources_of
from neuropack.study.inherit import Resolved
from neuropack.study.names import Names, in_ccf, label_of
from neuropack.study.recipes import recipe_of_stack
from neuropack.study.records import Record, record, suggestion
from neuropack.study.registration import Registering, registering_of
from neuropack.study.yaml import Node, Place, Problem

# BIDS 1.11, microscopy: the suffixes of the techniques.
SUFFIXES = [
    *("TEM", "SEM", "uCT", "BF", "DF", "PC", "DIC", "FLUO", "CONF"),
    *("PLI", "CARS", "2PE", "MPE", "SR", "NLO", "OCT", "SPIM", "XPCT"),
]
_LABEL = re.compile(r"[0-9A-Za-z]+")
DERIVED = {
    "boxes": "the box around each label",
    "colors": "the colour of each label in the image",
}
"""What a build can work out from a label image, and what each is."""


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
        annotations: ground truth or annotations beside it.
        others: what other annotators made of the same objects.
        derive: what the build works out from them: words of `DERIVED`.
        registration: how it lies in the atlas.
        at: its place in the study.
        preprocess: the recipe by which its image is preprocessed.
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
    annotations: Sources
    others: tuple[Sources, ...]
    derive: tuple[str, ...]
    registration: Registering | None
    at: Place
    preprocess: Recipe | None = None

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
    def _names(self) -> Names:
        return Names(self.folder, self.name, self.suffix)

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
        return self._names.nwb

    @property
    def label_image(self) -> str:
        """The label image, relative to the release."""
        return f"derivatives/segmentation/{self.folder}/{self.name}_desc-neurons_{self.suffix}.ome.zarr"

    @property
    def labels(self) -> Path | None:
        """The file of the label image."""
        return self.annotations.labels.files[0] if self.annotations.labels is not None else None

    def neuron(self, name: str) -> str:
        """Identifier of a neuron, unique in the release, from its name in the study."""
        return self._names.neuron(name)

    def morphology(self, neuron: str) -> str:
        """The SWC file of a neuron, relative to the release."""
        return self._names.morphology(neuron)

    def morphology_ccf(self, neuron: str) -> str:
        """The SWC file of a neuron in the CCF, relative to the release."""
        return self._names.morphology_ccf(neuron)

    def morphology_by(self, neuron: str, annotator: str) -> str:
        """The SWC file of a neuron as another annotator traced it, relative to the release."""
        return f"derivatives/morphology/{self.folder}/{neuron}by{label_of(annotator)}.swc"

    @property
    def viewer_skeletons(self) -> str:
        """The folder with the skeletons as neuroglancer reads them, relative to the release."""
        return self._names.viewer_skeletons

    def marks(self, kind: str) -> str:
        """The table of boxes, points, classes, colors or agreement, relative to the release."""
        return f"derivatives/segmentation/{self.folder}/{self.name}_desc-neurons_{kind}.tsv"

    @property
    def preprocessed_image(self) -> str:
        """The preprocessed image, relative to the release."""
        return f"derivatives/preprocessed/{self.folder}/{self.name}_desc-preprocessed_{self.suffix}.ome.zarr"

    @property
    def registered_image(self) -> str:
        """The stack resampled into the CCF, relative to the release."""
        name = in_ccf(f"{self.name}_desc-registered")
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


def make_stack(
    folder: Path, found: Resolved, problems: list[Problem], recipes: Mapping[str, Recipe] | None = None
) -> Stack | None:
    """A stack of the study, None where it lacks what names it."""
    before = len(problems)
    at = found.settings.at
    labels: dict[str, str | None] = {}
    annotation = record("Annotation", found.settings.get("annotation"), problems, at=at, whole=False)
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
        annotation=annotation,
        file=file or folder,
        scene=_text(found.settings, "scene"),
        axes=_text(found.settings, "axes"),
        chunk=labels["chunk"],
        annotations=sources_of(folder, found.settings, annotation, problems),
        others=tuple(others_of(folder, found.settings, problems)),
        derive=_derived(found.settings, problems),
        registration=registering_of(found.settings, folder, problems),
        at=at,
        preprocess=recipe_of_stack(found.settings, recipes or {}, folder, problems),
    )
    _alike(stack.annotations, stack.others, problems)
    return stack if named else None


def _alike(own: Sources, others: Iterable[Sources], problems: list[Problem]) -> None:
    """Note other annotators who cannot be told apart, in the table of agreement or by the names of their files."""
    known: dict[str, str] = {}
    for one in others:
        name = one.credit.annotator
        if name is None:
            continue
        same = name if name == own.credit.annotator else known.get(label_of(name))
        if same is not None:
            what, expected = "two annotators would get one name", "names that differ in a letter or digit"
            fix = "name this one another way, such as with a number behind"
            problems.append(Problem(one.at, what, expected, f"{same!r} and {name!r}", fix))
        known.setdefault(label_of(name), name)


def _derived(settings: Node, problems: list[Problem]) -> tuple[str, ...]:
    """What the build is to work out."""
    node = settings.get("derive")
    words = [] if node is None or node.value is None else node.entries or [node]
    for word in words:
        if word.text not in DERIVED:
            fix = suggestion(word.text, DERIVED)
            problems.append(Problem(word.at, "derive has another word", ", ".join(DERIVED), word.shown(), fix))
    if words and node is not None and not settings.get("labels"):
        fix = "name a label image under labels:, or remove derive:"
        problems.append(Problem(node.at, "boxes and colors are derived from labels", "labels:", "none", fix))
    return tuple(dict.fromkeys(word.text for word in words))


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
            at = node.blanks.get(key, at) if node is not None else at
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
            fix = "write file: and the raw file's path, relative to the study's folder"
            at = settings.blanks.get(key, settings.at)
            problems.append(Problem(at, "the stack has no file", "a path", fix=fix))
        return None
    if not (folder / text).exists():
        at = settings.items[key].at
        fix = "paths are relative to the study's folder: correct it, or put the file there"
        problems.append(Problem(at, f"{key} does not exist", "a file", str(folder / text), fix))
        return None
    return folder / text
