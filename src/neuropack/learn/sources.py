"""What a network has learnt from, in words that stay true when files move."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from neuropack.learn.stacks import NAMES, splits_of
from neuropack.manifest import MANIFEST, sha256_of
from neuropack.release import BENCHMARK, METADATA, open_release

_SIMULATION = f"{BENCHMARK}/simulation.json"


def described(releases: Sequence[Path]) -> list[dict[str, Any]]:
    """Of each release: name, version, license, digest of its manifest, subjects and stacks of each split, seed.

    ``seed`` is that of a simulation, None of any other data. Where there is no manifest, the digest is that of the
    metadata.

    Raises:
        InputError: one is no release, or cannot be read.
    """
    return [_described(path) for path in releases]


def _described(path: Path) -> dict[str, Any]:
    release = open_release(path)
    splits = splits_of(release)
    dataset = release.metadata.get("dataset") or {}
    file = MANIFEST if release.files.has(MANIFEST) else METADATA
    stacks = [splits.get(str(s.metadata.get("subject")), "") for s in release.stacks.values()]
    return {
        "name": str(dataset.get("title") or path.name),
        "version": str(dataset.get("version") or ""),
        "license": str((dataset.get("license") or {}).get("spdx") or "not stated"),
        "file": file,
        "sha256": sha256_of(release.files.file(file)).sha256,
        "subjects": {name: sum(split == name for split in splits.values()) for name in NAMES},
        "stacks": {name: stacks.count(name) for name in NAMES},
        "seed": _seed(release.files.file(_SIMULATION)) if release.files.has(_SIMULATION) else None,
    }


def _seed(path: Path) -> int:
    return int(json.loads(path.read_text(encoding="utf-8"))["seed"])  # `check_splits` has read it before
