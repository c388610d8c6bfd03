"""What licences demand, and by what they are known."""

from __future__ import annotations

import pytest

from neuropack.rules.licences import UNKNOWN, demands, known_by_address, same, titles

SHARE, SOLD, CHANGED = "the same licence for what is made of it", "no commercial use", "no changed versions"


@pytest.mark.parametrize(
    ("spdx", "wanted"),
    [
        *(("CC0-1.0", set()), ("PDDL-1.0", set()), ("ODC-By-1.0", {"credit"}), ("MIT", {"credit"})),
        *(("CC-BY-4.0", {"credit"}), ("CC-BY-SA-4.0", {"credit", SHARE}), ("ODbL-1.0", {"credit", SHARE})),
        *(("CC-BY-NC-ND-3.0", {"credit", SOLD, CHANGED}), ("CC-BY-NC-SA-4.0", {"credit", SOLD, SHARE})),
        *(("LicenseRef-ours", {UNKNOWN}), ("NOASSERTION", {UNKNOWN}), ("GPL-3.0-only", {"credit", SHARE})),
    ],
)
def test_demands(spdx: str, wanted: set[str]) -> None:
    assert demands(spdx) == wanted


@pytest.mark.parametrize(
    ("uri", "spdx"),
    [
        ("https://creativecommons.org/licenses/by-nc-sa/4.0/legalcode.de", "CC-BY-NC-SA-4.0"),
        ("http://www.creativecommons.org/licenses/by/3.0/de/", "CC-BY-3.0-DE"),
        ("https://creativecommons.org/publicdomain/zero/1.0/", "CC0-1.0"),
        ("https://opendatacommons.org/licenses/by/", "ODC-By-1.0"),
        ("https://spdx.org/licenses/MIT.html", "MIT"),
        ("https://institute.edu/licence", None),
        ("", None),
    ],
)
def test_known_by_address(uri: str, spdx: str | None) -> None:
    assert known_by_address(uri) == spdx


def test_titles_of_the_texts() -> None:
    assert titles("CC-BY-NC-4.0") == ["cc-by-nc-4.0", "attribution-noncommercial 4.0"]
    assert titles("CC-BY-4.0") == ["cc-by-4.0", "attribution 4.0"]
    assert titles("ODC-By-1.0") == ["odc-by-1.0", "open data commons attribution license"]


def test_another_licence_is_not_the_same() -> None:
    assert same("CC-BY-4.0", "", "https://creativecommons.org/licenses/by/4.0")
    assert not same("CC-BY-4.0", "", "https://creativecommons.org/licenses/by-nc/4.0")
    assert not same("CC-BY-4.0", "", "https://creativecommons.org/licenses/by/3.0")
