"""The pages of a release: what they show, what they refuse, and that nothing in a release acts in them."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from served import Asked

from neuropack.convert import convert
from neuropack.manifest import write_manifest
from neuropack.volume import from_array
from neuropack.web.pages.drawing import drawings
from neuropack.web.pages.search import asked
from neuropack.web.pages.templates import address, json_in_html, link, number

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\"'&"
SWC = """1 1 5 5 5 2 -1
2 3 9 5 5 0.5 1
3 3 12 8 6 0.5 2
4 2 5 12 7 0.4 1
5 0 5 16 9 0.4 4
"""


def small(root: Path, neurons: int = 3, **said: Any) -> Path:
    """A release with one stack of pixels and a few neurons; `said` goes into the dataset."""
    values = np.zeros((2, 6, 40, 50), np.uint16)
    values[0, 2, 10:12, 5:30] = 900
    values[1, 4, 20:30, 25] = 500
    volume = from_array(values, "CZYX", path=__file__, voxel_size_um=(2.0, 0.5, 0.5))
    path = "sub-A/ses-01/micr/sub-A_ses-01_sample-1_CONF.ome.zarr"
    (root / path).parent.mkdir(parents=True)
    convert(volume, [root / path])
    swc = "derivatives/morphology/sub-A/n{}.swc"
    document: dict[str, Any] = {
        "dataset": {
            "id": "small",
            "title": "A small release",
            "version": "1.0.0",
            "date": "2026-01-01",
            "creators": [{"name": "Ada Example"}],
            "license": {"spdx": "CC-BY-4.0", "uri": "https://creativecommons.org/licenses/by/4.0/"},
        }
        | said,
        "subjects": [{"id": "A", "species": "NCBITaxon:10090", "sex": "F"}],
        "specimens": [{"id": "A-1", "subject": "A"}],
        "image_stacks": [
            {
                "id": "S",
                "path": path,
                "subject": "A",
                "specimen": "A-1",
                "axes": "CZYX",
                "shape": [2, 6, 40, 50],
                "voxel_size_z_um": 2.0,
                "voxel_size_y_um": 0.5,
                "voxel_size_x_um": 0.5,
                "sources": [{"field": "voxel_size_um.z", "source": "file"}],
            }
        ],
        "neurons": [
            {"id": f"n{i}", "image_stack": "S", "completeness": "partial", "morphology": swc.format(i)}
            for i in range(neurons)
        ],
    }
    (root / "metadata").mkdir()
    (root / "metadata/neuropack.json").write_text(json.dumps(document), encoding="utf-8")
    for i in range(neurons):
        (root / swc.format(i)).parent.mkdir(parents=True, exist_ok=True)
        (root / swc.format(i)).write_text(SWC, encoding="utf-8")
    write_manifest(root)
    return root


@pytest.fixture
def ask(tmp_path: Path) -> Asked:
    return Asked(small(tmp_path / "small"))


def change(root: Path, how: Callable[[dict[str, Any]], None]) -> Asked:
    """The release with other metadata."""
    path = root / "metadata/neuropack.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    how(document)
    path.write_text(json.dumps(document), encoding="utf-8")
    write_manifest(root)
    return Asked(root)


def test_the_page_of_a_release(ask: Asked) -> None:
    page = ask.get("/r/small/")
    assert page.status_code == 200
    assert "<h1>A small release</h1>" in page.text
    assert "Ada Example (2026). A small release. Version 1.0.0. Data set." in page.text
    assert 'href="https://creativecommons.org/licenses/by/4.0/"' in page.text
    assert "/api/v1/stacks/small/S/projection.png" in page.text
    said = json.loads(re.search(r'ld\+json">(.*?)</script>', page.text, re.S)[1])  # type: ignore[index]
    assert (said["@type"], said["name"], said["version"]) == ("Dataset", "A small release", "1.0.0")
    assert "describedby" in page.headers["link"]
    assert "<h1>A small release</h1>" in ask.get("/").text  # the only one
    assert ask.get("/r/small").headers["location"] == "/r/small/"


def test_two_releases_have_a_list(tmp_path: Path) -> None:
    ask = Asked(small(tmp_path / "one"), small(tmp_path / "two", title="The other"))
    page = ask.get("/").text
    assert 'href="/r/one/"' in page
    assert "The other" in page
    assert "two" in ask.get("/search").text  # a facet of releases


def test_the_page_of_a_stack_says_where_fields_come_from(ask: Asked) -> None:
    page = ask.get("/r/small/stacks/S").text
    assert 'z 2 <span class="source file"' in page
    assert "projection.png?side=900" in page
    assert page.count("<title>n") == 3  # its neurons, drawn over it
    assert "/view/small/S" in page
    assert "http://127.0.0.1/files/small/sub-A/" in page


def test_the_page_of_a_neuron_has_its_shape_and_files(ask: Asked) -> None:
    page = ask.get("/r/small/neurons/n1").text
    assert page.count('<svg class="drawing"') == 3
    assert page.count('<path class="axon"') == 4  # one of them in the legend
    assert 'href="/files/small/derivatives/morphology/sub-A/n1.swc"' in page
    assert re.search(r">tips</th><td class=\"number\">2</td>", page)
    assert re.search(r">total length</th><td class=\"number\">[\d.]+</td><td>µm</td>", page)


@pytest.mark.parametrize(
    "path",
    [
        *("/r/none/", "/r/small/stacks/none", "/r/small/neurons/none", "/r/small/subjects/none"),
        *("/r/small/trace/none", "/view/small/none", "/static/none", "/static/..%2ftokens.css"),
        *("/neuroglancer/none.js", "/neuroglancer/data/none/atlas/info", "/neuroglancer/data/small/atlas/info"),
        *("/neuroglancer/data/small/skeletons/stack/S/99", "/neuroglancer/data/small/skeletons/stack/none/info"),
    ],
)
def test_what_is_not_there_is_told(ask: Asked, path: str) -> None:
    answer = ask.get(path)
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("application/problem+json")


def test_a_person_is_told_in_a_page(ask: Asked) -> None:
    answer = ask.get("/r/small/neurons/none", accept="text/html,*/*")
    assert answer.status_code == 404
    assert "There is no such neuron" in answer.text
    assert ask.get("/view/small/S?space=moon", accept="text/html").status_code == 422


def test_nothing_of_a_release_acts_in_a_page(tmp_path: Path) -> None:
    def everywhere(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                k: v if k in ("id", "path", "axes", "morphology", *_IDS) else everywhere(v)
                for k, v in value.items()
            }
        if isinstance(value, list):
            return [everywhere(one) for one in value]
        return EVIL if isinstance(value, str) else value

    root = small(tmp_path / "small", keywords=["a"], abstract="b")

    def evil(document: dict[str, Any]) -> None:
        document |= everywhere(document)
        document["neurons"][0]["id"] = EVIL
        document["subjects"][0]["id"] = document["image_stacks"][0]["subject"] = EVIL

    ask = change(root, evil)
    id_ = address(EVIL)[1:]
    for path in (
        "/",
        "/r/small/stacks/S",
        f"/r/small/neurons/{id_}",
        f"/r/small/subjects/{id_}",
        "/r/small/trace/S",
    ):
        page = ask.get(path)
        assert page.status_code == 200, path
        assert "<script>alert" not in page.text, path
        assert "<img src=x" not in page.text, path
    assert html.escape("<img src=x") in ask.get("/").text
    page = ask.get(link("/search", text=EVIL, region=EVIL, stack=EVIL, **{"length_um.min": EVIL}))
    assert "<script>alert" not in page.text


_IDS = ("image_stack", "subject", "specimen")


def test_damaged_metadata_and_pixels_are_told_on_the_page(tmp_path: Path) -> None:
    root = small(tmp_path / "small")
    (root / "sub-A/ses-01/micr/sub-A_ses-01_sample-1_CONF.ome.zarr/zarr.json").write_text("{}", encoding="utf-8")
    (root / "derivatives/morphology/sub-A/n0.swc").write_text("1 1 x\n", encoding="utf-8")
    ask = change(root, lambda d: d["dataset"].pop("creators"))
    assert "The pixels cannot be shown" in ask.get("/r/small/stacks/S").text
    assert "Its skeleton cannot be shown" in ask.get("/r/small/neurons/n0").text
    assert "lack what a citation is made of" in ask.get("/r/small/").text
    assert ask.get("/api/v1/stacks/small/S/projection.png").status_code == 422


def test_a_path_out_of_the_release_is_not_followed(tmp_path: Path) -> None:
    root = small(tmp_path / "small")
    (tmp_path / "secret.swc").write_text(SWC, encoding="utf-8")

    def lead_out(document: dict[str, Any]) -> None:
        document["image_stacks"][0]["path"] = "../other/sub-A/ses-01/micr/sub-A_ses-01_sample-1_CONF.ome.zarr"
        document["neurons"][0]["morphology"] = "../secret.swc"

    small(tmp_path / "other")
    ask = change(root, lead_out)
    assert ask.get("/api/v1/stacks/small/S/view.json").status_code == 422
    assert ask.get("/r/small/neurons/n0").text.count('<svg class="drawing"') == 0
    assert "secret" not in re.sub(r"<table.*", "", ask.get("/r/small/neurons/n0").text, flags=re.S)


def test_search_filters_sorts_and_pages_by_links(ask: Asked) -> None:
    page = ask.get("/search?text=n&sort=-id&limit=25").text
    assert [found[1] for found in re.finditer(r"/neurons/(n\d)\"", page)] == ["n2", "n1", "n0"]
    assert 'aria-sort="descending"' in page
    assert "3 neurons fit" in page
    page = ask.get("/search?length_um.min=1e9").text
    assert "No neuron fits" in page
    assert "Length (µm) at least 1e+09" in page
    assert ask.get("/search?cursor=forged").status_code == 422


def test_a_long_list_has_a_next_page(tmp_path: Path) -> None:
    ask = Asked(small(tmp_path / "small", neurons=30))
    page = ask.get("/search?limit=25").text
    following = html.unescape(re.search(r'rel="next" href="([^"]+)"', page)[1])  # type: ignore[index]
    page = ask.get(following).text
    assert page.count("/neurons/n") == 5
    assert "First page" in page
    assert 'rel="next"' not in page


def test_what_makes_no_sense_in_the_form_is_told_and_left_out(ask: Asked) -> None:
    from starlette.datastructures import QueryParams

    form = asked(QueryParams("length_um.min=x&sort=nothing&limit=7&n_tips.max=inf"))
    assert form.ranges == {}
    assert (form.sort, form.limit) == ("id", 50)
    assert len(form.problems) == 2
    assert "is no number" in ask.get("/search?length_um.min=x").text


def test_a_kept_report_is_shown_until_it_is_too_old(tmp_path: Path) -> None:
    import os

    root = small(tmp_path / "small")
    ask = Asked(root)
    assert "No validation result is kept" in ask.get("/r/small/").text
    report = tmp_path / "small.report.json"
    where = {
        "file": "sub-A/ses-01/micr/sub-A_ses-01_sample-1_CONF.json",
        "path": None,
        "line": None,
        "column": None,
    }
    issue = {"rule": "x.y", "level": "error", "where": where, "expected": "a", "found": EVIL, "fix": "c"}
    checked = {"files": 3, "bytes": 10, "rules": 5}
    counts = {"error": 1, "warning": 0, "info": 0}
    report.write_text(json.dumps({"issues": [issue], "counts": counts, "checked": checked}), encoding="utf-8")
    for page in ("/r/small/", "/r/small/stacks/S"):
        assert "1 error(s) in this" in ask.get(page).text
    os.utime(report, (1, 1))
    assert "is older than the release" in ask.get("/r/small/").text
    report.write_text("{", encoding="utf-8")
    assert "cannot be read" in ask.get("/r/small/").text


def test_the_tracing_page_knows_who_may_trace(tmp_path: Path) -> None:
    root = small(tmp_path / "small")
    assert "--edit" not in Asked(root).get("/r/small/trace/S").text
    assert 'id="undo"' not in Asked(root).get("/r/small/trace/S").text
    page = Asked(root, edit=True, workspace=tmp_path / "w").get("/r/small/trace/S").text
    assert 'id="undo"' in page
    about = json.loads(re.search(r'id="about">(.*?)</script>', page, re.S)[1])  # type: ignore[index]
    assert (about["edit"], about["curate"], len(about["neurons"])) == (True, True, 3)


def test_a_drawing_keeps_to_one_scale(tmp_path: Path) -> None:
    from neuropack.swc import read_swc

    (tmp_path / "a.swc").write_text(SWC, encoding="utf-8")
    views = drawings(read_swc(tmp_path / "a.swc"))
    assert len({one.box[2] for one in views}) == 1
    assert [one.bar_um for one in views] == [views[0].bar_um] * 3
    assert {part.kind for part in views[0].parts} == {"axon", "dendrite", "other"}


def test_words_of_templates() -> None:
    assert address("r", "a/b", "ü?") == "/r/a%2Fb/%C3%BC%3F"
    assert link("/search", a="x&y", b=None, c="") == "/search?a=x%26y"
    assert (number(1234567), number(2.345, 1), number(None), number(True)) == (
        "1\u202f234\u202f567",
        "2.3",
        "\u2013",
        "\u2013",
    )
    assert json.loads(json_in_html({"a": EVIL})) == {"a": EVIL}
    assert "<" not in json_in_html({"a": EVIL})


def test_static_files_are_asked_for_once(ask: Asked) -> None:
    first = ask.get("/static/web.css")
    assert "--paper" in first.text
    again = ask.get("/static/web.css", if_none_match=first.headers["etag"])
    assert (again.status_code, again.content) == (304, b"")
    assert ask.get("/static/trace.js").headers["content-type"].startswith("text/javascript")
