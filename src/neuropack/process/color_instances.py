"""Neurons of a multicolour (Brainbow) image told apart by their colours, cell by cell of a fixed lattice.

After the supervoxel graphs of Sumbul et al. 2016 (arXiv 1611.00388) and Duan et al. 2020. Channels are brought to
units of their noise. In the foreground, every voxel goes uphill to a maximum: supervoxels. Two of them are joined
by the evidence that they are of one neuron: how much likelier the angle between their colours is for one neuron
than for two, given the noise of both, and how far the light falls between them. What is likeliest is joined first,
within cells, then across them; then pieces are joined over gaps, by colour, distance, and where their tips head.
Two somata are never joined.
"""

from __future__ import annotations

import math
import tempfile
import threading
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from itertools import pairwise, product
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from neuropack.axes import Array, Box, box_shape, overlap, relative
from neuropack.errors import UsageError
from neuropack.process.around import read_around
from neuropack.process.color_options import ColorOptions
from neuropack.process.noise_units import NoiseUnits, chosen_channels, noise_units
from neuropack.process.objects import known_size
from neuropack.process.soma_detection import detect_somata
from neuropack.process.soma_shape import DetectedSoma
from neuropack.progress import Progress
from neuropack.volume import Channel, Volume

if TYPE_CHECKING:
    from neuropack.process.color_cells import Cell, Fragments, Places, Somata

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

CELL = (64, 256, 256)
"""Voxels z, y, x of a cell of the lattice, which begins at the first voxel of the image."""
_CELLS, _ENOUGH = 12, 2000  # cells, and pairs of supervoxels, that tell how far colours vary
_NARROWEST, _WIDEST = 0.04, 0.15  # radians
_SPREAD = 4.0  # far along a neurite colours vary more than between neighbours: variances
_KEPT = 4  # cells that are held decoded while labels are read


