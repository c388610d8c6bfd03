"""The truth about simulated stacks that no other part of a release holds: tables for ``derivatives/benchmark``."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neuropack.build.bids import Texts, json_text, tsv_text
from neuropack.simulate.settings import Simulation, split_of
from neuropack.simulate.stack import SimulatedStack
from neuropack.simulate.trees import DIGITS
from neuropack.skeleton import SOMA
from neuropack.whole import published

_OVERLAPS = "simulated_overlaps"

# What each column of each table says.
_ID = {"participant_id": "The subject", "image_stack": "The stack, by its identifier in the metadata"}
_AXES = "z, y and x"
COLUMNS: dict[str, dict[str, str]] = {
    "simulated_neurons": {
        **_ID,
        "neuron_id": "The neuron, by its identifier in the metadata",
        "label": "Its value in the label image",
        "source": "The SWC file that its course is from; n/a for one that grew",
        "soma_x_um": "Centre of its soma from the corner of the first voxel, before any shift of a channel",
        "soma_y_um": "See soma_x_um",
        "soma_z_um": "See soma_x_um",
        "soma_radius_um": "Radius of its soma",
        "copies": "Copies of each fluorophore, in the order of the channels, with commas",
        "brightness": "Its brightness in each fluorophore, in the order of the channels, with commas",
    },
    "simulated_channels": {
        **_ID,
        "channel": "Index from 0",
        "fluorophore": "What shines",
        "shift_z_um": f"How far the image of the channel lies from labels and skeletons, along {_AXES}",
        "shift_y_um": "See shift_z_um",
        "shift_x_um": "See shift_z_um",
        "scale": "How much the image of the channel is stretched about the centre of the stack",
        "psf_sigma_z_um": f"Standard deviation of the blur along {_AXES}",
        "psf_sigma_y_um": "See psf_sigma_z_um",
        "psf_sigma_x_um": "See psf_sigma_z_um",
        "attenuation_um": "Depth at which the light has fallen to 1/e",
        "mixing": "How much of the light of each fluorophore the channel sees, with commas",
    },
    "simulated_tiles": {
        **_ID,
        "tile": "Index from 0, row by row",
        **{f"{axis}{end}": "First voxel of the tile, and the one behind its last" for axis in "yx" for end in "01"},
        "shift_z": f"Voxels by which the tissue in the tile lies beside labels and skeletons, along {_AXES}",
        "shift_y": "See shift_z",
        "shift_x": "See shift_z",
        "gain": "Factor on the light of the tile",
        "offset_photons": "Photons on top of it",
        "vignetting": "Light that the corners of the tile lose",
    },
    _OVERLAPS: {
        "z": "Voxel",
        "y": "Voxel",
        "x": "Voxel",
        "label": "A neuron that has the voxel too, beside the one whose value the label image holds there",
    },
}


@dataclass(frozen=True, eq=False)
class Simulated:
    """A stack of a simulated dataset: its truth, and the names of its files in the study folder.

    Attributes:
        subject, chunk: its labels.
        index: of the subject, from 0.
        simulation: what it is made from.
        made: the stack.
        sources: of each neuron the file that its course is from.
    """

    subject: str
    chunk: str
    index: int
    simulation: Simulation
    made: SimulatedStack
    sources: tuple[str | None, ...]

    @property
    def name(self) -> str:
        """Its name in the study folder."""
        return f"{self.subject}_{self.chunk}"

    @property
    def number(self) -> int:
        """Of the stack among those of the subject, from 0."""
        return int(self.chunk) - 1

    @property
    def bids_name(self) -> str:
        """Its name in the release, without the suffix."""
        return f"sub-{self.subject}_ses-01_sample-block_acq-simulated_chunk-{self.chunk}"

    @property
    def stack_id(self) -> str:
        """Its identifier in the release."""
        return f"{self.bids_name}_CONF"

    @property
    def split(self) -> str:
        """That of its subject."""
        return split_of(self.index, self.simulation.subjects)

    @property
    def raw(self) -> str:
        """The raw image."""
        return f"raw/{self.name}_simulated.ome.zarr"

    @property
    def labels(self) -> str:
        """The label image."""
        return f"annotations/{self.name}_labels.ome.zarr"

    @property
    def skeletons(self) -> str:
        """A pattern of the SWC files."""
        return f"annotations/{self.name}/*.swc"

    @property
    def somata_file(self) -> str:
        """The table of somata."""
        return f"annotations/{self.name}_somata.tsv"

    @property
    def overlaps_file(self) -> str:
        """The table of overlaps."""
        return f"truth/{_OVERLAPS}/{self.bids_name}_overlaps.tsv"

    def skeleton(self, row: int) -> str:
        """The SWC file of a neuron."""
        return f"annotations/{self.name}/{self.neuron(row)}.swc"

    def neuron(self, row: int) -> str:
        """What the study calls a neuron."""
        return f"n{row + 1:03d}"

    @property
    def somata(self) -> list[npt.NDArray[np.float64] | None]:
        """The centre of the soma of each neuron; None of one without."""
        return [skeleton.soma() for skeleton in self.made.skeletons]


def truth_files(folder: Path, record: bytes, stacks: Sequence[Simulated]) -> dict[str, bytes]:
    """The files of ``derivatives/benchmark``, by their path in it.

    Args:
        folder: of the study; overlaps are worked out once and kept there.
        record: the settings, as JSON.
        stacks: the stacks.
    """
    rows = {
        "simulated_neurons": [row for one in stacks for row in _neurons(one)],
        "simulated_channels": [row for one in stacks for row in _channels(one)],
        "simulated_tiles": [row for one in stacks for row in _tiles(one)],
    }
    texts: Texts = {}
    for name, found in rows.items():
        if found:
            texts[f"{name}.tsv"] = tsv_text(list(COLUMNS[name]), found)
            texts[f"{name}.json"] = _columns(name)
    files = {path: text.encode() for path, text in texts.items()} | {"simulation.json": record}
    for one in stacks:
        path = folder / one.overlaps_file
        if not path.exists():
            with published(path) as partial, partial.open("w", encoding="utf-8", newline="\n") as out:
                _write_overlaps(one, out)
        files[f"{_OVERLAPS}/{path.name}"] = path.read_bytes()
    files[f"{_OVERLAPS}/overlaps.json"] = _columns(_OVERLAPS).encode()
    return files


def _columns(table: str) -> str:
    return json_text({name: {"Description": said} for name, said in COLUMNS[table].items()})


def _neurons(one: Simulated) -> Iterator[dict[str, Any]]:
    made = one.made
    for i, skeleton in enumerate(made.skeletons):
        soma = skeleton.soma()
        x, y, z = (round(float(v), DIGITS) for v in soma) if soma is not None else (None, None, None)
        yield {
            "participant_id": f"sub-{one.subject}",
            "image_stack": one.stack_id,
            "neuron_id": f"{one.bids_name}_desc-{one.neuron(i)}",
            "label": i + 1,
            "source": one.sources[i],
            "soma_x_um": x,
            "soma_y_um": y,
            "soma_z_um": z,
            "soma_radius_um": float(skeleton.radius[skeleton.type == SOMA].max()) if soma is not None else None,
            "copies": _listed(made.copies[i]),
            "brightness": _listed(made.colors[i]),
        }


def _channels(one: Simulated) -> Iterator[dict[str, Any]]:
    optics, fluorophores = one.simulation.optics, one.simulation.fluorophores
    for c, fluorophore in enumerate(fluorophores):
        shift = optics.shift_um[c] if optics.shift_um else (0.0, 0.0, 0.0)
        sigma = optics.sigma_um(fluorophore.emission_nm)
        mixing = optics.mixing[c] if optics.mixing else np.eye(len(fluorophores))[c]
        yield {
            "participant_id": f"sub-{one.subject}",
            "image_stack": one.stack_id,
            "channel": c,
            "fluorophore": fluorophore.name,
            **{f"shift_{axis}_um": v for axis, v in zip("zyx", shift, strict=True)},
            "scale": optics.scale[c] if optics.scale else 1.0,
            **{f"psf_sigma_{axis}_um": round(v, 4) for axis, v in zip("zyx", sigma, strict=True)},
            "attenuation_um": round(optics.attenuation_length_um(fluorophore.emission_nm), 2),
            "mixing": _listed(mixing),
        }


def _tiles(one: Simulated) -> Iterator[dict[str, Any]]:
    for i, tile in enumerate(one.made.tiles):
        yield {
            "participant_id": f"sub-{one.subject}",
            "image_stack": one.stack_id,
            "tile": i,
            "y0": tile.y.start,
            "y1": tile.y.stop,
            "x0": tile.x.start,
            "x1": tile.x.stop,
            **{f"shift_{axis}": v for axis, v in zip("zyx", tile.shift, strict=True)},
            "gain": round(tile.gain, 5),
            "offset_photons": round(tile.offset_photons, 5),
            "vignetting": tile.vignetting,
        }


def _write_overlaps(one: Simulated, out: io.TextIOBase) -> None:
    """Write the voxels that several neurons have, block by block; only blocks that two come near are computed."""
    out.write("\t".join(COLUMNS[_OVERLAPS]) + "\n")
    scene = one.made.scene
    for box in one.made.labels.pixels.native_blocks():
        if len(scene.near(box)) > 1:
            _, hidden = scene.labels(box)
            out.writelines("\t".join(map(str, row)) + "\n" for row in hidden.tolist())


def _listed(values: Any) -> str:
    return ",".join(f"{float(v):.5g}" for v in values)
