"""Random bytes for the binary parsers of annotations: a result or an error of ours, and nothing else.

No test: `python tests/fuzz/fuzz_annotations.py -max_total_time=60`, in an environment with requirements.txt, and
with src on PYTHONPATH. The first byte of the input picks the parser.
"""

from __future__ import annotations

import io
import json
import resource
import struct
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["neuropack", "numpy.lib"]):
    import numpy as np

    from neuropack.annotations.nodes import read_nodes
    from neuropack.annotations.precomputed import read_precomputed_skeletons
    from neuropack.annotations.stated import Stated
    from neuropack.errors import NeuropackError
    from neuropack.swc import read_swc

MEMORY = 4 << 30  # bytes of address space; a header that claims more must be refused, not believed
FOLDER = Path(tempfile.mkdtemp(prefix="fuzz-annotations-"))
STATED = Stated("um", "xyz", "corner")
INFO = {
    "@type": "neuroglancer_skeletons",
    "transform": [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0],
    "vertex_attributes": [
        {"id": "radius", "data_type": "float32", "num_components": 1},
        {"id": "node_type", "data_type": "int32", "num_components": 1},
    ],
}
(FOLDER / "precomputed").mkdir()
(FOLDER / "precomputed" / "info").write_text(json.dumps(INFO))


def _array(data: bytes) -> None:
    (FOLDER / "a.npy").write_bytes(data)
    read_nodes(FOLDER / "a.npy", STATED, path_order=bool(data) and data[-1] % 2 == 1)


def _array_in_npz(data: bytes) -> None:
    with zipfile.ZipFile(FOLDER / "a.npz", "w") as archive:
        archive.writestr("a.npy", data)
    read_nodes(FOLDER / "a.npz", STATED)


def _npz(data: bytes) -> None:
    (FOLDER / "b.npz").write_bytes(data)
    read_nodes(FOLDER / "b.npz", STATED)


def _vertices(data: bytes) -> None:
    (FOLDER / "precomputed" / "1").write_bytes(data)
    read_precomputed_skeletons(FOLDER / "precomputed", Stated())


def _info(data: bytes) -> None:
    (FOLDER / "other").mkdir(exist_ok=True)
    (FOLDER / "other" / "info").write_bytes(data)
    (FOLDER / "other" / "1").write_bytes(struct.pack("<IIffffffII", 2, 1, 0, 0, 0, 1, 1, 1, 0, 1))
    read_precomputed_skeletons(FOLDER / "other", Stated())


def _swc(data: bytes) -> None:
    (FOLDER / "a.swc").write_bytes(data)
    read_swc(FOLDER / "a.swc")


PARSERS: tuple[Callable[[bytes], None], ...] = (_array, _array_in_npz, _npz, _vertices, _info, _swc)


def one_input(data: bytes) -> None:
    """Give the bytes behind the first to the parser that it names."""
    if data:
        with suppress(NeuropackError):
            PARSERS[data[0] % len(PARSERS)](data[1:])


def seeds(folder: Path) -> None:
    """A good file for each parser, to begin from."""
    table = np.array([[1, 1, 0, 0, 0, 1, -1], [2, 2, 1, 1, 1, 0.5, 1]])
    npy, npz = io.BytesIO(), io.BytesIO()
    np.save(npy, table)
    np.savez(npz, a=table)
    vertices = struct.pack("<IIffffffIIffii", 2, 1, 0, 0, 0, 1, 1, 1, 0, 1, 1, 1, 1, 2)
    swc = b"# frame: stack; unit: micrometer\n1 1 0 0 0 1 -1\n2 2 1 1 1 0.5 1\n"
    good = (npy.getvalue(), npy.getvalue(), npz.getvalue(), vertices, json.dumps(INFO).encode(), swc)
    for number, data in enumerate(good):
        (folder / str(number)).write_bytes(bytes([number]) + data)


if __name__ == "__main__":
    warnings.simplefilter("error")
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    (FOLDER / "seeds").mkdir()
    seeds(FOLDER / "seeds")
    atheris.Setup([*sys.argv, str(FOLDER / "seeds"), "-rss_limit_mb=2048"], one_input)
    atheris.Fuzz()
