"""Pictures of stacks: what is seen, and that the work for one is bounded."""

from __future__ import annotations

from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from served import Asked
from test_pages import small

AT = "/api/v1/stacks/small/S"


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Asked:
    return Asked(small(tmp_path_factory.mktemp("pictures") / "small"))


def png(ask: Asked, path: str) -> np.ndarray:
    answer = ask.get(f"{AT}/{path}")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/png"
    return np.asarray(imagecodecs.png_decode(answer.content))


def test_a_viewer_is_told_of_levels_and_channels(ask: Asked) -> None:
    about = ask.get(f"{AT}/view.json").json()
    assert about["shape"] == [6, 40, 50]
    assert about["voxel_size_um"] == [2.0, 0.5, 0.5]
    assert about["levels"][0] == {"factor": [1, 1, 1]}
    assert len(about["channels"]) == 2


def test_a_slab_shows_its_planes_alone(ask: Asked) -> None:
    window = "window=0:900,0:500"
    seen = png(ask, f"slab.png?z=2&{window}&level=0")
    assert seen.shape == (40, 50, 3)
    assert seen[10, 5:30].any()
    assert not seen[10, 30:].any()
    assert not seen[20:30, 25].any()  # two planes further
    assert png(ask, f"slab.png?z=3&thickness=3&{window}&level=0")[20:30, 25].any()
    one = png(ask, "slab.png?z=3&thickness=6&channels=1&window=0:500&level=0")
    assert not one[10, 5:24].any()


def test_a_slab_along_another_axis_and_a_box(ask: Asked) -> None:
    seen = png(ask, "slab.png?y=10&channels=0&window=0:900&level=0")
    assert seen.shape == (6, 50, 3)
    assert seen[2, 5:30].any()
    assert png(ask, "slab.png?x=25&box=1,5,3,15&level=0").shape == (2, 10, 3)
    assert png(ask, "slab.png?z=0&box=35,45,999,999&level=0").shape == (5, 5, 3)  # cut where the stack ends


def test_a_projection_has_true_proportions(ask: Asked) -> None:
    assert png(ask, "projection.png?axis=y").shape == (24, 50, 3)  # 6 planes of 2 um, 50 columns of 0.5 um
    assert png(ask, "projection.png?axis=x&side=16").shape[1] <= 16


def test_the_brightest_voxel_is_what_a_click_means(ask: Asked) -> None:
    answer = ask.get(f"{AT}/brightest.json?z=3&y=21&x=24&thickness=6").json()
    assert answer["zyx"][0] == 4
    assert answer["zyx"][2] == 25
    assert ask.get(f"{AT}/brightest.json?z=3&y=999&x=24").json()["zyx"][1] <= 39


@pytest.mark.parametrize(
    "query",
    [
        *("slab.png", "slab.png?z=1&y=2", "slab.png?z=1&channels=9", "slab.png?z=1&channels=x"),
        *("slab.png?z=1&window=5:1,0:2", "slab.png?z=1&window=nan:1,0:2", "slab.png?z=1&window=0:1"),
        *("slab.png?z=1&level=9", "slab.png?z=1&box=5,5,5,9", "slab.png?z=-1", "projection.png?side=100000"),
    ],
)
def test_what_makes_no_picture_is_refused(ask: Asked, query: str) -> None:
    assert ask.get(f"{AT}/{query}").status_code == 422


def test_a_picture_that_the_browser_has_is_not_sent_again(ask: Asked) -> None:
    first = ask.get(f"{AT}/slab.png?z=2")
    again = ask.get(f"{AT}/slab.png?z=2", if_none_match=first.headers["etag"])
    assert (again.status_code, again.content) == (304, b"")
    assert ask.get(f"{AT}/slab.png?z=4").headers["etag"] != first.headers["etag"]


def test_more_than_a_picture_may_cost_is_refused(ask: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    from neuropack.web import slabs

    monkeypatch.setattr(slabs, "MOST_VOXELS", 1000)
    answer = ask.get(f"{AT}/slab.png?z=2&thickness=4&level=0")
    assert answer.status_code == 422
    assert "1000 are read" in answer.json()["detail"]


def test_kept_pictures_have_a_bound() -> None:
    from neuropack.web.slabs import Pngs

    made = []

    def picture() -> np.ndarray:
        made.append(1)
        return np.random.default_rng(len(made)).integers(0, 255, (20, 20, 3), np.uint8)

    kept = Pngs(most_bytes=3000)
    for key in "abcabc":
        kept.get(key, picture, 1)
    assert len(made) == 6  # two of them fit, so that each is made again
    kept.get("c", picture, 1)
    assert len(made) == 6


def test_the_address_of_a_stack_leads_nowhere_else(ask: Asked) -> None:
    for path in ("/api/v1/stacks/none/S/view.json", "/api/v1/stacks/small/none/slab.png?z=1"):
        assert ask.get(path).status_code == 404
    assert isinstance(ask.site.releases["small"].path, Path)
