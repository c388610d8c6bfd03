"""What is measured: the rows of every section."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import pairwise
from math import prod
from pathlib import Path

from bench import CHANNELS, OURS, PYTHON, SMALL_ZYX, Bench
from measure import HERE, Row, environment, knows
from points import space
from segmentation import segment
from shapes import shapes
from tracing import trace
from validation import validate

from neuropack.benchmark.measured import cores

START = ("--session-start", "2026-01-02T03:04:05Z")
NOT_THERE = "not there yet"


def engine(bench: Bench) -> list[Row]:
    """The floor, each format, both at once."""
    source, (image, _) = bench.stack(), bench.reference()
    size = prod(bench.shape) * 2
    floor = Row(
        "floor",
        "floor: the codec alone",
        [PYTHON, str(HERE / "floor.py"), str(image)],
        decoded_bytes=size,
        prints_seconds=True,
        note="the chunks of all levels through the codec on all cores, from memory to nowhere",
    )
    return bench.run(
        [
            floor,
            bench.to("neuropack to OME-Zarr", "zarr", source, "ours.ome.zarr", against=("floor",)),
            bench.to("neuropack to NWB", "nwb", source, "ours.nwb", extra=START),
            bench.to(
                *("neuropack to both", "both", source, "ours.ome.zarr", "ours.nwb"),
                extra=START,
                against=("zarr", "nwb"),
            ),
        ]
    )


def peers(bench: Bench) -> list[Row]:
    """neuropack beside other writers, each in an environment of its own."""
    source, (_, levels) = bench.stack(), bench.reference()
    size = prod(bench.shape) * 2

    def peer(key: str, name: str, command: list[str | Path], output: str, against: str, note: str = "") -> Row:
        path = bench.folder / output
        line = [str(path) if part == "OUT" else str(part) for part in command]
        return Row(key, name, line, source, (path,), size, against=(against,), note=note)

    ngff, bioio, neuroconv = (environment(name) for name in ("ngff-zarr", "bioio", "neuroconv"))
    channels, depth = map(str, bench.shape[:2])
    rows = bench.run(
        [
            bench.to("neuropack to OME-Zarr", "zarr", source, "ours.ome.zarr"),
            bench.to("neuropack to NWB", "nwb", source, "ours.nwb", extra=START),
            peer(
                "ngff-zarr",
                "ngff-zarr at our settings",
                [ngff, HERE / "ngff_write.py", source, "OUT", levels],
                "ngff.ome.zarr",
                "zarr",
                "its Python interface, told our levels, chunks, shards and codec, and to average: its fastest way",
            ),
            peer(
                "ngff-zarr as it comes",
                "ngff-zarr as it comes",
                [ngff.with_name("ngff-zarr"), "-q", "-i", source, "-o", "OUT"],
                "ngff.ome.zarr",
                "zarr",
                "its command without options; levels by a Gaussian, their number, chunks and codec its own",
            ),
            peer(
                "bioio",
                "bioio to OME-Zarr",
                [bioio, HERE / "bioio_write.py", source, "OUT", levels],
                "bioio.ome.zarr",
                "zarr",
                "our levels, chunks and codec; no shards, which slow it down; levels by picking voxels",
            ),
            peer(
                "neuroconv",
                "neuroconv to NWB",
                [neuroconv, HERE / "neuroconv_write.py", source, "OUT", channels, depth],
                "neuroconv.nwb",
                "nwb",
                "all channels, one interface each, its own compression and chunks",
            ),
        ]
    )
    same_levels(rows, "zarr", "ngff-zarr", "bioio")
    return rows


def same_levels(rows: list[Row], ours: str, *others: str) -> None:
    """That others wrote the levels that we wrote, with the same codec but for the checksum.

    Raises:
        SystemExit: one did not.
    """
    by_key = {row.key: row.found for row in rows}
    codec = by_key[ours]["codec"].removesuffix(" + crc32c")
    for other in others:
        if by_key[other]["levels"] != by_key[ours]["levels"] or by_key[other]["codec"] != codec:
            raise SystemExit(f"{other} wrote {by_key[other]}, we wrote {by_key[ours]}")


def workers(bench: Bench) -> list[Row]:
    """Two workers against threads, both on two cores."""
    source, trial = bench.stack(), bench.folder / "trial.ome.zarr"
    threads = bench.to("threads", "threads", source, "ours.ome.zarr")
    two = bench.to(
        "two workers", "workers", source, "ours.ome.zarr", extra=("--workers", "2"), against=("threads",)
    )
    if not knows([OURS, "convert", str(bench.small()), str(trial), "--workers", "2"], (trial,)):
        two.absent = NOT_THERE
    if cores() > 2:  # Linux's way; elsewhere this section says nothing on a larger machine
        first, second = sorted(os.sched_getaffinity(0))[:2]
        for row in (threads, two):
            row.command = ["taskset", "-c", f"{first},{second}", *row.command]
    return bench.run([threads, two])


def sources(bench: Bench) -> list[Row]:
    """The same pixels from other files."""
    tiff, depth = bench.stack(), bench.shape[1]
    interleaved, czi = bench.tiff(bench.shape, depth, "interleaved"), bench.folder / "stack.czi"
    bench.make("czi", czi, str(tiff))
    return bench.run(
        [
            bench.to("OME-TIFF, a page per channel and plane", "tiff", tiff, "ours.ome.zarr"),
            bench.to(
                "OME-TIFF, all channels of a voxel together",
                "interleaved",
                interleaved,
                "ours.ome.zarr",
                against=("tiff",),
                note="the order in which ND2 keeps its frames, simulated in a TIFF: nothing here writes ND2",
            ),
            bench.to(
                "CZI, zstd",
                "czi",
                czi,
                "ours.ome.zarr",
                against=("tiff",),
                note=f"{czi.stat().st_size / 1e6:.0f} MB, by the library of its maker, a subblock per plane",
            ),
        ]
    )


def flat(bench: Bench) -> list[Row]:
    """Deeper and deeper stacks, one at a time for the disk's sake."""
    depth, rows = bench.shape[1], []
    for planes in (depth // 2, depth, depth * 2, depth * 4):
        source = bench.tiff(bench.shape, planes)
        row = bench.to(f"{planes} planes", str(planes), source, "ours.ome.zarr")
        row.decoded_bytes = prod(bench.shape) * 2 * planes // depth
        row.name = f"{row.decoded_bytes / 1e9:.2f} GB, {planes} planes"
        rows += bench.run([row], runs=min(bench.runs, 3), check=False)
        source.unlink()
    for before, after in pairwise(rows):
        after.against = (before.key,)
    return rows


def small(bench: Bench) -> list[Row]:
    """What a person waits for."""
    source, size = bench.small(), CHANNELS * prod(SMALL_ZYX) * 2
    rows = [
        bench.to("convert to OME-Zarr", "zarr", source, "ours.ome.zarr"),
        bench.to("convert to NWB", "nwb", source, "ours.nwb", extra=START),
        Row("inspect", "inspect", [OURS, "inspect", str(source)], source),
        Row("help", "--help", [OURS, "--help"]),
    ]
    for row in rows[:2]:
        row.decoded_bytes = size
    return bench.run(rows, check=False)


SECTIONS: dict[str, Callable[[Bench], list[Row]]] = {
    "engine": engine,
    "peers": peers,
    "workers": workers,
    "sources": sources,
    "flat": flat,
    "small": small,
    "space": space,
    "shapes": shapes,
    "trace": trace,
    "validate": validate,
    "segment": segment,
}
