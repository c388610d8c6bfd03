"""One stack of a study into the release; what an earlier build made of the same raw file is left alone."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from neuropack.build import bids, derivatives, preprocessed, registration
from neuropack.build.annotations import Annotations, annotation_outputs
from neuropack.build.document import Made
from neuropack.build.labels import opened_labels
from neuropack.build.ledger import Ledger, last_touched
from neuropack.build.marking import Derived
from neuropack.build.nwb import nwb_metadata
from neuropack.build.place import Place
from neuropack.build.plan import Planned, opened
from neuropack.convert import Result, convert
from neuropack.engine import Progress
from neuropack.errors import UsageError
from neuropack.manifest import Entry, digest_of, entry_of
from neuropack.source import fingerprint
from neuropack.study import Study
from neuropack.study.records import Record
from neuropack.volume import Volume
from neuropack.writers.sink import Missing

_MOST_TOLD = 10  # missing boxes in the notes of a stack; the record in its image has them all


@dataclass(frozen=True)
class Stacks:
    """Makes the stacks of a study, one after the other.

    Attributes:
        study: what is built.
        place: where the release is.
        ledger: what is known of the files there.
        keep_going, progress: see `neuropack.build.build`.
        options: more for every conversion, see `neuropack.convert.convert`.
        restored: images and NWB files that were not what a build had written, and were made again.
    """

    study: Study
    place: Place
    ledger: Ledger
    keep_going: bool
    progress: Progress | None
    options: Mapping[str, Any]
    restored: list[str] = field(default_factory=list)

    @cached_property
    def _derived(self) -> Derived:
        """The tables that earlier builds worked out."""
        return Derived(self.place)

    def make(self, one: Planned) -> Made:
        """Convert a stack and its labels, and write its other annotations."""
        stack = one.stack

        def tell(stage: str, done: int, total: int) -> None:
            if self.progress is not None:
                self.progress(f"{stack.title}: {stage}", done, total)

        options: dict[str, Any] = {**self.options, "progress": tell, "keep_going": self.keep_going}
        options["digests"] = True
        annotations = Annotations(self.place, self.ledger, self._derived, one, tell)
        values, raw_digests = self._labels(one, options)
        annotations.before_the_image()
        with opened(one) as volume:
            metadata = nwb_metadata(self.study, one, annotations)
            result, raw_digests[stack.file] = self._convert(
                stack.file, [stack.image, stack.nwb], partial(convert, volume, nwb=metadata, **options)
            )
            one.notes += _holes(stack.file.name, volume.axes, result.missing)
            done = self._preprocessed(one, volume, options, holes=bool(result.missing))
            if registration.shows_in_ccf(one):
                self._in_ccf(one, volume, options)
            annotations.after_the_image(volume)
        for name in outputs(one):  # of a conversion that was begun with other settings and given up
            for rest in unfinished(self.place, name):
                self.place.remove(rest)
        for name, data in (*annotations.files(), *_derived(one)):
            self.place.put(name, data)
            self.ledger.note({name: entry_of(data)})
        made = Made(one, result, raw_digests=raw_digests, label_values=values)
        made.marks, made.colors, made.derived = annotations.marks, annotations.colors, annotations.derived
        made.agreements = annotations.agreements
        made.preprocessing = done
        made.digests = {name: self.ledger.digest(name) for name in outputs(one) if not name.endswith(".json")}
        return made

    def _labels(self, one: Planned, options: Mapping[str, Any]) -> tuple[tuple[int, ...], dict[Path, str]]:
        """Convert the label image: the values that are listed, and the digest of its file."""
        stack = one.stack
        if stack.labels is None:
            return (), {}
        touched = last_touched(stack.labels)
        with opened_labels(one) as labels:
            if labels.made_by:  # other processes could not draw it
                options = {k: v for k, v in options.items() if k not in ("processes", "cluster")}
            run = partial(convert, labels, labels=True, **options)
            result, digest = self._convert(stack.labels, [stack.label_image], run)
        one.notes += _holes(stack.labels.name, labels.axes, result.missing)
        named = [entry["value"] for entry in stack.annotation.get("label_map", ())]
        values = derivatives.label_values(self.place, stack.label_image, named, one.notes)
        name, data = derivatives.named_labels(self.place, one, values)
        self.place.put(name, data)
        self.ledger.note({name: entry_of(data)}, self.place.files(name))
        self.ledger.note_raw(stack.label_image, digest, touched)  # whose digest is another one now
        return values, {stack.labels: digest}

    def _preprocessed(self, one: Planned, volume: Volume, options: Mapping[str, Any], *, holes: bool) -> Record:
        """The stack by its recipe, and its sidecar; what was done, nothing where no recipe is named."""
        stack = one.stack
        if stack.preprocess is None:
            return {}
        here = {k: v for k, v in options.items() if k not in ("processes", "cluster")}  # it is computed here
        with ExitStack() as opened_too:
            if not holes and isinstance(written := self.place.at(stack.image), Path):
                volume = opened_too.enter_context(preprocessed.as_written(volume, written))
            made, done = preprocessed.made_of(stack, stack.preprocess, volume, self.place, options["progress"])
            self._convert(stack.file, [stack.preprocessed_image], partial(convert, made, **here))
        name, data = preprocessed.sidecar_of(stack), preprocessed.sidecar_text(self.study, one, done).encode()
        self.place.put(name, data)
        self.ledger.note({name: entry_of(data)})
        return done

    def _in_ccf(self, one: Planned, volume: Volume, options: Mapping[str, Any]) -> None:
        """The stack resampled into the CCF, and its sidecar."""
        from neuropack.space.registered import registered_sidecar, registered_volume

        stack, how, placement = one.stack, one.stack.registration, one.placement
        if how is None or how.image_um is None or placement is None:
            return
        made = registered_volume(volume, placement.transform, how.image_um)
        here = {k: v for k, v in options.items() if k not in ("processes", "cluster")}  # it is small
        run = partial(convert, made, **here)
        self._convert(stack.file, [stack.registered_image], run)
        source = {"Sources": [f"bids:raw:{stack.image}", f"bids::{stack.transform_file.split('/', 2)[2]}"]}
        sidecar = {**bids.sidecar(self.study, one), **registered_sidecar(made), **source}
        data, name = bids.json_text(sidecar).encode(), stack.registered_image.removesuffix(".ome.zarr") + ".json"
        self.place.put(name, data)
        self.ledger.note({name: entry_of(data)})

    def _convert(self, raw: Path, names: Sequence[str], run: Callable[..., Result]) -> tuple[Result, str]:
        """Convert a raw file, where that is needed; the result, and the digest of the raw file."""
        again = [name for name in names if self.ledger.spoilt(name)]
        self.restored.extend(name for name in again if self.place.files(name))
        record = self.place.record(names[0]) or {}
        same = names[0] not in again and record.get("source") == fingerprint(raw)
        touched = last_touched(raw)
        source, since = self.ledger.raw(names[0]) if same else (None, 0)
        if source and touched >= since:
            digest = digest_of(raw)
            if digest != source:  # changed where the conversion, which looks at samples, may not see it
                again = list(names)
            source = digest
        if record.get("missing") and not self.keep_going:
            again = list(names)
        holes = bool(record.get("missing")) and source is not None and not again

        def begin(changing: Collection[Path | str]) -> None:
            self.place.changing()
            for name in names:
                if self.place.in_place and self.place.at(name) in changing:
                    self.ledger.forget(name)

        with self.place.replacing(again):
            run = partial(run, before_change=begin)
            result = _run(run, [self.place.at(name) for name in names], keep=holes)
        named = dict(zip(result.destinations, names, strict=True))
        for path, files in result.files.items():
            below = named[path]
            known = {
                f"{below}/{name}" if name else below: Entry(size, digest)
                for name, (size, digest) in files.items()
                if digest
            }
            self.ledger.note_written(below, known)
        source = source or digest_of(raw)
        self.ledger.note_raw(names[0], source, touched)
        return result, source


def _run(run: Callable[..., Result], destinations: Sequence[Path | str], *, keep: bool) -> Result:
    """Convert; the release is ours, so what changed in the study replaces what was built.

    Args:
        run: the conversion, but for its destinations.
        destinations: of it.
        keep: what is there has holes, and the raw file is the same: that alone is no reason to convert it again.
    """
    if keep:
        with suppress(UsageError):  # other settings are
            return run(destinations, overwrite=False)
    return run(destinations, overwrite=True)


def outputs(one: Planned) -> list[str]:
    """Every image and text that a stack puts below the subjects' folders."""
    stack = one.stack
    neurons = [traced.id for traced in one.annotated.neurons]
    found = [stack.image, stack.sidecar, stack.nwb, *annotation_outputs(one)]
    if one.placement is not None:
        found += one.placement.file_names(stack.transform_file)
        found += [stack.landmarks_file] if one.placement.landmarks is not None else []
        found += [stack.morphology_ccf(name) for name in neurons]
    found += preprocessed.files(stack)
    if registration.shows_in_ccf(one):
        found += [stack.registered_image, stack.registered_image.removesuffix(".ome.zarr") + ".json"]
    return found


