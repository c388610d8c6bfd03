"""Numbers for people."""

from __future__ import annotations

import pytest

from neuropack.words import size_text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (37_337_762, "37.3 MB"), (999_999, "1 MB"), (4e11, "400 GB")],
)
def test_bytes(count: float, text: str) -> None:
    assert size_text(count) == text
