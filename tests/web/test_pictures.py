"""Pictures of stacks: what is seen, and that the work for one is bounded."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from served import Asked
from test_pages import small

from neuropack.convert import convert
from neuropack.errors import InputError
from neuropack.volume import from_array
from neuropack.web.problems import ProblemError
from neuropack.web.slabs import Slab

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


def test_stacks_are_kept_to_a_bound_and_as_long_as_their_release(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import gc
    import weakref

    from neuropack.release import open_release
    from neuropack.web import slabs

    root = small(tmp_path / "small")
    release = open_release(root)
    stack = release.stacks["S"]
    first = slabs.image_of(release, stack)
    assert first.windows
    assert slabs.image_of(release, stack) is first
    assert slabs.image_of(release, stack, stack.metadata["path"]) is not first  # as the one in the atlas is
    monkeypatch.setattr(slabs, "_IMAGE_BYTES", first.nbytes - 1)
    slabs.image_of(release, stack, stack.metadata["path"])
    assert slabs.image_of(release, stack) is not first
    again = open_release(root)
    assert slabs.image_of(again, again.stacks["S"]).volume is not slabs.image_of(release, stack).volume
    kept = weakref.ref(slabs.image_of(release, stack))
    del release, stack, first
    gc.collect()
    assert kept() is None


def test_a_digest_that_two_releases_claim_mixes_no_pictures_up(tmp_path: Path) -> None:
    roots = [small(tmp_path / name) for name in ("one", "two")]
    values = np.zeros((2, 6, 40, 50), np.uint16)
    values[:, :, 30] = 700
    image = roots[1] / "sub-A/ses-01/micr/sub-A_ses-01_sample-1_CONF.ome.zarr"
    shutil.rmtree(image)
    convert(from_array(values, "CZYX", path=__file__, voxel_size_um=(2.0, 0.5, 0.5)), [image])
    ask = Asked(*roots)
    first, second = (
        ask.get(f"/api/v1/stacks/{name}/S/slab.png?z=2&level=0&window=0:9,0:9") for name in ("one", "two")
    )
    assert first.headers["etag"] != second.headers["etag"]
    assert first.content != second.content


def test_sides_whose_product_no_number_of_the_machine_holds_are_too_much(ask: Asked) -> None:
    from neuropack.page.projections import choose_level
    from neuropack.web.slabs import Image

    release = ask.site.releases["small"]
    image = Image(release, release.stacks["S"])
    side = 1 << 32
    image.volume = replace(image.volume, native_shape=(2, 1, side, side), levels=())
    slab = Slab(0, ((0, 1), (0, side), (0, side)), (0,), ((0.0, 1.0),))
    with pytest.raises(ProblemError, match="too much"):
        image.draw(slab, 0)
    with pytest.raises(ProblemError, match="too much"):
        image.brightest(slab)
    with pytest.raises(InputError, match="too large"):
        choose_level(image.volume)


def test_all_that_reads_pixels_counts_as_one_of_a_few_at_once(ask: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    from neuropack.web import slabs

    turns = []

    class Turn:
        def __enter__(self) -> None:
            turns.append(1)

        def __exit__(self, *exc: object) -> None:
            pass

    release = ask.site.releases["small"]
    image = slabs.Image(release, release.stacks["S"])
    monkeypatch.setattr(slabs, "_AT_ONCE", Turn())
    slab = Slab(0, ((0, 6), (0, 40), (0, 50)), (0,), ((0.0, 900.0),))
    for read in (
        lambda: image.projection,
        lambda: image.draw(slab, 0),
        lambda: image.brightest(slab),
        lambda: image.labelled(image.volume, 64),
    ):
        turns.clear()
        read()
        assert turns == [1]
