"""The names that an image and what belongs to it have in a release."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

_SPACE = "space-AllenCCFv3"


@dataclass(frozen=True)
class Names:
    """Names of one image; paths are relative to the release.

    Attributes:
        folder: of the image: ``sub-M01/ses-01/micr``.
        name: the BIDS name without its suffix, such as ``sub-M01_ses-01_sample-LH_acq-25x_chunk-01``.
        suffix: the BIDS suffix, such as ``CONF``.
    """

    folder: str
    name: str
    suffix: str

    @classmethod
    def of_image(cls, path: str) -> Self:
        """The names of an image from its path, ``FOLDER/NAME_SUFFIX.ome.zarr``."""
        folder, _, base = path.rpartition("/")
        name, _, suffix = base.removesuffix(".ome.zarr").rpartition("_")
        return cls(folder, name, suffix)

    @property
    def id(self) -> str:
        """Identifier of the image stack."""
        return f"{self.name}_{self.suffix}"

    @property
    def nwb(self) -> str:
        """The NWB file."""
        return f"derivatives/nwb/{self.folder}/{self.id}.nwb"

    def neuron(self, name: str) -> str:
        """Identifier of a neuron, unique in the release, from what people call it."""
        return f"{self.name}_desc-{label_of(name) or 'neuron'}"

    def morphology(self, neuron: str) -> str:
        """The SWC file of a neuron."""
        return f"derivatives/morphology/{self.folder}/{neuron}.swc"

    def morphology_ccf(self, neuron: str) -> str:
        """The SWC file of a neuron in the CCF."""
        return f"derivatives/morphology/{self.folder}/{in_ccf(neuron)}.swc"

    @property
    def viewer_skeletons(self) -> str:
        """The folder with the skeletons as neuroglancer reads them."""
        return f"derivatives/morphology/{self.folder}/{self.name}_desc-neurons_skeletons"


def label_of(text: str) -> str:
    """A BIDS label: the letters and digits of a text."""
    return re.sub("[^0-9A-Za-z]", "", text)


def in_ccf(name: str) -> str:
    """A BIDS name with the space of the atlas in its place: before ``chunk-`` and ``desc-``."""
    parts = name.split("_")
    at = next(i for i, part in enumerate(parts) if part.startswith(("chunk-", "desc-")))
    return "_".join([*parts[:at], _SPACE, *parts[at:]])
