"""The annotations of a stack, read before any pixel is converted, with every mistake in its place in the study."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neuropack.annotations import read_skeletons
from neuropack.annotations.mark_files import read_marks
from neuropack.annotations.plausible import contradiction
from neuropack.errors import NeuropackError
from neuropack.marks import Credit, MarkKind
from neuropack.skeleton import Skeleton
from neuropack.study import Stack
from neuropack.study.annotations import Source, Sources
from neuropack.study.records import suggestion
from neuropack.study.yaml import Place, Problem
from neuropack.volume import Volume

if TYPE_CHECKING:
    import pyarrow as pa

MARKS: tuple[MarkKind, ...] = ("boxes", "points", "classes")
STACK = "stack"
_FIX = "name its file under skeletons:"


@dataclass(frozen=True)
class Traced:
    """A traced neuron.

    Attributes:
        name: what the study calls it.
        id: what the release calls it.
        skeleton: in micrometre of the stack.
        source: the file.
        as_it_is: the file is SWC as a release has it, and is copied byte for byte.
        credit: who traced it.
    """

    name: str
    id: str
    skeleton: Skeleton
    source: Path
    as_it_is: bool
    credit: Credit


@dataclass
class Annotated:
    """The annotations of a stack by one annotator.

    Attributes:
        credit: who made what does not say it itself.
        neurons: the traced ones.
        marks: boxes, points and classes, whose neurons have the identifiers of the release.
        labels: the label image; closed.
    """

    credit: Credit
    neurons: list[Traced] = field(default_factory=list)
    marks: dict[MarkKind, pa.Table] = field(default_factory=dict)
    labels: Volume | None = None


@dataclass(frozen=True)
class Reading:
    """Reads the annotations of a stack.

    Attributes:
        stack: what the study says.
        volume: the image.
        problems: where mistakes are noted.
        notes: what a person should know.
    """

    stack: Stack
    volume: Volume
    problems: list[Problem]
    notes: list[str]

    def __call__(self, sources: Sources, *, known: Iterable[str] = ()) -> Annotated:
        """All but the label image.

        Args:
            sources: the files.
            known: names of more neurons that marks may speak of.
        """
        made = Annotated(sources.credit)
        for source in sources["skeletons"]:
            for path in source.files:
                self._skeletons(path, source, made)
        self._doubles(made, sources)
        names = {name: self.stack.neuron(name) for name in [*(one.name for one in made.neurons), *known]}
        for kind in MARKS:
            tables = [
                t for s in sources[kind] for p in s.files if (t := self._marks(p, s, kind, names)) is not None
            ]
            if tables:
                import pyarrow as pa

                made.marks[kind] = pa.concat_tables(tables).combine_chunks()
                self._same_names(kind, made.marks[kind], sources[kind][0])
        return made

    def _skeletons(self, path: Path, source: Source, made: Annotated) -> None:
        stated = replace(source.stated, voxel_size_um=self._voxel_um)
        try:
            found = read_skeletons(
                path, stated, repair=source.repair, columns=source.columns, path_order=source.path
            )
        except NeuropackError as error:
            self.problems.append(Problem.of(error, source.at))
            return
        plain = path.suffix.lower() == ".swc" and source.repair is None
        plain = (
            plain and source.stated.unit is None and source.stated.order is None and source.stated.origin is None
        )
        for name, skeleton in found.items():
            if skeleton.frame != STACK:
                what = f"{path}: lies in {skeleton.frame}"
                fix = "map it into the stack: neuropack map SRC DST --transform FILE --inverse"
                self.problems.append(Problem(source.at, what, "coordinates of the stack", skeleton.frame, fix))
                continue
            made.neurons.append(
                Traced(name, self.stack.neuron(name), skeleton, path, plain and len(found) == 1, source.credit)
            )
            if told := self._implausible(skeleton.xyz):
                self.notes.append(f"{path.name}: {name}: {told}" if name != path.stem else f"{path.name}: {told}")

    def _doubles(self, made: Annotated, sources: Sources) -> None:
        first: dict[str, Traced] = {}
        for one in made.neurons:
            other = first.setdefault(one.id, one)
            if other is not one:
                found = f"{one.id.rsplit('_', 1)[-1]} from {other.source.name} and {one.source.name}"
                what, at = "two skeletons would get one name", sources["skeletons"][0].at
                self.problems.append(Problem(at, what, found=found, fix="rename one of the files"))

    def _marks(self, path: Path, source: Source, kind: MarkKind, names: Mapping[str, str]) -> pa.Table | None:
        stated = replace(source.stated, voxel_size_um=self._voxel_um)
        try:
            table, _, notes = read_marks(path, kind, stated, source.credit, ends=source.ends)
        except NeuropackError as error:
            self.problems.append(Problem.of(error, source.at))
            return None
        self.notes.extend(f"{path.name}: {note}" for note in notes)
        column = "object_id" if kind == "classes" else "neuron_id"
        values, unknown = table.column(column).to_pylist(), dict[str, int]()
        kinds = table.column("object_kind").to_pylist() if kind == "classes" else ["neuron"] * len(values)
        for row, (value, of) in enumerate(zip(values, kinds, strict=True)):
            if value is not None and of == "neuron":
                if value not in names:
                    unknown.setdefault(value, row + 1)
                values[row] = names.get(value, value)
            elif of == "image":
                values[row] = self.stack.id
        for value, row in unknown.items():
            what, where = f"{path}: row {row}: no skeleton of the stack has this name", ", ".join(names) or "none"
            self.problems.append(Problem(source.at, what, where, repr(value), suggestion(value, names, _FIX)))
        import pyarrow as pa

        at = table.schema.get_field_index(column)
        return table.set_column(at, table.schema.field(at), pa.array(values, pa.string()))

    def _same_names(self, kind: MarkKind, table: pa.Table, source: Source) -> None:
        """Two files may call their marks alike."""
        if kind == "classes":
            return
        names = Counter(table.column(0).to_pylist())
        if len(names) < len(table):
            double = names.most_common(1)[0][0]
            what = f"two {kind} have one name"
            self.problems.append(Problem(source.at, what, found=repr(double), fix="rename those of one file"))

    @property
    def _voxel_um(self) -> tuple[float, float, float] | None:
        z, y, x = self.volume.voxel_size_um
        return (z or 1.0, y, x) if y and x else None

    def _implausible(self, xyz: np.ndarray[Any, Any]) -> str | None:
        voxel = self._voxel_um
        if voxel is None:
            return None
        size = np.array(voxel[::-1]) * self.volume.size_zyx[::-1]
        return contradiction(xyz, size, voxel)


def unknown_neurons(made: Annotated, named: Mapping[str, Place]) -> Iterable[Problem]:
    """Entries of the label map that name a neuron without a skeleton."""
    names = [one.name for one in made.neurons]
    for name, at in named.items():
        if name not in names:
            what, expected = "no skeleton of the stack has this name", ", ".join(names) or "the name of a skeleton"
            yield Problem(at, what, expected, repr(name), suggestion(name, names, _FIX))
