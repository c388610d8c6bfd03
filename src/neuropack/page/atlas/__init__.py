"""The summary of the neurons of a release by brain region: tables, figures, and a page with both."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import neuropack
from neuropack.errors import InputError, OutputError, UsageError
from neuropack.locks import only_one
from neuropack.manifest import MANIFEST, sha256_of
from neuropack.page.atlas.atlases import Used, find_atlas
from neuropack.page.atlas.records import Neuron, read_lengths, read_neurons
from neuropack.page.atlas.tables import Tables, summarise
from neuropack.page.facts import readable
from neuropack.progress import Progress
from neuropack.release import METADATA, NEURONS, REGIONS, Release, open_release
from neuropack.space.levels import ANNOTATION, SUMMARY, Level, level_of
from neuropack.whole import published_folder

DOCUMENT: Final = "summary.json"
PAGE: Final = "summary.html"


@dataclass(frozen=True)
class Done:
    """A summary that is written.

    Attributes:
        out: its folder.
        document: the content of ``summary.json``.
        fresh: whether it was made by this call, or found there.
    """

    out: Path
    document: Mapping[str, Any]
    fresh: bool


def write_summary(
    release: Path,
    out: Path,
    *,
    level: str | None = None,
    annotation: Path | None = None,
    structures: Path | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Done:
    """Summarise the neurons of a release by region, in a folder of its own.

    Args:
        release: the folder of the release; it stays as it is.
        out: folder for the summary; written whole, or not at all.
        level: how finely the brain is divided, see `neuropack.space.levels.level_of`; by default ``summary``, or
            ``annotation`` where there is no tree of structures.
        annotation: of the atlas; by default the release's own, else what was fetched.
        structures: the tree; by default what goes with the annotation.
        overwrite: replace another summary.
        progress: told of what takes time.

    Raises:
        InputError: the release has no neurons in the atlas, or a table of it makes no sense.
        UsageError: another summary, or something else, is in the way; or the level or the annotation does not fit.
        OutputError: the folder cannot be written.
    """
    opened = open_release(release)
    _apart(release, out)
    neurons, elsewhere = read_neurons(release)
    used = find_atlas(opened.path, opened.metadata, annotation, structures, progress)
    division = level_of(level or (SUMMARY if used.structures else ANNOTATION), used.structures)
    source = _fingerprint(opened, used, division)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot be written: {error.strerror}", file=out) from error
    with only_one(out):
        there = _found(out)
        if there is not None and there.get("source") == source and not overwrite:
            return Done(out, there, fresh=False)
        _free(out, there, overwrite=overwrite)
        with published_folder(out) as partial:
            document = _write(partial, opened, neurons, elsewhere, used, division, progress)
            document = {**document, "source": source}
            text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)
            (partial / DOCUMENT).write_text(text + "\n", encoding="utf-8", newline="\n")
    return Done(out, document, fresh=True)


def _write(
    folder: Path,
    release: Release,
    neurons: Sequence[Neuron],
    elsewhere: int,
    used: Used,
    level: Level,
    progress: Progress | None,
) -> dict[str, Any]:
    from neuropack.page.atlas import figures
    from neuropack.page.atlas.document import page
    from neuropack.page.atlas.neurites import draw
    from neuropack.space.volumes import volumes_mm3

    volumes = volumes_mm3(used.atlas.annotation, progress) if used.atlas else None
    by_key = {one.key: one for one in neurons}
    tables = summarise(neurons, read_lengths(release.path, by_key), level, volumes)
    try:
        texts = {
            "regions.tsv": tables.regions_tsv(),
            "projections.tsv": tables.projections_tsv(),
            "projection_matrix.tsv": tables.matrix_tsv(),
        }
    except ValueError as error:
        tree = used.structures.source if used.structures else release.path / REGIONS
        raise InputError("a name cannot stand in a table", file=tree, found=str(error)) from error
    drawn = draw(neurons, sum(sum(row.lengths_um.values()) for row in tables.regions), progress)
    notes = [*used.notes, *_notes(tables, elsewhere, sum(one.beyond for one in drawn))]
    pictures = figures.draw_all(tables, drawn, used, level, notes)
    files: dict[str, bytes] = {name: text.encode() for name, text in texts.items()} | pictures
    document = {
        "neuropack": neuropack.__version__,
        "release": _title(release),
        "atlas": used.record(),
        "level": level.name,
        "n_neurons_not_in_the_atlas": elsewhere,
        "totals": tables.totals(),
        "notes": notes,
        "findings": list(tables.findings),
        "regions": [row.record() for row in tables.regions],
        "projections": [one.record() for one in tables.projections],
        "files": sorted([*files, DOCUMENT, PAGE]),
    }
    files[PAGE] = page(document, tables, used, pictures).encode()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return document


def _title(release: Release) -> dict[str, Any]:
    dataset = release.metadata.get("dataset")
    told = dataset if isinstance(dataset, Mapping) else {}
    return {
        "folder": release.path.resolve().name,
        **{
            key: readable(str(told[key]))[:300] if told.get(key) is not None else None
            for key in ("title", "version")
        },
    }


def _notes(tables: Tables, elsewhere: int, beyond: int) -> Iterator[str]:
    """What a reader of the tables and figures has to know."""
    kinds: dict[str, float] = {}
    for row in tables.regions:
        kinds[row.area.kind] = kinds.get(row.area.kind, 0.0) + sum(row.lengths_um.values())
    total = sum(kinds.values())
    for kind, words in (
        ("outside", "lies outside of the brain"),
        ("rest", "lies in the brain, but in none of these regions"),
        ("unknown", "lies in labels that the tree of structures does not have"),
    ):
        if kinds.get(kind):
            yield f"{100 * kinds[kind] / total:.3g} % of the length {words}"
    if elsewhere:
        yield f"{elsewhere} neuron(s) of the release are not placed in the atlas and not counted"
    no_soma = sum(one.region_id is None for one in tables.neurons)
    if no_soma:
        yield f"{no_soma} neuron(s) have no soma in a known region"
    if beyond:
        yield f"{beyond} node(s) lie outside of the volume of the CCF and are not drawn"


def _fingerprint(release: Release, used: Used, level: Level) -> dict[str, str | None]:
    """What a summary depends on: made from the same, it is the same."""
    root = release.path
    sealed = root / MANIFEST
    names = [sealed] if sealed.is_file() else [root / name for name in (NEURONS, REGIONS, METADATA)]
    digest = hashlib.sha256("".join(sha256_of(one).sha256 for one in names if one.is_file()).encode()).hexdigest()
    labels = used.atlas.annotation.labels if used.atlas else None
    tree = Path(used.structures.source) if used.structures else None
    return {
        "neuropack": neuropack.__version__,
        "release_sha256": digest,
        "level": level.name,
        "annotation": f"{used.record()['annotation']} {labels.shape} {labels.dtype}"
        if labels is not None
        else None,
        "structures_sha256": sha256_of(tree).sha256 if tree else None,
    }


def _apart(release: Path, out: Path) -> None:
    """See that the summary does not go into the release, which is sealed by its manifest, or around it."""
    inside, above = out.resolve(), release.resolve()
    if inside.is_relative_to(above) or above.is_relative_to(inside):
        raise UsageError(
            "the summary cannot be written into the release or around it",
            file=out,
            expected="a folder of its own: the release is sealed by its manifest",
            fix="name another folder with --out DIR",
        )


def _found(out: Path) -> dict[str, Any] | None:
    """The document of the summary in a folder; None where there is none."""
    try:
        found = json.loads((out / DOCUMENT).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and isinstance(found.get("source"), dict) else None


def _free(out: Path, there: Mapping[str, Any] | None, *, overwrite: bool) -> None:
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if there is None:
        raise UsageError("is there already, and is no summary", file=out, fix="name another folder with --out DIR")
    strange = sorted(one.name for one in out.iterdir() if one.name not in (there.get("files") or ()))
    if strange and overwrite:
        raise UsageError(
            "holds files that are not of the summary",
            file=out,
            found=", ".join(strange[:5]),
            fix="move them elsewhere, or name another folder with --out DIR",
        )
    if not overwrite:
        raise UsageError(
            "holds a summary of something else: another release, level or atlas",
            file=out,
            fix="name another folder with --out DIR, or add --overwrite",
        )
