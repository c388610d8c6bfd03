"""Numbers for people, as every output writes them."""

from __future__ import annotations


def size_text(count: int | float) -> str:
    """A number of bytes, in powers of a thousand: 37.3 MB."""
    value, unit = float(count), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 999.5 or unit == "TB":
            break
        value /= 1000
    return f"{value:.3g} {unit}"
