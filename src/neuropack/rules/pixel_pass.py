"""The one pass over the pixels: decode images and NWB files, whole or a sample, and compare what is stored twice.

Shards and chunks are decoded in threads a little ahead of the looks, which see them in order. Memory is bounded by
`neuropack.rules.ahead.BUDGET` or, where that is larger, by one shard and its file.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from threading import Event
from typing import TYPE_CHECKING

from neuropack.axes import Array, Box
from neuropack.errors import InputError
from neuropack.manifest import sha256_of
from neuropack.release import METADATA
from neuropack.rules.ahead import ahead
from neuropack.rules.compared import Beside, Compared, Shard, Start, read_and_compare
from neuropack.rules.digests import keep_digest
from neuropack.rules.hdf5_chunks import DatasetChunks
from neuropack.rules.kept import Stamp, stamp
from neuropack.rules.looks import Look
from neuropack.rules.nwb_file import Dataset, NwbFile, blocks, open_hdf5, read_block
from neuropack.rules.ome_zarr import Level, OmeZarr
from neuropack.rules.pixel_looks import Contents
from neuropack.rules.pixels import Failure, Mismatch, Pair, PixelScan, partner
from neuropack.rules.pyramids import Pyramids
from neuropack.rules.summaries import SummaryLook
from neuropack.rules.zarr_array import ZarrArray

if TYPE_CHECKING:
    import h5py

    from neuropack.rules.release_files import ReleaseFiles

Place = tuple[Level, ZarrArray, str, Box]


def scan(release: ReleaseFiles) -> PixelScan:
    """Decode what the level wants. Chunks whose file is absent or empty are told by other rules."""
    return _Pass(release).run()


class _Pass:
    """One pass over the pixels of a release, with the running counts."""

    def __init__(self, release: ReleaseFiles) -> None:
        self.release, self.checked, self.sample = release, release.checked, release.sample
        self.result = PixelScan(Contents(release), Pyramids(release))
        self.summaries = SummaryLook(release)
        self.looks: list[Look] = [self.summaries, self.result.contents, self.result.pyramids]
        images = sum(i.bytes for i in release.images)
        self.total = images + sum(d.bytes for n in release.nwb_files if n.usable for d in n.datasets)
        self._read: dict[str, set[Start]] = {}  # chunks of the NWB file at hand that need no second look, by path

        self._stamps: dict[str, Stamp | None] = {}  # of the files of the image at hand, before they were read

    def run(self) -> PixelScan:
        paired = set()
        for image in self.release.images:
            nwb, level, pairs = partner(self.release, image)
            if nwb is not None and nwb.name in paired:
                nwb, level, pairs = None, None, []
            paired |= {nwb.name} if nwb is not None else set()
            self._together(image, nwb, level, [p for p in pairs if p.data.missing is None])
        for nwb in self.release.nwb_files:
            if nwb.usable and nwb.name not in paired:
                self._together(None, nwb, None, [])
        self.result.summaries = self.summaries.differs
        for file, folder, error in self.summaries.failures:
            self.result.zarr_failures.append(Failure(file, folder, _reason(error)))
        return self.result

    def _together(self, image: OmeZarr | None, nwb: NwbFile | None, twin: Level | None, pairs: list[Pair]) -> None:
        """An image with its NWB file, or one of the two alone, unless an earlier run found both sound."""
        places = list(self._places(image)) if image is not None and self.sample.level != "full" else None
        self.result.chosen |= {name for _, _, name, _ in places or ()}
        key = self._key(image, nwb)
        self._count(image, nwb)
        if key is not None and self.release.kept is not None:
            value = self.release.kept.get("decoded", *key)
            if value is not None and value.isascii() and value.isdigit():
                self.checked.chunks += int(value)
                self.checked.kept += int(value)
                return
        before, failed = self.checked.chunks, self._failed()
        self._read = {}
        with ExitStack() as stack:
            file = stack.enter_context(open_hdf5(self.release, nwb.name)) if nwb is not None else None
            stack.enter_context(self._digest_beside(nwb))
            if image is not None:
                beside = Beside(file, pairs) if file is not None and pairs else None
                self._image(image, self._places(image) if places is None else iter(places), twin, beside)
            if nwb is not None and file is not None:
                self._nwb(nwb, file)
        clean = self._failed() == failed and (image is None or all(look.clean(image) for look in self.looks))
        if clean and key is not None and self.release.kept is not None and self._key(image, nwb) == key:
            self.release.kept.put(str(self.checked.chunks - before), "decoded", *key)

    @contextmanager
    def _digest_beside(self, nwb: NwbFile | None) -> Iterator[None]:
        """The digest of an NWB file whose every byte is wanted, computed while its chunks are decoded."""
        if nwb is None or self.sample.level != "full":
            yield
            return
        stop = Event()
        with ThreadPoolExecutor(1, "neuropack-digest") as pool:
            digest = pool.submit(sha256_of, self.release.path(nwb.name), stop)
            try:
                yield
                with suppress(InputError):  # the rule for digests reads it again, and tells
                    self.result.digests[nwb.name] = digest.result().sha256
            finally:  # also of one who does not wait for it
                stop.set()

    def _failed(self) -> tuple[int, ...]:
        found = self.result
        return len(found.zarr_failures), len(found.nwb_failures), sum(m.voxels for m in found.mismatches.values())

    def _key(self, image: OmeZarr | None, nwb: NwbFile | None) -> list[object] | None:
        """All that the result for an image and its NWB file hangs on; None where it is not remembered."""
        if self.release.kept is None:
            return None
        names = [nwb.name] if nwb is not None else []
        if image is not None:
            names += [METADATA, *self.release.below(image.folder)]
        stamps = {name: stamp(self.release.root / name) for name in names if name in self.release.files}
        self._stamps = stamps
        if None in stamps.values():
            return None
        looks = [type(look).__qualname__ for look in self.looks]
        return [str(self.release.root.resolve()), self.sample.level, self.sample.seed, looks, stamps]

    def _count(self, image: OmeZarr | None, nwb: NwbFile | None) -> None:
        for array in (v.array for v in image.levels if v.array) if image is not None else ():
            steps = zip(array.shape, array.chunk or array.shard, strict=True)
            self.checked.all_chunks += math.prod(-(-n // c) for n, c in steps)
        for data in nwb.datasets if nwb is not None else ():
            self.checked.all_chunks += data.stored_chunks

    def _places(self, image: OmeZarr) -> Iterator[Place]:
        """The shards of an image to decode, level by level in C order."""
        whole = self.sample.whole(image.bytes)
        for level in image.levels:
            array = level.array
            if array is None:
                continue
            count = math.prod(array.grid)
            for number in self.sample.choose(count, level.folder, whole=whole):
                at = array.place(number)
                if self.release.files.get(name := array.file_of(at)):
                    yield level, array, name, array.box_of(at)

    def _decoded(self, size: int) -> None:
        self.checked.decoded_bytes += size
        self.release.note("decoding pixels", self.checked.decoded_bytes, self.total)

    def _image(self, image: OmeZarr, places: Iterator[Place], twin: Level | None, beside: Beside | None) -> None:
        """Decode shards of an image and show them to the looks."""

        def work(place: Place) -> Shard:
            level, array, name, box = place
            return read_and_compare(self.release, array, name, box, beside if level is twin else None)

        showing = _Showing(image, self.looks, self.sample.whole(image.bytes))
        for (level, array, name, box), shard in ahead(((p, 2 * p[1].shard_bytes) for p in places), work):
            if shard.sha256 is not None:
                self.result.digests[name] = shard.sha256
                keep_digest(self.release, name, self._stamps.get(name), shard.sha256)
            if isinstance(shard.block, Exception):
                self.result.zarr_failures.append(Failure(name, level.folder, _reason(shard.block)))
                continue
            self.checked.chunks += array.chunks_in(box)
            self._decoded(shard.block.nbytes)
            showing.show(level, box, shard.block)
            for compared in shard.compared:
                self._compared(level, compared)
        showing.end()

    def _compared(self, level: Level, compared: Compared) -> None:
        pair, read = compared.pair, self._read.setdefault(compared.pair.data.path, set())
        self.checked.chunks += len(set(compared.read) - read)
        read.update(compared.read)
        self._decoded(compared.bytes)
        for start, error in compared.failures:
            self._nwb_failure(pair.nwb, pair.data, start, error)
        if compared.first is not None:
            new = Mismatch(pair.nwb, pair.data.path, level.folder, 0, *compared.first)
            seen = self.result.mismatches.setdefault((level.folder, pair.data.path), new)
            seen.voxels += compared.voxels

    def _nwb_failure(self, nwb: str, data: Dataset, start: Start, error: Exception) -> None:
        seen = self._read.setdefault(data.path, set())
        if start in seen:
            return  # it lies in two shards
        seen.add(start)
        chunk = data.chunk or data.shape
        ends = (min(a + c, n) for a, c, n in zip(start, chunk, data.shape, strict=True))
        place = f"{data.path}[{', '.join(f'{a}:{b}' for a, b in zip(start, ends, strict=True))}]"
        self.result.nwb_failures.append(Failure(nwb, place, _reason(error)))

    def _nwb(self, nwb: NwbFile, file: h5py.File) -> None:
        """Decode the chunks that were not read beside the image, whole datasets or a sample of each."""
        whole = self.sample.whole(sum(d.bytes for d in nwb.datasets))
        for data in nwb.datasets:
            seen = self._read.get(data.path, set())
            if data.chunk is None:
                runs = list(blocks(data))
                starts = [tuple(s.start for s in box) for box in runs]
                read: Callable[[Start], Array | Exception] = partial(
                    _run, file, data, dict(zip(starts, runs, strict=True))
                )
                size = max((math.prod(s.stop - s.start for s in box) for box in runs), default=0)
                size *= data.dtype.itemsize
            else:
                chunks = DatasetChunks(file, data)
                starts, read, size = chunks.starts, chunks.read, chunks.chunk_bytes
            chosen = self.sample.choose(len(starts), f"{nwb.name}{data.path}", whole=whole)
            jobs = ((starts[i], 2 * size) for i in chosen if starts[i] not in seen)
            for start, block in ahead(jobs, read):
                if isinstance(block, Exception):
                    self._nwb_failure(nwb.name, data, start, block)
                else:
                    self.checked.chunks += 1
                    self._decoded(block.nbytes)


class _Showing:
    """Shows the blocks of an image to the looks that want its levels."""

    def __init__(self, image: OmeZarr, looks: list[Look], whole: bool) -> None:
        self._image, self._whole = image, whole
        self._all = looks
        self._level: Level | None = None
        self._seen = 0
        self._looking: list[Look] = []

    def show(self, level: Level, box: Box, block: Array) -> None:
        """Hand on a block; the first one of a level ends the level before."""
        if level is not self._level:
            self.end()
            self._level, self._seen = level, 0
            ready = [look for look in self._all if self._whole or not look.needs_whole]
            self._looking = [look for look in ready if look.wants(self._image, level)]
        self._seen += 1
        for look in self._looking:
            look.look(self._image, level, box, block)

    def end(self) -> None:
        """Nothing more comes of the level at hand."""
        if self._level is None or self._level.array is None:
            return
        complete = self._seen == math.prod(self._level.array.grid)
        for look in self._looking:
            if complete or not look.needs_whole:
                look.end(self._image, self._level)
        self._looking = []


def _run(file: h5py.File, data: Dataset, boxes: dict[Start, Box], start: Start) -> Array | Exception:
    return read_block(file, data, boxes[start])


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
