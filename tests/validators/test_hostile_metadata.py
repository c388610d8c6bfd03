"""Whatever stands in a JSON file of a release, no rule crashes: a crash would hide what the rule is there for."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
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
