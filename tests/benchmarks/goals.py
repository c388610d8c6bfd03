"""The arithmetic of the benchmarks: medians, seconds per byte or point, ratios, and whether a goal is reached.

Everything is computed from the stored measurements; nothing is typed by hand.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Results = Mapping[str, Any]  # sections by name, as they are stored


class NotMeasuredError(LookupError):
    """A row that was not measured."""


class Section:
    """The measurements of one section, by the keys of its rows.

    Args:
        record: as it is stored: ``rows``, each with ``key``, ``seconds``, ``peak_mib``, ``decoded_bytes``,
            ``output_bytes``.
    """

    def __init__(self, record: Mapping[str, Any]) -> None:
        self.rows: dict[str, Mapping[str, Any]] = {row["key"]: row for row in record["rows"]}

    def row(self, key: str) -> Mapping[str, Any]:
        """A row that was measured.

        Raises:
            NotMeasuredError: it was not.
        """
        row = self.rows.get(key)
        if row is None or not row["seconds"]:
            raise NotMeasuredError(key)
        return row

    def seconds(self, key: str) -> float:
        """The median of all runs."""
        return statistics.median(self.row(key)["seconds"])

    def peak_mib(self, key: str) -> float:
        """The highest of all runs.

        Raises:
            NotMeasuredError: the row is a part of a process.
        """
        peaks = self.row(key)["peak_mib"]
        if not peaks:
            raise NotMeasuredError(key)
        return float(max(peaks))

    def cost(self, key: str) -> float:
        """Seconds per decoded byte, or per point; plain seconds of a row that has neither."""
        row = self.row(key)
        return self.seconds(key) / (row["decoded_bytes"] or row.get("points") or 1)

    def millions(self, key: str) -> float:
        """Million points a second."""
        return float(self.row(key)["points"] / self.seconds(key) / 1e6)

    def size(self, key: str) -> float:
        """Bytes written per decoded byte."""
        return float(self.row(key)["output_bytes"] / self.row(key)["decoded_bytes"])

    def times(self, key: str, *others: str) -> float:
        """How many times as dear as another row, or as the dearest of several, per decoded byte or point."""
        return self.cost(key) / max(self.cost(other) for other in others)

    def figure(self, key: str, name: str) -> float:
        """What a check of the output found."""
        return float(self.row(key)["found"][name])

    def spread(self, of: Callable[[str], float]) -> float:
        """The highest over the lowest of a figure of all rows."""
        figures = [of(key) for key in self.rows]
        return max(figures) / min(figures)


@dataclass(frozen=True)
class Goal:
    """A figure to reach: at most, or at least, a limit."""

    section: str
    words: str
    limit: float
    at_most: bool
    value: Callable[[Section], float]

    def measured(self, results: Results) -> float | None:
        """The figure; None where something that it needs was not measured."""
        if self.section not in results:
            return None
        try:
            return self.value(Section(results[self.section]))
        except NotMeasuredError:
            return None

    def verdict(self, results: Results) -> str:
        """``reached``, ``not reached`` or ``not measured``; of the exact figure, not of the rounded one."""
        value = self.measured(results)
        if value is None:
            return "not measured"
        reached = value <= self.limit if self.at_most else value >= self.limit
        return "reached" if reached else "not reached"


GOALS = (
    Goal("engine", "OME-Zarr, times the floor", 2, True, lambda s: s.times("zarr", "floor")),
    Goal(
        "engine",
        "NWB and OME-Zarr together, times the dearer one",
        1.5,
        True,
        lambda s: s.times("both", "zarr", "nwb"),
    ),
    Goal(
        "peers", "ngff-zarr as it comes, times ours", 20, False, lambda s: s.times("ngff-zarr as it comes", "zarr")
    ),
    Goal("peers", "ngff-zarr at our settings, times ours", 20, False, lambda s: s.times("ngff-zarr", "zarr")),
    Goal("peers", "bioio, times ours", 4, False, lambda s: s.times("bioio", "zarr")),
    Goal(
        "peers",
        "our peak memory, times that of bioio",
        0.5,
        True,
        lambda s: s.peak_mib("zarr") / s.peak_mib("bioio"),
    ),
    Goal("peers", "neuroconv, times our NWB, per decoded byte", 10, False, lambda s: s.times("neuroconv", "nwb")),
    Goal(
        "peers",
        "size of our NWB, times neuroconv's gzip, per decoded byte",
        1,
        True,
        lambda s: s.size("nwb") / s.size("neuroconv"),
    ),
    Goal(
        "workers",
        "speed of two workers, times that of threads",
        0.85,
        False,
        lambda s: s.times("threads", "workers"),
    ),
    Goal("flat", "seconds per byte, highest over lowest", 1.15, True, lambda s: s.spread(s.cost)),
    Goal("flat", "peak memory, highest over lowest", 1.15, True, lambda s: s.spread(s.peak_mib)),
    Goal("small", "seconds to convert a small stack to OME-Zarr", 1.5, True, lambda s: s.seconds("zarr")),
    Goal("space", "million points a second through affine and field", 1, False, lambda s: s.millions("field")),
    Goal("space", "affine and field, times the floor", 2, True, lambda s: s.times("field", "field-floor")),
    Goal("space", "scipy, times our affine and field", 1, False, lambda s: s.times("field-scipy", "field")),
    Goal("space", "ITK, times our affine and field", 1, False, lambda s: s.times("field-itk", "field")),
    Goal("space", "million look-ups a second at 100 um", 5, False, lambda s: s.millions("lookup-100")),
    Goal("space", "million look-ups a second at 25 um", 5, False, lambda s: s.millions("lookup-25")),
    Goal(
        "space", "look-up at 100 um, times the floor", 2, True, lambda s: s.times("lookup-100", "lookup-floor-100")
    ),
    Goal("space", "look-up at 25 um, times the floor", 2, True, lambda s: s.times("lookup-25", "lookup-floor-25")),
    Goal(
        "space",
        "brainglobe-atlasapi, times our look-up at 100 um",
        1,
        False,
        lambda s: s.times("lookup-brainglobe-100", "lookup-100"),
    ),
    Goal("shapes", "seconds for all features of 30,000 samples", 0.5, True, lambda s: s.seconds("ours")),
    Goal(
        "shapes",
        "NeuroM's features, times all of ours",
        20,
        False,
        lambda s: s.seconds("neurom") / s.seconds("ours"),
    ),
    Goal("trace", "milliseconds of a 64-voxel path, warm", 10, True, lambda s: 1000 * s.seconds("warm")),
    Goal("trace", "milliseconds of a 64-voxel path, cold", 50, True, lambda s: 1000 * s.seconds("cold")),
    Goal("trace", "NBA*, times ours warm", 100, False, lambda s: s.times("brightest", "warm")),
    Goal("trace", "skimage, times ours warm", 10, False, lambda s: s.times("skimage", "warm")),
    Goal(
        "trace",
        "our mean error, times that of the best peer",
        1,
        True,
        lambda s: s.figure("warm", "mean_error") / min(s.figure(k, "mean_error") for k in ("skimage", "brightest")),
    ),
    Goal(
        "trace",
        "seconds of an 862-voxel path, the slowest of three stacks",
        1,
        True,
        lambda s: max(s.seconds(key) for key in ("long-0", "long-1", "long-2")),
    ),
    Goal(
        "trace",
        "its largest error in voxels, the worst of three stacks",
        2,
        True,
        lambda s: max(s.figure(key, "largest_error") for key in ("long-0", "long-1", "long-2")),
    ),
    Goal("trace", "right paths of 30 at SNR 8.9", 27, False, lambda s: s.figure("bright", "success")),
    Goal("trace", "right paths of 30 at SNR 1.7", 22, False, lambda s: s.figure("faint", "success")),
    Goal(
        "trace",
        "percent on the right neurite by colour, the least of 20, 40 and 70 degrees",
        97,
        False,
        lambda s: min(s.figure(key, "percent_right") for key in ("colour-20", "colour-40", "colour-70")),
    ),
    Goal(
        "validate",
        "speed of a full check, times that of a loop over zarr-python and h5py that only decodes",
        0.8,
        False,
        lambda s: s.seconds("libraries") / s.seconds("ours"),
    ),
    Goal(
        "validate",
        "speed of a full check, times that of its own decoders alone",
        0.8,
        False,
        lambda s: s.seconds("floor") / s.seconds("ours"),
    ),
    Goal("segment", "sato, times our tubeness, per core", 5, False, lambda s: s.times("sato", "ours")),
    Goal(
        "segment",
        "peak memory of the objects of 1024^3 voxels, times that of 512^3",
        1.5,
        True,
        lambda s: s.peak_mib("objects-1024") / s.peak_mib("objects-512"),
    ),
)
