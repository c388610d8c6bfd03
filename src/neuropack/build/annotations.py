"""The annotations of one stack on their way into a release: what is derived from images, and the files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from neuropack.build.agreements import Agreements, small_agreements
from neuropack.build.annotated import MARKS, Traced
from neuropack.build.bids import tsv_text
from neuropack.build.labels import label_neurons, listed_labels, opened_by_all, opened_labels
from neuropack.build.ledger import Ledger
from neuropack.build.marking import Derived, boxes_table, objects_bytes, objects_of, table_bytes
from neuropack.build.place import Place
from neuropack.build.plan import Planned
from neuropack.errors import InputError
from neuropack.evaluate.compared import COLUMNS, as_row, compare_labels
from neuropack.labels import LabelVolume
from neuropack.manifest import digest_of
from neuropack.marks import MarkKind
from neuropack.progress import Progress
from neuropack.study.annotations import Sources
from neuropack.study.names import label_of
from neuropack.swc import swc_text
from neuropack.table import parse_tsv
from neuropack.volume import Volume

if TYPE_CHECKING:
    import pyarrow as pa

    from neuropack.process.label_boxes import LabelBoxes

MOST_MASKED = 200_000_000  # voxels of all objects that an NWB file holds as lists: 3 GB before compression
_COLORS = ("label", "neuron_id", "color", "confidence", "n_voxels")


class Annotations:
    """The annotations of a stack.

    Attributes:
        marks: boxes, points and classes, derived ones too.
        colors: of neurons, a weight for each channel.
        agreements: how well annotators agree.
        derived: digests of the images that a table was worked out from, by path, for each table.
        masked: whether the NWB file gets the voxels of each label.
    """

    def __init__(self, place: Place, ledger: Ledger, earlier: Derived, one: Planned, tell: Progress) -> None:
        self._place, self._ledger, self._earlier, self._one, self._tell = place, ledger, earlier, one, tell
        self.marks: dict[MarkKind, pa.Table] = dict(one.annotated.marks)
        self.colors: dict[str, list[float]] = {}
        self.agreements = Agreements()
        self.derived: dict[str, dict[str, str]] = {}
        self.masked = False
        self._texts: dict[str, bytes] = {}

    def before_the_image(self) -> None:
        """Work out what needs no image: the objects of the labels, boxes around them, and how annotators agree."""
        one = self._one
        if one.stack.labels is not None:
            objects = self._objects_of_labels()
            count = int(objects.counts.sum())
            self.masked = count <= MOST_MASKED
            if not self.masked:
                one.notes.append(f"the NWB file holds no masks: {count} voxels are labelled; see the label image")
            if "boxes" in one.stack.derive and "boxes" not in self.marks:
                self.marks["boxes"] = boxes_table(one, objects)
        if one.others:
            self._compare()

    def _objects_of_labels(self) -> LabelBoxes:
        """Box and size of every object, worked out once for each label image."""
        from neuropack.process.label_boxes import LabelBoxes, boxes_of_labels

        one, name = self._one, self._one.stack.marks("objects")
        kept = self._known(name, self._digests(one.stack.label_image))
        if kept is not None:
            found = objects_of(kept, name)
        elif (listed := listed_labels(one)) is not None:
            found = LabelBoxes(listed.ids, listed.boxes(), np.diff(listed.offsets))
        else:
            with opened_labels(one) as labels:
                found = boxes_of_labels(labels, self._tell)
        self._texts[name] = objects_bytes(one, found)  # the study may have named its neurons anew
        return found

    def _compare(self) -> None:
        """How well the annotators agree; label images are decoded for it only where one of them has changed."""
        stack = self._one.stack
        rows: list[Mapping[str, Any]] = [found.row() for found in small_agreements(self._one)]
        labelled = [sources for sources in (stack.annotations, *stack.others) if sources.labels is not None]
        if len(labelled) > 1:
            rows += self._compared_labels(labelled)
        self.agreements = Agreements(rows)

    def _compared_labels(self, labelled: Sequence[Sources]) -> Sequence[Mapping[str, Any]]:
        """The rows about label images."""
        stack, name = self._one.stack, self._one.stack.marks("agreement")
        inputs: dict[str, str] = {}
        for sources in labelled:
            if sources is stack.annotations:
                inputs |= self._digests(stack.label_image)
            elif sources.labels is not None:
                file = sources.labels.files[0]
                inputs[f"{label_of(str(sources.credit.annotator))}/{file.name}"] = digest_of(file)
        kept = self._known(name, inputs)
        if kept is not None:
            rows = [as_row(row) for row in parse_tsv(kept, name) if row["kind"] == "labels"]
            pairs = set(combinations([str(sources.credit.annotator) for sources in labelled], 2))
            if {(row["annotator_a"], row["annotator_b"]) for row in rows} <= pairs:  # else one has another name now
                return rows
        with opened_by_all(self._one) as said:
            return [found.row() for found in compare_labels(said, self._tell)]

    def after_the_image(self, volume: Volume) -> None:
        """Work out the colours of labels in the image."""
        one = self._one
        if "colors" not in one.stack.derive:
            return
        name, neurons = one.stack.marks("colors"), label_neurons(one)
        kept = self._known(name, self._digests(one.stack.image, one.stack.label_image))
        if kept is not None:
            rows: list[dict[str, Any]] = [dict(row) for row in parse_tsv(kept, name)]
        else:
            from neuropack.process.colours import colours_of_labels

            with opened_labels(one) as labels:
                found = colours_of_labels(volume, labels, self._tell)
            rows = [
                {
                    "label": seen.label,
                    "color": ",".join(f"{weight:.4f}" for weight in seen.color),
                    "confidence": f"{seen.confidence:.4f}",
                    "n_voxels": seen.voxels,
                }
                for seen in found
            ]
        for row in rows:
            neuron = neurons.get(int(row["label"]))
            row["neuron_id"] = neuron  # the study may have named its neurons anew
            if neuron is not None:
                self.colors[neuron] = [float(weight) for weight in row["color"].split(",")]
        self._texts[name] = tsv_text(_COLORS, rows).encode()

    @property
    def masks_identity(self) -> str:
        """What the masks are known by: the label image as it lies in the release."""
        return self._ledger.digest(self._one.stack.label_image)

    def masks(self) -> LabelVolume:
        """The voxels of every label."""
        from neuropack.process.sparse import sparse_labels

        listed = listed_labels(self._one)
        if listed is not None:
            return listed
        with opened_labels(self._one) as labels:
            return sparse_labels(labels, progress=self._tell)

    def files(self) -> Iterator[tuple[str, bytes]]:
        """The path and content of every small file."""
        one = self._one
        for traced in one.annotated.neurons:
            yield one.stack.morphology(traced.id), swc_bytes(traced)
        for other in one.others:
            for traced in other.neurons:
                yield one.stack.morphology_by(traced.id, str(other.credit.annotator)), swc_bytes(traced)
        for kind, table in self.marks.items():
            yield one.stack.marks(kind), table_bytes(table)
        yield from self._texts.items()
        if one.others:
            yield one.stack.marks("agreement"), tsv_text(COLUMNS, self.agreements.rows).encode()
        if one.annotated.neurons:
            folder = one.stack.viewer_skeletons
            made = dict(_for_viewers(one))
            for name in self._place.files(folder):
                if name.removeprefix(f"{folder}/") not in made:
                    self._place.remove(name)  # of a neuron that the study no longer has
            yield from ((f"{folder}/{name}", data) for name, data in made.items())

    def _digests(self, *images: str) -> dict[str, str]:
        return {name: self._ledger.digest(name) for name in images}

    def _known(self, name: str, inputs: dict[str, str]) -> bytes | None:
        self.derived[name] = inputs
        return self._earlier.kept(name, inputs)


def annotation_outputs(one: Planned) -> Iterator[str]:
    """Every file or folder that the annotations of a stack become."""
    stack = one.stack
    for traced in one.annotated.neurons:
        yield stack.morphology(traced.id)
    for other in one.others:
        for traced in other.neurons:
            yield stack.morphology_by(traced.id, str(other.credit.annotator))
    if one.annotated.neurons:
        yield stack.viewer_skeletons
    for kind in MARKS:
        if kind in one.annotated.marks or kind in stack.derive:
            yield stack.marks(kind)
    if "colors" in stack.derive:
        yield stack.marks("colors")
    if one.others:
        yield stack.marks("agreement")
    if stack.labels is not None:
        yield stack.marks("objects")
        yield stack.label_image
        yield stack.label_image.removesuffix(".ome.zarr") + ".json"


def swc_bytes(traced: Traced) -> bytes:
    """The SWC file of a neuron: that of the study byte for byte, where it is one as a release has it."""
    if not traced.as_it_is:
        return swc_text(traced.skeleton, [f"from {traced.source.name}"]).encode()
    try:
        return traced.source.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file=traced.source) from error


def _for_viewers(one: Planned) -> Iterator[tuple[str, bytes]]:
    """The skeletons as neuroglancer reads them, by name in their folder; one with a label has its value."""
    from neuropack.annotations.precomputed import precomputed_skeletons

    values = {neuron: value for value, neuron in label_neurons(one).items()}
    free = iter(np.setdiff1d(np.arange(1, 2 * len(one.annotated.neurons) + 1), list(values.values())).tolist())
    numbers = {values.get(t.id) or next(free): t for t in one.annotated.neurons}
    skeletons = {number: traced.skeleton for number, traced in numbers.items()}
    yield from precomputed_skeletons(skeletons, {number: traced.name for number, traced in numbers.items()})
