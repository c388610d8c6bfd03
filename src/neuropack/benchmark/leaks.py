"""Whether a method has seen what it is going to be tested on, as far as it says what it was trained on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from neuropack.benchmark.cases import Data
from neuropack.errors import InputError

_KEYS = ("trained_on", "training_data", "releases", "data")
"""Under which the description of a network tells of its data."""
SAID = ("manifest_sha256", "sha256", "release", "dataset", "name", "seed", "split", "splits", "subjects")
"""What is said of data that a method was trained on."""


def trained_on(about: Any) -> list[Mapping[str, Any]]:
    """What the description of a network says of the data that it was trained on.

    Args:
        about: mappings and lists; of them the ones below a key of `_KEYS`, wherever that stands.
    """
    return list(_told(about, inside=False))


def _told(value: Any, *, inside: bool) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, Mapping):
        if inside:
            yield value
        for key, one in value.items():
            if not isinstance(one, str) or key in _KEYS:
                yield from _told(one, inside=inside or key in _KEYS)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for one in value:
            yield from _told(one, inside=inside)
    elif inside and isinstance(value, str):
        yield {"manifest_sha256": value}


def see_leaks(method: str, said: Sequence[Mapping[str, Any]], data: Data) -> None:
    """See that a method has not seen the test images of a set of data.

    Args:
        method: its name.
        said: what it was trained on: mappings with ``manifest_sha256``, ``dataset``, ``seed`` or ``release`` (a
            folder), and where it was not all of that, ``splits`` or ``subjects``.
        data: what it is going to be tested on; without images, all of it.

    Raises:
        InputError: it has.
    """
    for one in told(said):
        why = _leak(one, data)
        if why is not None:
            raise InputError(
                f"the method {method} has seen what it would be tested on",
                file=data.path,
                where=data.name,
                expected="training on other data, or on the splits train and validation alone",
                found=why,
                fix="test it on other data: neuropack simulate with another seed; or say the splits in trained_on",
            )


def told(said: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The same with what the releases that are named say of themselves, which is read once for all data.

    Raises:
        InputError: there is no such release.
    """
    found: list[Mapping[str, Any]] = []
    for one in said:
        known = dict(one)
        release = known.pop("release", None)
        found.append({**_of_release(Path(release)), **known} if isinstance(release, str | Path) else known)
    return found


def _leak(known: Mapping[str, Any], data: Data) -> str | None:
    names = {data.name, data.name.partition(" ")[0]}
    texts = {value for value in known.values() if isinstance(value, str)}
    seed = known.get("seed")
    again = data.seed is not None and seed == data.seed and not isinstance(seed, bool)
    named = any(known.get(key) in names for key in ("dataset", "name"))  # simulations of other sizes share a name
    if texts.intersection(data.digests) or (named and data.seed is None):
        return _of_test(known, data)
    if again or named:
        return f"it was trained on another simulation of the seed {data.seed}, which grows the same first neurons"
    return None


def _of_test(known: Mapping[str, Any], data: Data) -> str | None:
    """What of the very data it has seen that it should not have."""
    if not data.cases:
        return "it was trained on this data, and of neurons that are classified every animal is tested"
    subjects, splits = known.get("subjects"), known.get("splits", known.get("split"))
    if isinstance(subjects, list) and subjects:
        seen = {str(one).removeprefix("sub-") for one in subjects}
        both = {one for one in data.subjects("test") if one.removeprefix("sub-") in seen}
        return f"it was trained on {', '.join(sorted(both))}, of the test split" if both else None
    named = {splits} if isinstance(splits, str) else {str(one) for one in splits or ()}
    if not named:
        return "it was trained on this data, and does not say on which splits"
    return "it was trained on the test split of this data" if "test" in named else None


def _of_release(path: Path) -> dict[str, Any]:
    from neuropack.benchmark.cases import data_read

    try:
        data = data_read(path)
    except InputError as error:
        raise InputError(
            "trained_on names no release",
            file=path,
            expected="a folder of a release",
            found=error.what,
            fix="name its manifest_sha256 in place of it, where it is not here",
        ) from error
    return {"manifest_sha256": data.digests[0], "dataset": data.name, "seed": data.seed}
