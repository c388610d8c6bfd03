"""The 3-D view: the state that neuroglancer gets, its client, and what no file holds."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from served import Asked
from test_pages import SWC, small

from neuropack.annotations.precomputed import precomputed_skeletons, read_precomputed_skeletons
from neuropack.swc import read_swc
from neuropack.web.view import drawable


def state(ask: Asked, query: str = "") -> dict:
    answer = ask.get(f"/view/small/S{query}")
    assert answer.status_code == 303
    place, _, hash_ = answer.headers["location"].partition("#!")
    assert place == "/neuroglancer/v/view/"
    return json.loads(unquote(hash_))


def table(root: Path, ccf: bool = False) -> Path:
    rows = [f"n{i}\tS\tsub-A/n{i}.swc\t{'sub-A/n0.swc' if ccf else 'n/a'}" for i in range(2)]
    text = "\n".join(["neuron_id\timage_stack\tswc\tswc_ccf", *rows]) + "\n"
    (root / "derivatives/morphology/neurons.tsv").write_text(text, encoding="utf-8")
    return root


def test_a_stack_has_a_layer_for_each_channel_and_its_neurons(tmp_path: Path) -> None:
    ask = Asked(table(small(tmp_path / "small")))
    seen = state(ask)
    assert [one["type"] for one in seen["layers"]] == ["image", "image", "segmentation"]
    assert seen["layers"][1]["localPosition"] == [1]
    assert seen["layers"][0]["source"].startswith("zarr3://http://127.0.0.1/files/small/sub-A/")
    assert seen["layers"][2]["segments"] == ["1", "2"]
    assert seen["layers"][2]["source"]["transform"]["matrix"][2][3] == -1000.0  # half a voxel, nm
    assert state(ask, "?neuron=n1")["layers"][2]["segments"] == ["2"]


def test_a_skeleton_is_made_when_it_is_asked_for(tmp_path: Path) -> None:
    root = table(small(tmp_path / "small"), ccf=True)
    ask = Asked(root)
    base = "/neuroglancer/data/small/skeletons"
    for name in ("info", "segment_properties/info", "1"):
        path = tmp_path / "got" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(ask.get(f"{base}/stack/S/{name}").content)
    found = read_precomputed_skeletons(tmp_path / "got")["n0"]
    assert found.length_um() == pytest.approx(read_swc(root / "derivatives/morphology/sub-A/n0.swc").length_um())
    data = ask.get(f"{base}/ccf/S/1").content
    assert np.frombuffer(data, "<f4", 3, 8 + 3 * 4).tolist() == [5000.0, 5000.0, 9000.0]  # LR, DV, AP of node 2
    assert state(ask, "?space=ccf")["layers"][-1]["name"] == "neurons"


def test_a_stack_that_is_not_registered_has_no_place_in_the_atlas(tmp_path: Path) -> None:
    ask = Asked(table(small(tmp_path / "small")))
    assert ask.get("/view/small/S?space=ccf").status_code == 404
    assert ask.get("/view/small/S?space=moon").status_code == 422


def test_attributes_of_skeletons_are_those_that_the_viewer_draws(tmp_path: Path) -> None:
    (tmp_path / "a.swc").write_text(SWC, encoding="utf-8")
    info = json.loads(dict(precomputed_skeletons({1: read_swc(tmp_path / "a.swc")}))["info"])
    assert {one["data_type"] for one in info["vertex_attributes"]} == {"float32"}
    (tmp_path / "info").write_text(json.dumps(info), encoding="utf-8")
    assert drawable(tmp_path)
    info["vertex_attributes"][1]["data_type"] = "int32"
    (tmp_path / "info").write_text(json.dumps(info), encoding="utf-8")
    assert not drawable(tmp_path)
    (tmp_path / "info").write_text("[]", encoding="utf-8")
    assert not drawable(tmp_path)


def test_the_client_is_served_packed_and_kept(tmp_path: Path) -> None:
    ask = Asked(small(tmp_path / "small"))
    page = ask.get("/neuroglancer/v/view/")
    assert "unsafe-eval" in page.headers["content-security-policy"]
    script = next(
        word for word in page.text.split('"') if word.startswith("/neuroglancer/main") and word.endswith(".js")
    )
    answer = ask.get(script, accept_encoding="gzip")
    assert answer.headers["content-encoding"] == "gzip"
    assert "immutable" in answer.headers["cache-control"]
    assert len(answer.content) > 100_000
    assert ask.get(script + ".map").status_code == 404
    assert gzip.decompress(gzip.compress(answer.content)) == ask.get(script, accept_encoding="identity").content
