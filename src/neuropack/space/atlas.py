"""An atlas: an annotation, the tree of its structures, and which annotation it is.

It is opened from a file (NRRD, NIfTI, TIFF), from a cache folder of AllenSDK, from an atlas of BrainGlobe,
or from where `neuropack.space.fetch` put it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy.typing as npt

from neuropack.errors import InputError, UsageError
from neuropack.progress import Progress
from neuropack.space import brainglobe
from neuropack.space.annotation import Annotation
from neuropack.space.cache import cache_folder
from neuropack.space.label_files import read_labels
from neuropack.space.structure_files import library_table, read_structures
from neuropack.space.structures import Structures

GRAPH: Final = "structure_graph.json"
"""The name of the structure graph that is fetched."""
TEMPLATES: Final = "average_template"
"""The folder of the templates that are fetched."""

_TREES = ("structures.json", GRAPH, "structures.csv", "ontology.csv")
# The 2020 annotation "adds new annotations for layers of the Ammon's horn (CA), main olfactory bulb (MOB)" (Allen
# Institute, ABC atlas, CCF and parcellation annotation); one of 2017 has CA1 and MOB as wholes. A test sees that
# the table of iblatlas has these ids, as parts of CA1 and MOB, and the annotation of 2017 at 100 um none of them.
# Not checked, for no such file was at hand: that an annotation of 2020 in ids has them, and still has Su3.
ONLY_2020: Final = {
    **{391: "CA1slm", 399: "CA1so", 407: "CA1sp", 415: "CA1sr"},
    **{212: "MOBgl", 220: "MOBgr", 236: "MOBmi"},
}
"""Structures that own voxels in the annotation of 2020 alone."""
_SINCE_2017 = 614454277  # Su3, the last id given
# The file of the ABC atlas (Allen-CCF-2020, annotation_10.nii.gz) holds no ids but rows of its own table,
# parcellation_index; small numbers as many ids are, so that each would be taken for another region. Annotations in
# ids have some beyond a hundred million, but for the first two.
_MANY, _SMALL, _FIRST = 300, 100_000, ("2015", "2016")
_ENOUGH_UM = 100  # between the planes that are looked at: all of these structures are wider


@dataclass(frozen=True)
class Version:
    """Which annotation of the CCF it is.

    Attributes:
        name: such as ``2017``; None where nothing tells.
        source: who says so: the ``user``, the ``labels`` in it, the name of the ``folder``, or it is ``missing``.
    """

    name: str | None
    source: Literal["user", "labels", "folder", "missing"]

    def __str__(self) -> str:
        return f"{self.name or '?'} ({self.source})"


@dataclass(frozen=True)
class Atlas:
    """An annotation with the tree of its structures.

    Attributes:
        annotation: the labels.
        structures: what they stand for.
        version: which annotation it is.
    """

    annotation: Annotation
    structures: Structures
    version: Version

    def unknown(self) -> list[int]:
        """Labels of the annotation that the tree does not have."""
        return sorted(id for id in self.annotation.ids if id not in self.structures)


@dataclass(frozen=True)
class _Found:
    annotation: Path
    structures: Path | None
    mirrored: bool  # its first index along LR is at the right


def open_atlas(
    source: Path | None = None,
    *,
    structures: Path | None = None,
    version: str | None = None,
    progress: Progress | None = None,
) -> Atlas:
    """Open an atlas.

    Args:
        source: a file or a folder; what was fetched, where left out.
        structures: a table or graph of structures; by default the folder's own, else iblatlas's table, else the
            graph that was fetched.
        version: which annotation it is, where its labels and its folder do not tell.
        progress: told of the decoding of a large file.

    Raises:
        InputError: there is no annotation, it is none of the CCF, or no tree goes with it.
        UsageError: the folder holds several annotations, or the version is not the one that the labels show.
    """
    found = _find(source if source is not None else _fetched())
    annotation = _annotation(found, progress)
    tree = read_structures(structures or found.structures or _any_tree())
    return Atlas(annotation, tree, _version(annotation, version))


def open_annotation(source: Path | None = None, *, progress: Progress | None = None) -> Annotation:
    """The annotation of an atlas alone, where no names of its structures are needed.

    Args:
        source: a file or a folder; what was fetched, where left out.
        progress: told of the decoding of a large file.

    Raises:
        InputError: there is none, or it is none of the CCF.
        UsageError: nothing is named and nothing was fetched, or the folder holds several.
    """
    return _annotation(_find(source if source is not None else _fetched()), progress)


def open_template(source: Path | None = None, *, progress: Progress | None = None) -> npt.NDArray[Any]:
    """The image of the standard brain, (AP, DV, LR).

    Args:
        source: a file that fills the CCF; what was fetched, where left out, that of 25 um before the others. One
            of BrainGlobe begins at the right and is turned round.
        progress: told of the decoding of a large file.

    Raises:
        UsageError: none is named and none was fetched.
        InputError: it cannot be read, or does not fill the CCF.
    """
    if source is None:
        fetched = [cache_folder() / "atlas" / TEMPLATES / f"average_template_{um}.nrrd" for um in (25, 50, 100, 10)]
        fetched = [path for path in fetched if path.is_file()]
        if not fetched:
            raise UsageError(
                "no template is named, and none has been fetched",
                fix="name one with --template FILE, or fetch the Allen Institute's:"
                " neuropack atlas fetch --template",
            )
        source = fetched[0]
    values = read_labels(source, progress, template=True)
    return values[:, :, ::-1] if brainglobe.is_mirrored(source, "reference.tif") else values


def _annotation(found: _Found, progress: Progress | None) -> Annotation:
    labels = read_labels(found.annotation, progress)
    return Annotation(labels[:, :, ::-1] if found.mirrored else labels, found.annotation)


def _fetched() -> Path:
    folder = cache_folder() / "atlas"
    if not folder.is_dir():
        raise UsageError(
            "no annotation is named, and none has been fetched",
            fix="name one with --annotation FILE, or fetch the Allen Institute's: neuropack atlas fetch",
        )
    return folder


def _any_tree() -> Path:
    fetched = cache_folder() / "atlas" / GRAPH
    tree = library_table() or (fetched if fetched.is_file() else None)
    if tree is None:
        raise InputError(
            "no tree of structures is here to go with the annotation",
            fix="install the table that iblatlas ships (pip install neuropack[atlas]), fetch the Allen Institute's"
            " (neuropack atlas fetch), or name a file with --structures",
        )
    return tree


def _find(source: Path) -> _Found:
    """The files of an atlas."""
    if not source.exists():
        raise InputError("is not there", file=source, expected="an annotation, or the folder of an atlas")
    if manifest := brainglobe.manifest_of(source):
        return _Found(*brainglobe.parts(manifest), mirrored=True)
    folder = source if source.is_dir() else source.parent
    if source.is_dir():
        mapped = [folder / name for name in ("annotation.tiff", "annotation.tif") if (folder / name).is_file()]
        allen = (p for where in ("", "*/", "*/*/") for p in folder.glob(f"{where}annotation_*.nrrd"))
        files = mapped or sorted(allen)
        if not files:
            raise InputError(
                "holds no annotation",
                file=source,
                expected="annotation.tiff of a BrainGlobe atlas, or annotation_25.nrrd and the like of AllenSDK",
            )
        if len(files) > 1:
            raise UsageError(
                "holds several annotations",
                file=source,
                found=", ".join(str(p.relative_to(folder)) for p in files),
                fix="name one of these files",
            )
        source = files[0]
    trees = [where / name for where in (folder, source.parent) for name in _TREES if (where / name).is_file()]
    return _Found(source, trees[0] if trees else None, brainglobe.is_mirrored(source))


def _version(annotation: Annotation, stated: str | None) -> Version:
    """What the user states, what the labels show, what a folder such as ``ccf_2017`` is called."""
    ids = annotation.ids_every(_ENOUGH_UM)
    if len(ids) > _MANY and max(ids) < _SMALL and stated not in _FIRST:
        raise InputError(
            "does not hold the ids of structures",
            file=annotation.source,
            expected=f"ids, of which some are beyond {_SMALL}",
            found=f"{len(ids)} labels up to {max(ids)}, such as the parcellation_index of the ABC atlas",
            fix="put in place of each index the id that parcellation.csv beside it has in its label",
        )
    shown = _shown_by(ids)
    if stated and shown and stated != shown:
        raise UsageError(
            f"is not the annotation of {stated}",
            file=annotation.source,
            found=f"its labels are those of {shown}",
        )
    if stated:
        return Version(stated, "user")
    if shown:
        return Version(shown, "labels")
    named = re.search(r"ccf_(20\d\d)", annotation.source.parent.name)
    return Version(named[1], "folder") if named else Version(None, "missing")


def _shown_by(ids: frozenset[int]) -> str | None:
    """The version whose set of labels this is, where that can be told."""
    if _SINCE_2017 not in ids:
        return None
    return "2020" if ids & ONLY_2020.keys() else "2017"
