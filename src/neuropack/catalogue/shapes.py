"""The features of skeletons, measured once: what was measured is found again by the digest of its file."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from neuropack.catalogue.columns import FEATURES, NEURONS, REAL
from neuropack.catalogue.content import Content

if TYPE_CHECKING:
    import pyarrow as pa

_AT_ONCE = 4096  # files that lie in the temporary folder


def with_features(
    neurons: pa.Table, content: Content, earlier: pa.Table | None = None, *, workers: int = 1
) -> pa.Table:
    """A table of neurons with the features of their skeletons; null where one cannot be measured.

    Args:
        neurons: with the columns ``swc`` and ``swc_sha256``.
        content: of the release, from which skeletons are read.
        earlier: such a table, with features; a file that is in it is not measured again.
        workers: processes that measure.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    digests = neurons["swc_sha256"]
    known = _known(earlier)
    at = pc.index_in(digests, known["swc_sha256"].cast(pa.string()).combine_chunks())
    wanted = pa.table([digests, neurons["swc"]], names=["sha256", "swc"]).filter(
        pc.and_(pc.is_null(at), pc.is_valid(digests))
    )
    paths = dict(zip(wanted["sha256"].to_pylist(), wanted["swc"].to_pylist(), strict=True))
    known = pa.concat_tables([known, _measured(paths, content, workers)])
    at = pc.index_in(digests, known["swc_sha256"].combine_chunks())
    for name in FEATURES:
        place = neurons.schema.get_field_index(name)
        neurons = neurons.set_column(place, neurons.schema.field(place), known[name].take(at))
    return neurons


def _schema() -> pa.Schema:
    import pyarrow as pa

    kinds = {one: pa.float64() if NEURONS.by_name[one].kind == REAL else pa.int64() for one in FEATURES}
    return pa.schema([("swc_sha256", pa.string()), *kinds.items()])


def _known(earlier: pa.Table | None) -> pa.Table:
    """What was measured: a row for each file."""
    import pyarrow.compute as pc

    schema = _schema()
    if earlier is None:
        return schema.empty_table()
    found = earlier.select(schema.names).cast(schema)
    return found.filter(pc.is_valid(found["swc_sha256"]))


def _measured(paths: dict[str, str], content: Content, workers: int) -> pa.Table:
    """The features of files, by their digests."""
    import pyarrow as pa

    schema, names = _schema(), list(paths)
    parts = [schema.empty_table()]
    for first in range(0, len(names), _AT_ONCE):
        some = names[first : first + _AT_ONCE]
        rows = _measure({name: content.read(paths[name]) for name in some}, workers)
        parts.append(pa.Table.from_pylist(rows, schema=schema))
    return pa.concat_tables(parts)


def _measure(files: dict[str, bytes | None], workers: int) -> Sequence[dict[str, object]]:
    """What can be measured of files; rules tell what is wrong with the others."""
    from neuropack.morphology.table import Neuron, Shape, measure

    with tempfile.TemporaryDirectory(prefix="neuropack-catalogue-") as folder:
        neurons: list[Neuron] = []
        for name, data in files.items():
            if data is not None:
                path = Path(folder) / f"{len(neurons)}.swc"
                path.write_bytes(data)
                neurons.append(Neuron(name, path))
        found = measure(neurons, workers=workers)
    return [
        {"swc_sha256": one.neuron, **{key: _rounded(one.features[key]) for key in FEATURES}}
        for one in found
        if isinstance(one, Shape)
    ]


def _rounded(value: float | None) -> float | None:
    """To nine digits: the last ones differ from one processor to another."""
    return float(f"{value:.9g}") if isinstance(value, float) else value
