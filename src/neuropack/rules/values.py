"""Values of JSON that may hold anything: taken where they are of the kind that is expected, passed over else."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from difflib import get_close_matches
from typing import Any

LISTS = (
    *("subjects", "specimens", "labellings", "instruments", "acquisitions", "image_stacks"),
    *("registrations", "neurons", "annotations", "processings", "benchmarks"),
)
"""The lists of records in the metadata of a release."""
_NEAR_LIMIT = 500


def get(data: Any, *keys: str) -> Any:
    """The value at keys of nested objects; None where one is not there, or is no object."""
    for key in keys:
        data = data.get(key) if isinstance(data, dict) else None
    return data


def text(value: Any) -> str:
    """A text; the empty one for what is none."""
    return value if isinstance(value, str) else ""


def dicts(values: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a list, each with its index in the list; nothing where it is no list."""
    yield from ((i, v) for i, v in enumerate(values if isinstance(values, list) else []) if isinstance(v, dict))


def texts(values: Any) -> Iterator[tuple[int, str]]:
    """The texts of a list, each with its index in the list; nothing where it is no list."""
    yield from ((i, v) for i, v in enumerate(values if isinstance(values, list) else []) if isinstance(v, str))


def by_id(records: Iterable[tuple[int, dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Records of the metadata by their id; those without one are left out."""
    return {r["id"]: r for _, r in records if isinstance(r.get("id"), str)}


def near(word: str, words: Collection[str], cutoff: float = 0.6) -> str | None:
    """The word that was probably meant; none of very many, for each finding would go through all of them."""
    found = get_close_matches(word, list(words), 1, cutoff) if len(words) <= _NEAR_LIMIT else []
    return found[0] if found else None


def hint(word: str, words: Collection[str]) -> str:
    """What to add to a message about a word that is not there: the one that was probably meant, if any."""
    meant = near(word, words)
    return f"; did you mean {meant!r}?" if meant is not None else ""
