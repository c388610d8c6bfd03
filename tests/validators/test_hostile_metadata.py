"""Whatever stands in a JSON file of a release, no rule crashes: a crash would hide what the rule is there for."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from small_release import IMAGE, METADATA, SIDECAR, seal

from neuropack.rules import check

FILES = (
    *(METADATA, SIDECAR, f"{IMAGE}/zarr.json", f"{IMAGE}/1/zarr.json", "dataset_description.json"),
    *("croissant.json", "metadata/datacite.json", "samples.json"),
)
JUNK: tuple[Any, ...] = (None, -1, 0, 1e308, True, "", "../..", "\u0000", [], [None], {}, {"a": []}, [[1], "x"])


def places(data: Any, *keys: str | int) -> Iterator[tuple[str | int, ...]]:
    """The keys of every value in a JSON document, the document itself included."""
    yield keys
    for key, value in data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ():
        yield from places(value, *keys, key)


def spoil(file: Path, keys: tuple[str | int, ...], junk: Any) -> None:
    data = json.loads(file.read_text())
    if not keys:
        data = junk
    else:
        inner = data
        for key in keys[:-1]:
            inner = inner[key]
        inner[keys[-1]] = junk
    file.write_text(json.dumps(data))


def cases(root: Path, count: int) -> list[tuple[str, tuple[str | int, ...], Any]]:
    everything = [(f, k, j) for f in FILES for k in places(json.loads((root / f).read_text())) for j in JUNK]
    return random.Random(6).sample(everything, count)  # noqa: S311 -- a choice that stays the same, no secret


@pytest.mark.parametrize("part", range(4))
def test_no_rule_crashes(part: int, good_release: Path, release: Path) -> None:
    for name, keys, junk in cases(good_release, 80)[part::4]:
        before = (release / name).read_bytes()
        spoil(release / name, keys, junk)
        seal(release, digests=False, describe=False)
        crashed = [i for i in check(release).issues if "crashed" in i.found]
        assert not crashed, (name, keys, junk, crashed)
        (release / name).write_bytes(before)


def test_no_rule_crashes_on_strains_of_a_newer_schema(release: Path) -> None:
    spoil(release / METADATA, ("subjects", 0, "strain"), ["C57BL/6J", "BALB/c"])
    spoil(release / METADATA, ("schema_version",), "99.0.0")
    seal(release, digests=False)
    assert {i.rule for i in check(release).issues} == {"metadata.schema"}


def test_a_damaged_tiff_hides_nothing_of_other_files(release: Path) -> None:
    """Whatever stands in its tags, the rules of privacy go on to the next file."""
    folder = release / "sourcedata"
    folder.mkdir()
    tifffile.imwrite(folder / "a.tif", np.zeros((4, 4), np.uint16))
    data = (folder / "a.tif").read_bytes()
    with tifffile.TiffFile(folder / "a.tif") as file:
        counts = [tag.offset + 4 for tag in file.pages.first.tags]
    for number, at in enumerate(counts):  # two values where one is meant
        (folder / f"b{number}.tif").write_bytes(data[:at] + b"\2" + data[at + 1 :])
    (folder / "z.txt").write_text("/home/jane/brain.tif\n", encoding="utf-8")
    seal(release)
    assert [(i.rule, i.where.file) for i in check(release).issues] == [("privacy.local-paths", "sourcedata/z.txt")]