def _derived(one: Planned) -> Iterator[tuple[str, bytes]]:
    """The files of a stack's registration: transform, landmarks, and its neurons in the CCF."""
    stack, placement = one.stack, one.placement
    if placement is None:
        return
    yield from placement.files(stack.transform_file)
    if placement.landmarks is not None:
        yield stack.landmarks_file, registration.landmarks_text(placement.landmarks, placement.fit).encode()
    for traced in one.annotated.neurons:
        made = derivatives.swc_in_ccf(placement.neurons[traced.id], stack.morphology(traced.id))
        yield stack.morphology_ccf(traced.id), made


def unfinished(place: Place, output: str) -> list[str]:
    """What lies beside an output that an interrupted conversion may have left."""
    folder, _, name = output.rpartition("/")
    names = (child.rstrip("/") for child in place.children(folder))
    return [f"{folder}/{n}" for n in names if n != name and n.removeprefix(".").startswith(name)]


def _holes(name: str, axes: str, missing: Sequence[Missing]) -> list[str]:
    """What could not be decoded, in words."""
    told = [
        f"{name}: a part could not be decoded and is zero: "
        + ", ".join(
            f"{a} {b}" if e == b + 1 else f"{a} {b} to {e - 1}" for a, (b, e) in zip(axes, m.box, strict=True)
        )
        + f" ({m.reason})"
        for m in missing[:_MOST_TOLD]
    ]
    more = len(missing) - len(told)
    return [*told, f"{name}: {more} more parts could not be decoded and are zero"] if more else told
