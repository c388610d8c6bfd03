"""Pictures of the images that findings are about: of stored projections alone, and never of what lies outside."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import imagecodecs
import pytest
from small_release import IMAGE, SIDECAR

from neuropack import simulate
from neuropack.convert import convert
from neuropack.issue import Issue, Report, Where
from neuropack.page import thumbnails as module
from neuropack.page.thumbnails import MOST, SIDE_PX, thumbnails
from neuropack.readers import open_volume
from neuropack.writers.ome_tiff import write_ome_tiff


def about(*files: str) -> Report:
    return Report([Issue("a.b", "error", Where(file), "x", "y", "z") for file in files])


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an image as the conversion writes it, with its projections."""
    root = tmp_path_factory.mktemp("converted")
    made = simulate.stack(2, (6, 40, 600), (2.0, 0.5, 0.5), neurons=3)
    write_ome_tiff(root / "raw.ome.tif", made.volume)
    (root / IMAGE).parent.mkdir(parents=True)
    with open_volume(root / "raw.ome.tif") as raw:
        convert(raw, [root / IMAGE])
    (root / SIDECAR).write_text("{}")
    return root


@pytest.mark.parametrize("file", [IMAGE, f"{IMAGE}/0/c/0/0/0/0", SIDECAR])
def test_an_image_is_shown_for_its_files_and_its_sidecar(file: str, converted: Path) -> None:
    (made,) = thumbnails(converted, about(file, "README.md", "metadata/neuropack.json"))
    assert (made.image, made.note) == (IMAGE, "")
    pixels = imagecodecs.png_decode(base64.b64decode(made.src.removeprefix("data:image/png;base64,")))
    assert pixels.shape[2] == 3
    assert max(pixels.shape) <= SIDE_PX
    assert pixels.std() > 1  # a neuron is seen
    assert made.width / made.height == pytest.approx(15)  # the proportions of the stack


def test_without_projections_there_is_a_note(release: Path) -> None:
    (made,) = thumbnails(release, about(IMAGE))
    assert (made.src, made.note) == ("", "no projections are stored in it")


@pytest.mark.parametrize("text", ["{", "[]", '{"zarr_format": 3, "node_type": "group", "attributes": {"ome": 7}}'])
def test_a_broken_image_gets_a_note(text: str, release: Path) -> None:
    (release / IMAGE / "zarr.json").write_text(text, encoding="utf-8")
    (made,) = thumbnails(release, about(IMAGE))
    assert made.src == ""
    assert made.note.startswith("cannot be shown: ")


@pytest.mark.parametrize("file", ["../other.ome.zarr", "ABSOLUTE", "no.ome.zarr", "a\0.ome.zarr", "."])
def test_nothing_outside_is_looked_at(file: str, release: Path) -> None:
    other = release.parent.resolve() / "other.ome.zarr"
    other.mkdir()
    assert thumbnails(release, about(str(other) if file == "ABSOLUTE" else file)) == []


def test_no_link_is_followed(release: Path) -> None:
    (release / "link.ome.zarr").symlink_to(release / IMAGE, target_is_directory=True)
    assert thumbnails(release, about("link.ome.zarr", "link.ome.zarr/0/zarr.json")) == []


def test_many_images_are_cut_off(release: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"i{n}.ome.zarr" for n in range(MOST + 5)]
    for name in names:
        (release / name).mkdir()
    drawn: list[str] = []
    monkeypatch.setattr(module, "_drawn", lambda _, image: drawn.append(image) or module.Thumbnail(image))
    assert [t.image for t in thumbnails(release, about(*names))] == names[:MOST] == drawn


def test_an_image_that_claims_to_be_huge_is_not_made_room_for(release: Path) -> None:
    path = release / IMAGE / "0" / "zarr.json"
    array = json.loads(path.read_text(encoding="utf-8"))
    array["shape"] = [2, 10**6, 10**6, 10**6]
    path.write_text(json.dumps(array), encoding="utf-8")
    (made,) = thumbnails(release, about(IMAGE))
    assert made.src == ""
