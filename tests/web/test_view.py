"""The 3-D view: the state that neuroglancer gets, its client, and what no file holds."""

from __future__ import annotations

import gzip
import json
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
from served import Asked
from test_pages import SWC, change, small

from neuropack.annotations.precomputed import precomputed_skeletons, read_precomputed_skeletons
from neuropack.convert import convert
from neuropack.swc import read_swc
from neuropack.volume import from_array
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


IMAGE = "sub-A/ses-01/micr/sub-A_ses-01_sample-1_CONF.ome.zarr"
IN_ATLAS = (
    "derivatives/registration/sub-A/ses-01/micr/sub-A_ses-01_sample-1_space-CCF_desc-registered_CONF.ome.zarr"
)


def test_the_image_in_the_atlas_is_that_of_the_release_as_it_is_now(tmp_path: Path) -> None:
    root = table(small(tmp_path / "small"))
    shutil.copytree(root / IMAGE, root / IN_ATLAS)
    ask = Asked(root)
    layer = state(ask, "?space=ccf")["layers"][0]
    assert layer["source"] == f"zarr3://http://127.0.0.1/files/small/{IN_ATLAS}"
    shutil.rmtree(root / IN_ATLAS)
    bright = np.full((2, 6, 40, 50), 40_000, np.uint16)
    bright[..., :9] = 0
    convert(from_array(bright, "CZYX", path=__file__, voxel_size_um=(2.0, 0.5, 0.5)), [root / IN_ATLAS])
    assert state(ask, "?space=ccf")["layers"][0] == layer
    ask.site.reload("small")
    assert "40000" in state(ask, "?space=ccf")["layers"][0]["shader"]


def test_the_path_of_a_stack_leads_the_search_for_its_image_nowhere(tmp_path: Path) -> None:
    root = small(tmp_path / "small")
    (tmp_path / "outside" / "S_space-CCF_desc-registered_CONF.ome.zarr").mkdir(parents=True)
    (root / "derivatives/registration").mkdir(parents=True)

    def led(document: dict[str, Any]) -> None:
        document["image_stacks"][0]["path"] = "../../../outside/S_CONF.ome.zarr"

    assert change(root, led).get("/view/small/S?space=ccf").status_code == 404


def test_the_table_of_neurons_is_read_once_for_all_that_a_view_draws(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = table(small(tmp_path / "small"))
    ask = Asked(root)
    read = []
    whole = Path.open

    def watched(path: Path, *args: Any, **more: Any) -> Any:
        read.append(path.name)
        return whole(path, *args, **more)

    monkeypatch.setattr(Path, "open", watched)
    for name in ("info", "1", "2", "2"):
        assert ask.get(f"/neuroglancer/data/small/skeletons/stack/S/{name}").status_code == 200
    assert read.count("neurons.tsv") == 1
    text = (root / "derivatives/morphology/neurons.tsv").read_text(encoding="utf-8")
    (root / "derivatives/morphology/neurons.tsv").write_text(text.rsplit("n1", 1)[0].rsplit("n1", 1)[0])
    assert ask.get("/neuroglancer/data/small/skeletons/stack/S/2").status_code == 404  # as the table is now


def test_the_atlas_is_opened_once_however_many_blocks_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from neuropack.page.atlas import atlases

    root = small(tmp_path / "small")
    (root / "derivatives/registration/atlas").mkdir(parents=True)
    (root / "derivatives/registration/atlas/annotation.nrrd").write_bytes(b"")
    labels = np.arange(8, dtype=np.uint32).reshape(2, 2, 2)
    opened = []

    def slow(*_: object) -> Any:
        opened.append(1)
        time.sleep(0.2)
        annotation = SimpleNamespace(labels=labels, resolution_um=25.0)
        return SimpleNamespace(atlas=SimpleNamespace(annotation=annotation, structures=[]), structures=[])

    monkeypatch.setattr(atlases, "find_atlas", slow)
    ask = Asked(root)
    names = ["info", "names/info", *["whole/0-1_0-2_0-2"] * 3]
    with ThreadPoolExecutor(len(names)) as pool:
        found = list(pool.map(lambda name: ask.get(f"/neuroglancer/data/small/atlas/{name}"), names))
    assert [one.status_code for one in found] == [200] * len(names)
    assert np.frombuffer(found[-1].content, "<u4").tolist() == labels[:, :, :1].ravel().tolist()
    assert opened == [1]
