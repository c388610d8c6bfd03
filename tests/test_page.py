"""The page of a release: self-contained, escaped, and made of damaged releases too."""

from __future__ import annotations

import base64
import json
import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import imagecodecs
import numpy as np
import pytest

from neuropack import simulate
from neuropack.convert import convert
from neuropack.errors import OutputError
from neuropack.issue import Checked, Issue, Report, Where
from neuropack.page import MOST_ISSUES, write_page
from neuropack.page.found import Found
from neuropack.page.projections import label_colour
from neuropack.readers import open_volume
from neuropack.swc import write_swc
from neuropack.table import tsv_text
from neuropack.writers.ome_tiff import write_ome_tiff

IMAGE = "sub-M01/micr/sub-M01_sample-LH_CONF.ome.zarr"
LABELS = "derivatives/segmentation/sub-M01/micr/sub-M01_sample-LH_desc-neurons_CONF.ome.zarr"
SWC = "sub-M01/micr/sub-M01_sample-LH_desc-n001.swc"
CLEAN = Report(checked=Checked(files=12, bytes=34_500, decoded_bytes=7_000_000, rules=9))


class Page(HTMLParser):
    """The elements and the text of a page; complains about tags that do not close."""

    VOID = frozenset({"meta", "img", "br", "link", "input", "hr"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text, self.open = "", list[str]()
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.text += " "
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        self.text += " "

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "title"):
            self.text += data

    def all(self, tag: str) -> Iterator[dict[str, str | None]]:
        return (attrs for name, attrs in self.elements if name == tag)

    @property
    def words(self) -> str:
        return " ".join(self.text.split())


def document(**changes: Any) -> dict[str, Any]:
    base: dict[str, Any] = {
        "dataset": {
            "title": "Neurons",
            "abstract": "A few.",
            "version": "1.0.0",
            "license": {"spdx": "ODC-By-1.0", "uri": "https://opendatacommons.org/licenses/by/1-0/"},
            "creators": [{"name": "Josiah Carberry", "orcid": "0000-0002-1825-0097"}, {"name": "Jane Doe"}],
        },
        "subjects": [{"id": "M01", "strain": "C57BL/6J", "sex": "F"}],
        "specimens": [{"id": "M01-LH", "subject": "M01", "specimen_type": "block"}],
        "instruments": [{"id": "scope", "manufacturer": "Zeiss", "model": "LSM 980"}],
        "acquisitions": [
            {
                "id": "a1",
                "instrument": "scope",
                "channels": [
                    {"name": "EYFP", "excitation_nm": 514.0, "color": "22DD44"},
                    {"name": "tdTomato", "color": "red"},
                    {"name": "mTagBFP2"},
                ],
            }
        ],
        "image_stacks": [
            {
                "id": "sub-M01_sample-LH_CONF",
                "subject": "M01",
                "specimen": "M01-LH",
                "acquisition": "a1",
                "path": IMAGE,
                "axes": "CZYX",
                "shape": [3, 6, 40, 60],
                "dtype": "uint16",
                "voxel_size_z_um": 2.0,
                "voxel_size_y_um": 0.5,
                "voxel_size_x_um": 0.5,
                "raw_file": "M01.czi",
                "sources": [
                    {"field": "voxel_size_um.z", "source": "user"},
                    {"field": "voxel_size_um.y", "source": "file"},
                    {"field": "voxel_size_um.x", "source": "file"},
                    {"field": "channels.0.emission_nm", "source": "missing"},
                ],
            }
        ],
        "neurons": [{"id": "sub-M01_sample-LH_desc-n001", "soma_x": 10.0, "soma_y": 11.5, "soma_z": 4.25}],
        "annotations": [
            {
                "id": "labels",
                "kind": "labels",
                "image_stack": "sub-M01_sample-LH_CONF",
                "path": LABELS,
                "label_map": [{"value": 1, "name": "one", "neuron": "sub-M01_sample-LH_desc-n001"}],
            }
        ],
    }
    return {**base, **changes}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The images of a small release, without its metadata."""
    root = tmp_path_factory.mktemp("images")
    made = simulate.stack(2, (6, 40, 60), (2.0, 0.5, 0.5), neurons=3)
    for volume, target in ((made.volume, IMAGE), (made.labels, LABELS)):
        write_ome_tiff(root / "raw.ome.tif", volume, overwrite=True)
        (root / target).parent.mkdir(parents=True)
        with open_volume(root / "raw.ome.tif") as raw:
            convert(raw, [root / target])
    (root / "raw.ome.tif").unlink()
    swc = root / "derivatives/morphology" / SWC
    swc.parent.mkdir(parents=True)
    write_swc(swc, made.skeletons[0])
    row = {
        "neuron_id": "sub-M01_sample-LH_desc-n001",
        "swc": SWC,
        "image_stack": "sub-M01_sample-LH_CONF",
        "n_nodes": 321,
        "length_um": "1234.567",
    }
    table = root / "derivatives/morphology/neurons.tsv"
    table.parent.mkdir(parents=True, exist_ok=True)
    table.write_text(tsv_text(list(row), [row, {**row, "image_stack": "other"}]), encoding="utf-8")
    return root


@pytest.fixture
def release(images: Path, tmp_path: Path) -> Path:
    """A small release; its files are links into the shared images."""
    root = tmp_path / "release"
    for path in images.rglob("*"):
        if path.is_file():
            copy = root / path.relative_to(images)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    describe(root, document())
    return root


def describe(root: Path, content: Any) -> None:
    (root / "metadata").mkdir(parents=True, exist_ok=True)
    (root / "metadata/neuropack.json").write_text(json.dumps(content), encoding="utf-8")


def page_of(release: Path, report: Report = CLEAN) -> tuple[str, Page]:
    out = release.parent / "report.html"
    write_page(release, out, report)
    html = out.read_text(encoding="utf-8")
    assert not out.with_name("report.html.partial").exists()
    return html, Page(html)


def test_a_page_needs_nothing_but_itself(release: Path) -> None:
    html, page = page_of(release)
    assert not list(page.all("script")) and not list(page.all("link"))
    assert all((img["src"] or "").startswith("data:image/png;base64,") for img in page.all("img"))
    assert "@import" not in html and "url(" not in html
    assert "default-src 'none'" in html


def test_a_page_shows_three_views_every_channel_and_the_labels(release: Path) -> None:
    _, page = page_of(release)
    alts = [img["alt"] or "" for img in page.all("img")]
    assert len(alts) == 3 + 3 + 1
    assert all(alts)
    sizes = []
    for img in page.all("img"):
        png = base64.b64decode((img["src"] or "").split(",")[1])
        sizes.append(imagecodecs.png_decode(png).shape)
    assert sizes == [(40, 60, 3), (40, 6, 3), (6, 60, 3), *[(40, 60, 3)] * 4]
    ratios = [a["style"] for a in page.all("div") if a.get("class") == "view"]
    assert ratios[:3] == ["aspect-ratio: 30 / 20", "aspect-ratio: 12 / 20", "aspect-ratio: 30 / 12"]


def test_a_channel_is_drawn_in_its_colour_and_the_window_of_its_percentiles(release: Path) -> None:
    _, page = page_of(release)
    first = next(img for img in page.all("img") if (img["alt"] or "").startswith("Channel"))
    image = imagecodecs.png_decode(base64.b64decode((first["src"] or "").split(",")[1]))
    mip = open_volume(release / IMAGE)[0].max(axis=0).astype(float)
    low, high = np.percentile(mip, (1, 99.8))
    assert image.reshape(-1, 3).max(axis=0).tolist() == [0x22, 0xDD, 0x44]
    assert np.array_equal(image[..., 1], np.rint(np.clip((mip - low) / (high - low), 0, 1) * 0xDD))
    assert f"{low:.5g} to {high:.5g}" in page.words


def test_each_channel_has_its_histogram_and_saturation(release: Path) -> None:
    _, page = page_of(release)
    drawn = [s for s in page.all("svg") if s.get("class") == "histogram"]
    assert len(drawn) == 3
    pixels = open_volume(release / IMAGE)[0]
    low, high = f"{float(pixels.min()):.5g}", f"{float(pixels.max()):.5g}"
    assert f"{low} {high} 0 %" in page.words


def test_an_image_with_a_hole_says_so(release: Path) -> None:
    path = release / IMAGE / "zarr.json"
    node = json.loads(path.read_text(encoding="utf-8"))
    node["attributes"]["neuropack"]["missing"] = [{"box": [[0, 1], [0, 6], [0, 8], [0, 60]], "reason": "torn"}]
    path.write_text(json.dumps(node), encoding="utf-8")
    _, page = page_of(release)
    assert "black where the raw file could not be decoded: 1 part(s), listed above" in page.words


def test_a_release_without_statistics_has_no_histograms(release: Path) -> None:
    path = release / IMAGE / "zarr.json"
    node = json.loads(path.read_text(encoding="utf-8"))
    del node["attributes"]["neuropack"]["statistics"]
    path.write_text(json.dumps(node), encoding="utf-8")
    _, page = page_of(release)
    drawn = [one for one in page.all("svg") if one.get("class") == "histogram"]
    assert not drawn and "Saturated" not in page.words


def test_an_image_whose_metadata_are_nested_without_end(release: Path) -> None:
    (release / IMAGE / "zarr.json").write_text("[" * 100_000 + "]" * 100_000, encoding="utf-8")
    _, page = page_of(release)
    assert "the pixels cannot be shown" in page.words


def test_damaged_projections_give_way_to_the_pyramid(release: Path) -> None:
    _, page = page_of(release)
    assert "of all voxels." in page.words
    file = release / IMAGE / "projections/y/c/0/0/0"
    file.write_bytes(file.read_bytes()[:40])
    _, page = page_of(release)
    assert "from level 0 of the pyramid." in page.words
    assert len(list(page.all("img"))) == 7


def test_the_scale_bar_is_as_long_as_it_says(release: Path) -> None:
    html, page = page_of(release)
    percent = re.search(r'class="bar" style="width: ([0-9.]+)%', html)
    assert percent and "5 µm" in page.words
    assert float(percent[1]) / 100 * 60 * 0.5 == pytest.approx(5, rel=1e-3)


def test_metadata_stand_with_their_source(release: Path) -> None:
    _, page = page_of(release)
    assert "Voxel size (µm) z 2 user y 0.5 file x 0.5 file" in page.words
    assert "Voxels C 3 · Z 6 · Y 40 · X 60 uint16" in page.words
    assert "Extent (µm) z 12 · y 20 · x 30" in page.words
    assert "EYFP not stated missing 514 not stated missing" in page.words
    assert "Recorded not stated missing" in page.words
    assert "Subject M01, C57BL/6J, F user" in page.words


def test_links_lead_from_the_page_to_files_that_are_there(release: Path) -> None:
    (release / "README.md").write_text("hello", encoding="utf-8")
    _, page = page_of(release)
    links = [a["href"] or "" for a in page.all("a")]
    local = [h for h in links if not h.startswith(("#", "https://"))]
    assert {f"release/{IMAGE}", f"release/{LABELS}", "release/README.md"} <= set(local)
    assert f"release/derivatives/morphology/{SWC}" in local
    for href in local:
        assert (release.parent / unquote(href)).exists(), href
    assert "https://orcid.org/0000-0002-1825-0097" in links
    identifiers = {a["id"] for _, a in page.elements if "id" in a}
    assert {h[1:] for h in links if h.startswith("#")} <= identifiers


def test_links_survive_an_awkward_folder_name(release: Path) -> None:
    awkward = release.rename(release.with_name("100% of #1? release"))
    _, page = page_of(awkward)
    local = [h for a in page.all("a") if (h := a["href"] or "").startswith("100")]
    assert len(local) > 3
    for href in local:
        assert "#" not in href and "?" not in href
        assert (release.parent / unquote(href)).exists(), href


def test_the_neurons_of_a_stack_are_listed_with_the_colour_of_their_label(release: Path) -> None:
    html, page = page_of(release)
    assert "n001 321 1235 10.0, 11.5, 4.2 n/a SWC" in page.words
    assert page.words.count("n001 321") == 1  # the row of the other stack is not ours
    assert f"#{label_colour(1)}" in html


def test_a_clean_report_says_how_much_was_checked(release: Path) -> None:
    _, page = page_of(release)
    assert "Clean: no errors" in page.words
    assert "9 rules looked at 12 files (34.5 kB) and decoded 7 MB of pixels." in page.words


def test_a_report_of_nothing_is_not_called_clean(release: Path) -> None:
    _, page = page_of(release, Report())
    assert "Clean" not in page.words and "Not checked" in page.words


def test_issues_are_listed_worst_first_with_what_to_do(release: Path) -> None:
    def issue(level: Any, name: str) -> Issue:
        return Issue(
            name, level, Where("metadata/neuropack.json", "/dataset", 3, 7), "a title", "none", "write one"
        )

    report = Report([issue("info", "c"), issue("error", "a"), issue("warning", "b")], CLEAN.checked)
    html, page = page_of(release, report)
    assert "1 error" in page.words and "1 warning, 1 remark." in page.words
    assert [li["class"] for li in page.all("li") if li.get("class")] == ["error", "warning", "info"]
    assert "metadata/neuropack.json:3:7 /dataset Expected a title Found none To do write one" in page.words
    assert html.count('href="release/metadata/neuropack.json"') == 4  # one of each issue, one below Files


def test_a_page_says_how_many_issues_it_leaves_out(release: Path) -> None:
    many = [Issue("r", "warning", Where("x"), "e", f"found {i}", "f") for i in range(MOST_ISSUES + 5)]
    last = Issue("r", "error", Where("x"), "e", "found the worst", "f")
    _, page = page_of(release, Report([*many, last], CLEAN.checked))
    assert "5 more are not shown here" in page.words
    assert "found the worst" in page.words and f"found {MOST_ISSUES}" not in page.words


EVIL = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>"


def poisoned(value: Any) -> Any:
    """Every text of a document replaced by markup, but what must stay so that the parts find each other."""
    if isinstance(value, dict):
        keep = (
            "id",
            "path",
            "image_stack",
            "acquisition",
            "instrument",
            "specimen",
            "subject",
            "kind",
            "neuron",
            "axes",
        )
        return {k: v if k in keep and isinstance(v, str) else poisoned(v) for k, v in value.items()} | {EVIL: EVIL}
    if isinstance(value, list):
        return [poisoned(v) for v in value]
    return EVIL if isinstance(value, str) else value


def test_everything_in_a_release_is_escaped(release: Path) -> None:
    describe(release, poisoned(document()))
    table = release / "derivatives/morphology/neurons.tsv"
    table.write_text(table.read_text(encoding="utf-8").replace("321", EVIL), encoding="utf-8")
    issue = Issue(EVIL, "error", Where(EVIL, EVIL), EVIL, EVIL, EVIL)
    html, page = page_of(release, Report([issue], CLEAN.checked))
    assert "<script" not in html
    assert not list(page.all("script"))
    assert all(set(img) == {"src", "alt"} and (img["src"] or "").startswith("data:") for img in page.all("img"))
    assert not [a for _, a in page.elements if any(name.startswith("on") for name in a)]
    assert page.words.count("<script>alert(1)</script>") > 20


def test_addresses_in_the_metadata_are_followed_only_to_the_web(release: Path) -> None:
    changed = document()
    changed["dataset"]["license"]["uri"] = "javascript:alert(1)"
    changed["dataset"]["creators"][0]["orcid"] = "javascript:alert(1)"
    describe(release, changed)
    html, page = page_of(release)
    assert "javascript" not in html
    assert all((a["href"] or "").startswith(("#", "release/", "https://")) for a in page.all("a"))


@pytest.mark.parametrize(
    "path", ["../outside.ome.zarr", "/", "sub-M01/../../outside.ome.zarr", "a\0b", "x" * 5000, "\ud800", 7]
)
def test_nothing_outside_the_release_is_opened_or_linked(release: Path, path: object) -> None:
    (release / IMAGE).rename(release.parent / "outside.ome.zarr")
    changed = document()
    changed["image_stacks"][0]["path"] = path
    describe(release, changed)
    _, page = page_of(release)
    assert "the pixels cannot be shown" in page.words
    assert not list(page.all("img"))
    assert not [a for a in page.all("a") if "outside" in (a["href"] or "")]


def test_characters_that_html_cannot_hold_are_replaced(release: Path) -> None:
    changed = document()
    changed["dataset"]["title"] = "bell \a, half \ud800, reversed \u202e."
    describe(release, changed)
    _, page = page_of(release)
    assert "bell \ufffd, half ?, reversed \ufffd." in page.words


@pytest.mark.parametrize(
    "content", [{}, [], None, {"image_stacks": 5}, {"image_stacks": [1, "x"]}, document(image_stacks=[])]
)
def test_a_release_without_stacks_has_a_page(release: Path, content: Any) -> None:
    describe(release, content)
    _, page = page_of(release)
    assert "The metadata list no image stack." in page.words
    assert "Clean" in page.words


@pytest.mark.parametrize("text", [b"{", b"\xff\xfe\x00", b"[" * 100_000])
def test_metadata_that_are_not_json_are_named(release: Path, text: bytes) -> None:
    (release / "metadata/neuropack.json").write_bytes(text)
    _, page = page_of(release)
    assert "metadata/neuropack.json is not JSON" in page.words


def test_an_empty_folder_has_a_page(tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    _, page = page_of(tmp_path / "nothing", Report())
    assert "metadata/neuropack.json cannot be read" in page.words


def variants(value: Any, odd: Any) -> Iterator[Any]:
    """The document again and again, each time with one of its values, at any depth, replaced by an odd one."""
    yield odd
    if isinstance(value, dict):
        for key in value:
            yield from ({**value, key: changed} for changed in variants(value[key], odd))
    elif isinstance(value, list):
        for i, item in enumerate(value):
            yield from ([*value[:i], changed, *value[i + 1 :]] for changed in variants(item, odd))


@pytest.mark.parametrize(
    "odd",
    [10**309, -1.5, "text", [[]], {"a": {"b": [1]}}, None, True, float("inf")],
    ids=lambda odd: repr(odd)[:12],
)
def test_metadata_of_any_shape_have_a_page(release: Path, odd: Any) -> None:
    shutil.rmtree(release / IMAGE)  # drawing takes nearly all of the time, and does not depend on the metadata
    for changed in variants(document(), odd):
        describe(release, changed)
        write_page(release, release.parent / "report.html", CLEAN)


@pytest.mark.parametrize("odd", [10**309, [[]], {"a": 1}, None, "text"], ids=lambda odd: repr(odd)[:12])
def test_pictures_do_not_depend_on_what_the_metadata_say_of_channels(release: Path, odd: Any) -> None:
    describe(release, document(acquisitions=[{"id": "a1", "channels": [{"name": odd, "color": odd}]}]))
    _, page = page_of(release)
    assert len(list(page.all("img"))) == 7


def test_damaged_pixels_are_told_and_the_rest_is_shown(release: Path) -> None:
    shard = next(f for f in (release / IMAGE / "0").rglob("*") if f.is_file() and f.name != "zarr.json")
    shard.write_bytes(shard.read_bytes()[:100])
    shutil.rmtree(release / IMAGE / "projections")
    _, page = page_of(release)
    assert "the pixels cannot be shown" in page.words
    assert "Voxels C 3" in page.words


@pytest.mark.parametrize("field", ["channels", "instrument", "times_s"])
def test_a_tampered_record_inside_the_image_is_told(release: Path, field: str) -> None:
    path = release / IMAGE / "zarr.json"
    described = json.loads(path.read_text(encoding="utf-8"))
    described["attributes"]["neuropack"]["image"][field] = 5
    path.write_text(json.dumps(described), encoding="utf-8")
    _, page = page_of(release)
    assert "the pixels cannot be shown" in page.words


def test_damaged_labels_do_not_take_the_image_with_them(release: Path) -> None:
    (release / LABELS / "zarr.json").write_text("{}", encoding="utf-8")
    _, page = page_of(release)
    assert "the labels cannot be shown" in page.words
    assert len(list(page.all("img"))) == 6


def test_a_damaged_table_of_neurons_is_told(release: Path) -> None:
    (release / "derivatives/morphology/neurons.tsv").write_text("a\tb\n1\n", encoding="utf-8")
    _, page = page_of(release)
    assert "the table of neurons cannot be shown" in page.words


def test_without_a_voxel_size_there_is_no_scale_and_no_side_view(release: Path) -> None:
    metadata = release / IMAGE / "zarr.json"
    described = json.loads(metadata.read_text(encoding="utf-8"))
    for axis in described["attributes"]["ome"]["multiscales"][0]["axes"]:
        axis.pop("unit", None)
    metadata.write_text(json.dumps(described), encoding="utf-8")
    html, page = page_of(release)
    assert 'class="bar"' not in html
    assert "No scale: nobody stated the voxel size." in page.words
    assert len(list(page.all("img"))) == 1 + 3 + 1


def test_a_single_plane_of_one_channel_is_shown_once(tmp_path: Path) -> None:
    root = tmp_path / "release"
    volume = simulate.stack(2, (1, 40, 60), (20.0, 0.5, 0.5), neurons=1, fluorophores=simulate.BRAINBOW[:1]).volume
    write_ome_tiff(tmp_path / "raw.ome.tif", volume)
    (root / IMAGE).parent.mkdir(parents=True)
    with open_volume(tmp_path / "raw.ome.tif") as raw:
        convert(raw, [root / IMAGE])
    describe(root, document(annotations=[]))
    _, page = page_of(root)
    assert len(list(page.all("img"))) == 1
    assert "The single plane, of all voxels." in page.words


def test_the_same_release_gives_the_same_page(release: Path) -> None:
    assert page_of(release)[0] == page_of(release)[0]


def test_a_page_that_cannot_be_written_is_one_message(release: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(OutputError, match="cannot be written"):
        write_page(release, tmp_path / "file" / "report.html", CLEAN)


def found_in(release: Path, **changes: Any) -> Found:
    image, swc = release / IMAGE, release / "derivatives/morphology" / SWC
    told: dict[str, Any] = {
        "title": "M01 LH",
        "raw": image,
        "processed": image,
        "labels": release / LABELS,
        "traces": {"a<b": swc},
        "truth": {"one": swc},
        "steps": [("align", "moved <EYFP> by 0.2 voxels")],
        "scores": [{"neuron": "n001", "length F1": "0.93"}],
        "about": "Simulated.",
    }
    return Found(**{**told, **changes})


def test_what_programs_found_is_shown_over_the_image_with_its_scores(release: Path) -> None:
    write_page(release, out := release.parent / "page.html", CLEAN, [found_in(release)])
    page = Page(html := out.read_text(encoding="utf-8"))
    assert "From pixels to neurons M01 LH" in " ".join(page.text.split())
    for words in ("moved <EYFP> by 0.2 voxels", "n001", "0.93", "what they are compared with", "segmented"):
        assert words in page.text
    assert "<EYFP>" not in html and "<title>a&lt;b</title>" in html
    layers = [
        a.get("class") for tag, a in page.elements if tag == "div" and (a.get("class") or "").startswith("layer")
    ]
    assert layers == ["layer traced", "layer truth"] * 3
    traces = [a for tag, a in page.elements if tag == "path" and a.get("class") == "trace"]
    assert {a["stroke"] for a in traces[-2:]} == {"#FFFFFF", "#" + label_colour(1)}


def test_what_cannot_be_shown_of_it_is_told(release: Path) -> None:
    (broken := release / "broken.swc").write_text("1 2 3\n")
    write_page(release, out := release.parent / "page.html", CLEAN, [found_in(release, traces={"a": broken})])
    page = Page(out.read_text(encoding="utf-8"))
    assert "it cannot be shown" in page.text
    assert "broken.swc" in page.text