def color_instances(
    volume: Volume,
    *,
    options: ColorOptions | None = None,
    channels: Sequence[int] | None = None,
    mask: Volume | None = None,
    somata: Sequence[DetectedSoma] | None = None,
    units: NoiseUnits | None = None,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> Volume:
    """Neurons of a multicolour image as labels, 1, 2, 3 in the order of their first voxels; 0 is background.

    Each raw block is read about once for this, and once more for somata. The fragments of all cells are spooled,
    compressed, to a temporary file, from which the labels are read; `close` removes it. Memory: a cell of
    64 x 256 x 256 voxels in all channels, ten times, the voxels of the foreground on the faces of two layers of
    cells, and some hundred bytes for each fragment. How the file is cut into blocks, and which boxes are read,
    changes nothing: the lattice of cells is fixed.

    Args:
        volume: one time point, its voxel size known.
        options: what tells neurons apart.
        channels: numbers of those that are looked at, from 0; all of them where it is None.
        mask: the foreground, one channel of as many voxels, where it is above 0; None: found by its brightness.
        somata: that are never joined, as `detect_somata` gives them; it is asked where they are None.
        units: background and noise of these channels, where they are known.
        folder: for the temporary file; None: the system's own.
        progress: told voxels done and in all.

    Raises:
        UsageError: the voxel size is not known, there are several time points, or the mask is of another size.
        InputError: there is no number in the image, or a file is damaged.
    """
    from neuropack.process.color_cells import Somata

    wanted = options or ColorOptions()
    wanted.check()
    chosen = chosen_channels(volume, channels)
    volume.require_voxel_size()
    depth, height, width = volume.voxel_size_um
    step = known_size((depth if depth is not None else height, height, width))  # a plane as thick as it is fine
    if mask is not None and (mask.size_zyx != volume.size_zyx or mask.n_channels != 1 or mask.n_times != 1):
        raise UsageError(
            "the mask is not that of the image",
            file=mask.path,
            expected=f"one channel of {' x '.join(map(str, volume.size_zyx))} voxels (z, y, x)",
            found=f"{mask.n_channels} channel(s) of {' x '.join(map(str, mask.size_zyx))}",
        )
    known = units if units is not None else noise_units(volume, chosen)
    bodies = (
        somata if somata is not None else detect_somata(volume, channels=chosen, units=known, progress=progress)
    )
    places = np.array([one.xyz[::-1] for one in bodies], np.float64).reshape(-1, 3)
    maker = _Maker(
        volume, chosen, known, mask, step, wanted, Somata(places, np.array([b.radius_um for b in bodies]))
    )
    spool = _Spool(volume.size_zyx, folder)
    try:
        labels = maker.made(spool, progress)
    except BaseException:
        spool.close()
        raise
    made_by = {
        **asdict(wanted),
        **known.record(),
        "channels": list(chosen),
        "somata": [[*map(float, one.xyz), one.radius_um] for one in bodies],
        **({"mask": mask.path.name} if mask is not None else {}),
    }
    return replace(
        volume,
        native_axes="CZYX",
        native_shape=(1, *volume.size_zyx),
        dtype=np.dtype(np.uint32),
        pixels=_Instances(volume, spool, labels),
        channels=(Channel(name="neurons"),),
        levels=(),
        labels=True,
        made_by={**volume.made_by, "color_instances": made_by},
    )


class _Spool:
    """Labels of cells in a temporary file, compressed; each is put once, in C order, and read from any thread."""

    def __init__(self, shape: tuple[int, int, int], folder: Path | None) -> None:
        self.shape = shape
        self.size = tuple(min(n, c) for n, c in zip(shape, CELL, strict=True))
        self.counts = tuple(-(-n // s) for n, s in zip(shape, self.size, strict=True))
        self.file: IO[bytes] = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - as long as the labels are read
        self._at: list[tuple[int, int]] = []
        self._lock = threading.Lock()

    def boxes(self) -> Iterator[tuple[tuple[int, ...], Box]]:
        """The cells by their place in the lattice, in C order."""
        for key in product(*map(range, self.counts)):
            yield key, self.box(key)

    def box(self, key: tuple[int, ...]) -> Box:
        return tuple(slice(k * s, min((k + 1) * s, n)) for k, s, n in zip(key, self.size, self.shape, strict=True))

    def number(self, key: tuple[int, ...]) -> int:
        return (key[0] * self.counts[1] + key[1]) * self.counts[2] + key[2]

    def put(self, labels: npt.NDArray[np.int32]) -> None:
        data = zlib.compress(labels.tobytes(), 1) if labels.any() else b""
        self._at.append((self.file.seek(0, 2), len(data)))
        self.file.write(data)

    def get(self, key: tuple[int, ...]) -> npt.NDArray[np.int32]:
        start, length = self._at[self.number(key)]
        shape = box_shape(self.box(key))
        if not length:
            return np.zeros(shape, np.int32)
        with self._lock:
            self.file.seek(start)
            data = self.file.read(length)
        return np.frombuffer(zlib.decompress(data), np.int32).reshape(shape)

    def close(self) -> None:
        self.file.close()

    def __del__(self) -> None:
        self.file.close()


class _Instances:
    """Labels (c, z, y, x): those of the fragments of a cell, through a table."""

    cheap_parts = True

    def __init__(self, source: Volume, spool: _Spool, labels: list[npt.NDArray[np.uint32]]) -> None:
        self._source, self._spool, self._labels = source, spool, labels
        self._kept: dict[int, Array] = {}
        self._lock = threading.Lock()

    @property
    def overhead_bytes(self) -> int:
        """Cells that are kept, and one that is made."""
        return (_KEPT + 2) * 4 * math.prod(self._spool.size)

    def read(self, box: Box, out: Array | None = None) -> Array:
        """The labels of a box."""
        out = np.empty(box_shape(box), np.uint32) if out is None else out
        inner = box[1:]
        for key in product(
            *(range(s.start // c, -(-s.stop // c)) for s, c in zip(inner, self._spool.size, strict=True))
        ):
            cell = self._spool.box(key)
            part = overlap(cell, inner)
            if part:
                out[0][relative(part, inner)] = self._cell(key)[relative(part, cell)]
        return out

    def _cell(self, key: tuple[int, ...]) -> Array:
        number = self._spool.number(key)
        with self._lock:
            found = self._kept.get(number)
        if found is None:
            found = self._labels[number][self._spool.get(key)]
            with self._lock:
                self._kept[number] = found
                while len(self._kept) > _KEPT:
                    del self._kept[next(iter(self._kept))]
        return found

    def native_blocks(self) -> Iterator[Box]:
        """The cells."""
        for _, box in self._spool.boxes():
            yield (slice(0, 1), *box)

    def close(self) -> None:
        """Remove the temporary file, and close the image."""
        self._spool.close()
        self._source.close()


class _Maker:
    """Cells to fragments, fragments to neurons."""

    def __init__(
        self,
        volume: Volume,
        channels: tuple[int, ...],
        units: NoiseUnits,
        mask: Volume | None,
        step: tuple[float, float, float],
        options: ColorOptions,
        somata: Somata,
    ) -> None:
        self._volume, self._channels, self._units, self._mask = volume, channels, units, mask
        self._step, self._options, self._somata = step, options, somata

    def made(self, spool: _Spool, progress: Progress | None) -> list[npt.NDArray[np.uint32]]:
        """For each cell the label of each of its fragments, 0 first."""
        from neuropack.process.color_join import Faces, neurons_of

        if self._options.width is None:
            self._options = replace(self._options, width=self._width(spool))
        faces = Faces(spool.shape, spool.size)
        fragments: list[Fragments] = []
        places: list[Places] = []
        starts = [0]
        done, total = 0, math.prod(spool.shape)
        for key, box in spool.boxes():
            cell = self._cell(box)
            spool.put(cell.labels)
            faces.add(key, box, cell.labels, cell.bright, starts[-1])
            faces.inside(cell.pairs + starts[-1], cell.saddles)
            fragments.append(cell.fragments)
            places.append(cell.places._replace(fragment=cell.places.fragment + starts[-1]))
            starts.append(starts[-1] + len(cell.fragments.voxels))
            done += cell.labels.size
            if progress:
                progress("telling neurons apart", done, total)
        neurons = neurons_of(fragments, places, faces.contacts(), len(self._channels), self._options)
        zero = np.zeros(1, np.uint32)
        return [np.concatenate([zero, neurons[a:b]]) for a, b in pairwise(starts)]

    def _width(self, spool: _Spool) -> float:
        """How far colours vary between neighbours, from some cells."""
        told: list[Floats] = []
        boxes = [box for _, box in spool.boxes()]
        for row in range(0, len(boxes), -(-len(boxes) // _CELLS)):
            self._cell(boxes[row], told)
            if sum(map(len, told)) >= _ENOUGH:
                break
        squares = np.concatenate(told)
        if not len(squares):
            return _WIDEST
        return float(np.sqrt(np.clip(_SPREAD * np.median(squares), _NARROWEST**2, _WIDEST**2)))

    def _cell(self, box: Box, told: list[Floats] | None = None) -> Cell:
        from neuropack.process.color_cells import cell_of, halo_of

        wide = self._units.of(
            read_around(self._read, box, halo_of(self._options, self._step), self._volume.size_zyx)
        )
        inside = None if self._mask is None else self._mask.read((slice(0, 1), *box))[0] > 0
        return cell_of(wide, box, inside, self._volume.size_zyx, self._step, self._options, self._somata, told)

    def _read(self, box: Box) -> Array:
        if self._channels == tuple(range(self._volume.n_channels)):
            return self._volume.read((slice(0, len(self._channels)), *box))
        return np.concatenate([self._volume.read((slice(c, c + 1), *box)) for c in self._channels])
