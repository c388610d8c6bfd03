"""What a network has learnt from, in words that stay true when files move."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from neuropack.learn.stacks import NAMES, seed_of, splits_of
from neuropack.manifest import MANIFEST, sha256_of
from neuropack.release import METADATA, open_release


def described(releases: Sequence[Path]) -> list[dict[str, Any]]:
    """Of each release: name, version, license, digest of its manifest, subjects and stacks of each split, seed.

    Stacks are those with labels, which alone are learnt from. ``seed`` is that of a simulation, None of any other
    data. Where there is no manifest, the digest is that of the metadata.

    Raises:
        InputError: one is no release, or cannot be read.
    """
    return [_described(path) for path in releases]


def _described(path: Path) -> dict[str, Any]:
    release = open_release(path)
    splits = splits_of(release)
    dataset = release.metadata.get("dataset") or {}
    file = MANIFEST if release.files.has(MANIFEST) else METADATA
    labelled = [s for s in release.stacks.values() if any(a.get("kind") == "labels" for a in s.annotations)]
    stacks = [splits.get(str(s.metadata.get("subject")), "") for s in labelled]
    return {
        "name": str(dataset.get("title") or path.name),
        "version": str(dataset.get("version") or ""),
        "license": str((dataset.get("license") or {}).get("spdx") or "not stated"),
        "file": file,
        "sha256": sha256_of(release.files.file(file)).sha256,
        "subjects": {name: sum(split == name for split in splits.values()) for name in NAMES},
        "stacks": {name: stacks.count(name) for name in NAMES},
        "seed": seed_of(release),
    }
