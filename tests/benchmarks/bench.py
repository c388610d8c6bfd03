"""The folder of a run: its sources, made when they are needed, and the measuring of rows on them."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from measure import HERE, Row, measure, say

PYTHON = sys.executable
OURS = str(Path(PYTHON).with_name("neuropack"))
TILE_ZYX, CHANNELS = (40, 368, 368), 3  # as sources.py has them; it is not imported, see measure.py
FULL_BYTES = 2_000_000_000  # the goals are about stacks of this size
SMALL_ZYX = (16, 228, 228)  # 5 MB


@dataclass
class Bench:
    """The folder of a run and the sources in it."""

    folder: Path
    repeats: tuple[int, ...]
    runs: int

    @property
    def shape(self) -> tuple[int, ...]:
        """C, Z, Y, X of the stack."""
        return (CHANNELS, *(n * r for n, r in zip(TILE_ZYX, self.repeats, strict=True)))

    @property
    def quick(self) -> bool:
        """Whether the stack is smaller than the one that goals are about: then there are fewer points as well."""
        return prod(self.shape) * 2 < FULL_BYTES

    def pixels(self, shape: tuple[int, ...]) -> Path:
        """The simulated pixels of a stack, made where they are not there yet."""
        path = self.folder / f"pixels-{'-'.join(map(str, shape))}.bin"
        if not path.exists():
            print("simulating", flush=True)
            self.make("pixels", path, ",".join(map(str, shape[1:])))
        return path

    def tiff(self, shape: tuple[int, ...], depth: int, kind: str = "tiff") -> Path:
        """An OME-TIFF of so many planes."""
        path = self.folder / f"{kind}-{depth}.ome.tif"
        if not path.exists():
            self.make(kind, path, str(self.pixels(shape)), ",".join(map(str, shape)), str(depth))
        return path

    def make(self, kind: str, out: Path, *arguments: str) -> None:
        """Let a process of its own make a source."""
        say([PYTHON, str(HERE / "sources.py"), kind, str(out), *arguments])

    def stack(self) -> Path:
        """The stack that most sections convert."""
        return self.tiff(self.shape, self.shape[1])

    def small(self) -> Path:
        """A stack of 5 MB."""
        return self.tiff((CHANNELS, *SMALL_ZYX), SMALL_ZYX[0])

    def drop(self) -> None:
        """Remove every file but the simulated pixels."""
        for path in self.folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.suffix != ".bin":
                path.unlink()

    def to(self, name: str, key: str, source: Path, *outputs: str, **options: Any) -> Row:
        """A conversion by our command; `outputs` are names, `extra` further arguments."""
        paths = tuple(self.folder / output for output in outputs)
        extra = options.pop("extra", ())
        command = [OURS, "convert", str(source), *map(str, paths), *extra]
        return Row(key, name, command, source, paths, prod(self.shape) * 2, **options)

    def run(self, rows: list[Row], *, runs: int | None = None, check: bool = True) -> list[Row]:
        """Measure all rows in turn, so that a slow hour is everybody's; look into what they wrote once."""
        for number in range(runs or self.runs):
            for row in rows:
                if row.absent:
                    continue
                measure(row)
                print(f"run {number + 1}: {row.name}: {row.seconds[-1]:.2f} s", flush=True)
                if check and not number and row.outputs:
                    self.check(row)
                row.clear()
        return rows

    def check(self, row: Row) -> None:
        """What a row really wrote, compared with the pixels voxel by voxel.

        Raises:
            SystemExit: a voxel is wrong.
        """
        arguments = [str(self.pixels(self.shape)), ",".join(map(str, self.shape))]
        for output in row.outputs:
            found = json.loads(say([PYTHON, str(HERE / "check.py"), str(output), *arguments]))
            row.decoded_bytes = found.pop("decoded_bytes")
            if not row.found:
                row.found = found

    def reference(self) -> tuple[Path, Path]:
        """Our OME-Zarr of the stack, and its levels, chunks, shards and codec for those that take them."""
        image = self.folder / "reference.ome.zarr"
        say([OURS, "convert", str(self.stack()), str(image)])
        ome = json.loads((image / "zarr.json").read_text(encoding="utf-8"))["attributes"]["ome"]
        plan: dict[str, Any] = {"shapes": [], "chunks": [], "shards": []}
        for dataset in ome["multiscales"][0]["datasets"]:
            array = json.loads((image / dataset["path"] / "zarr.json").read_text(encoding="utf-8"))
            sharding = array["codecs"][0]["configuration"]
            plan["shapes"].append(array["shape"])
            plan["chunks"].append(sharding["chunk_shape"])
            plan["shards"].append(array["chunk_grid"]["configuration"]["chunk_shape"])
            blosc = next(c["configuration"] for c in sharding["codecs"] if c["name"] == "blosc")
            plan["codec"] = {k: blosc[k] for k in ("cname", "clevel", "shuffle")}
        levels = self.folder / "levels.json"
        levels.write_text(json.dumps(plan), encoding="utf-8")
        return image, levels
