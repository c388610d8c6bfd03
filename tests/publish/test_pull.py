"""Releases elsewhere: opened where they lie, and brought here in whole or in part."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from neuropack.address import Address
from neuropack.cli import main
from neuropack.convert import convert
from neuropack.errors import InputError, NeuropackError, OutputError, UsageError
from neuropack.far import Far, chosen
from neuropack.manifest import MANIFEST, Entry, files_below, read_manifest, write_manifest
from neuropack.publish.pull import pull
from neuropack.release import METADATA, open_release
from neuropack.volume import from_array

SWC = "1 1 1.0 1.0 1.0 0.5 -1\n2 2 2.0 1.0 1.0 0.5 1\n"
LARGE = 3 << 20

if TYPE_CHECKING:
    from s3server import S3Server
    from webserver import WebServer

pytest_plugins = ["s3server", "webserver"]


def cut(path: str, before: int) -> object:
    """The connection breaks off in the middle of the large file."""
    from webserver import Failure

    return Failure(cut=1 << 20) if path.endswith("large.bin") else None


@pytest.fixture
def release(web: WebServer) -> Path:
    """A small release in the folder of the server."""
    root = web.root / "mouse 1"
    folder = root / "sub-1/micr"
    folder.mkdir(parents=True)
    image = np.arange(2 * 4 * 40 * 50, dtype=np.uint16).reshape(2, 4, 40, 50)
    np.save(source := web.root.parent / "a.npy", image)
    volume = from_array(image, axes="CZYX", voxel_size_um=(2.0, 0.5, 0.5), path=source)
    convert(volume, [folder / "a.ome.zarr"])
    (folder / "a.json").write_text('{"PixelSize": [0.5, 0.5]}')
    (root / "derivatives/morphology/sub-1").mkdir(parents=True)
    (root / "derivatives/morphology/sub-1/n1.swc").write_text(SWC)
    (root / "derivatives/morphology/neurons.tsv").write_text("neuron_id\tn_nodes\nn1\t2\n")
    (root / "large.bin").write_bytes(random.Random(1).randbytes(LARGE))  # noqa: S311
    (root / "empty.txt").touch()
    (root / "metadata").mkdir()
    document = {
        "dataset": {"title": "Test", "version": "1.0.0"},
        "image_stacks": [{"id": "a", "path": "sub-1/micr/a.ome.zarr"}],
        "neurons": [{"id": "n1", "morphology": "derivatives/morphology/sub-1/n1.swc"}],
    }
    (root / METADATA).write_text(json.dumps(document))
    write_manifest(root)
    return root


@pytest.fixture
def address(web: WebServer, release: Path) -> Address:
    return Address(f"{web.url}/mouse%201")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NEUROPACK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_release_on_the_web_is_opened_and_its_files_come_when_they_are_asked_for(
    web: WebServer, address: Address, release: Path
) -> None:
    with open_release(address.url) as far, open_release(release) as near:
        assert web.sent < 20_000  # the manifest and the metadata
        assert str(far.path) == address.url and far.metadata == near.metadata
        assert far.tables["neurons"] == near.tables["neurons"] == [{"neuron_id": "n1", "n_nodes": "2"}]
        assert far.tables["manifest"] == near.tables["manifest"]
        np.testing.assert_array_equal(far.neurons["n1"].xyz, near.neurons["n1"].xyz)
        np.testing.assert_array_equal(far.stacks["a"][1, 2:3, 5:9, :], near.stacks["a"][1, 2:3, 5:9, :])
        assert far.stacks["a"].sidecar == near.stacks["a"].sidecar
    assert not web.times("large.bin")


def test_what_was_fetched_is_kept_until_the_release_changes(
    web: WebServer, address: Address, release: Path
) -> None:
    for expected in (1, 1):
        with open_release(address.url) as far:
            assert len(far.neurons["n1"]) == 2
        assert web.times("n1.swc") == expected
    (release / "derivatives/morphology/sub-1/n1.swc").write_text(SWC + "3 2 3.0 1.0 1.0 0.5 2\n")
    write_manifest(release)
    with open_release(address.url) as far:
        assert len(far.neurons["n1"]) == 3


def test_a_file_that_is_not_the_manifest_s_is_refused(address: Address, release: Path) -> None:
    (release / "derivatives/morphology/sub-1/n1.swc").write_text(SWC.replace("0.5", "0.7"))
    with open_release(address.url) as far, pytest.raises(InputError, match="not what the manifest says"):
        far.neurons["n1"]


def test_a_whole_release_comes_and_is_not_fetched_twice(
    web: WebServer, address: Address, release: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    done = pull(address, copy)
    assert done.complete and done.fetched_files == done.files == len(read_manifest(release))
    assert list(files_below(copy)) == list(files_below(release))
    assert all((copy / name).read_bytes() == (release / name).read_bytes() for name in files_below(release))
    web.forget()
    again = pull(address, copy)
    assert again.complete and again.fetched_files == 0
    assert [one.path for one in web.asked] == [f"/mouse%201/{MANIFEST}"]


def test_a_part_of_it_and_then_the_rest(address: Address, release: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    part = pull(address, copy, ["derivatives/", "*.json"])
    assert not part.complete and (copy / "derivatives/morphology/sub-1/n1.swc").is_file()
    assert (copy / METADATA).is_file() and not (copy / "large.bin").exists()
    assert open_release(copy).neurons["n1"].xyz.shape == (2, 3)
    rest = pull(address, copy)
    assert rest.complete and rest.fetched_files == rest.files - part.files


def test_a_large_file_is_gone_on_with_where_it_broke_off(
    web: WebServer, address: Address, release: Path, tmp_path: Path
) -> None:
    copy, at = tmp_path / "copy", LARGE // 2
    copy.mkdir()
    (copy / "large.bin.partial").write_bytes((release / "large.bin").read_bytes()[:at])
    done = pull(address, copy)
    assert [one.range for one in web.asked if one.path.endswith("large.bin")] == [f"bytes={at}-"]
    assert (copy / "large.bin").read_bytes() == (release / "large.bin").read_bytes()
    assert done.fetched_bytes == done.bytes - at and not list(copy.rglob("*.partial"))


@pytest.mark.parametrize("knows_ranges", [True, False])
def test_what_was_left_of_another_file_is_thrown_away(
    web: WebServer, address: Address, release: Path, tmp_path: Path, knows_ranges: bool
) -> None:
    web.knows_ranges = knows_ranges
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "large.bin.partial").write_bytes(bytes(1000))
    pull(address, copy)
    assert (copy / "large.bin").read_bytes() == (release / "large.bin").read_bytes()


def test_connections_that_break_off_cost_only_what_was_on_its_way(
    web: WebServer, address: Address, release: Path, tmp_path: Path
) -> None:
    web.fails = lambda path, before: cut(path, before) if before < 2 else None
    done = pull(address, tmp_path / "copy", ["large.bin"])
    assert (done.folder / "large.bin").read_bytes() == (release / "large.bin").read_bytes()


def test_an_interrupted_run_leaves_no_file_under_its_name_that_is_not_whole(
    web: WebServer, address: Address, release: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    web.fails = cut
    with pytest.raises(NeuropackError, match="breaks off"):
        pull(address, copy)
    assert not (copy / "large.bin").exists() and not (copy / MANIFEST).exists()
    web.fails = lambda path, before: None
    assert pull(address, copy).complete


def test_a_newer_version_replaces_what_changed(address: Address, release: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    pull(address, copy)
    (release / "derivatives/morphology/neurons.tsv").write_text("neuron_id\tn_nodes\nn1\t3\n")
    (release / "empty.txt").unlink()
    (release / "large.bin").unlink()
    (copy / "large.bin").write_text("mine now")
    write_manifest(release)
    done = pull(address, copy)
    assert (done.fetched_files, done.complete) == (1, True)
    assert not (copy / "empty.txt").exists() and (copy / "large.bin").read_text() == "mine now"
    assert (copy / MANIFEST).read_bytes() == (release / MANIFEST).read_bytes()


@pytest.mark.parametrize(
    "name", ["../x", "/etc/x", "a/../../x", "a//x", "C:/x", "a\\..\\x", "x.partial", MANIFEST, "a/./x", "NUL"]
)
def test_a_manifest_that_leads_out_of_the_folder_is_refused(
    web: WebServer, address: Address, release: Path, tmp_path: Path, name: str
) -> None:
    (release / MANIFEST).write_text(f"path\tbytes\tsha256\n{name}\t1\t{'0' * 64}\n")
    with pytest.raises(InputError, match="names a file that cannot lie in a release"):
        pull(address, tmp_path / "copy")
    assert len(web.asked) == 1 and not (tmp_path / "copy").exists()


def test_a_link_in_the_folder_is_not_followed(address: Address, tmp_path: Path) -> None:
    copy, elsewhere = tmp_path / "copy", tmp_path / "elsewhere"
    copy.mkdir()
    elsewhere.mkdir()
    (copy / "derivatives").symlink_to(elsewhere)
    with pytest.raises(OutputError, match="is a link"):
        pull(address, copy)
    assert not list(elsewhere.iterdir())


def test_a_folder_with_other_things_is_left_alone(address: Address, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "thesis.txt").touch()
    with pytest.raises(OutputError, match="holds other things"):
        pull(address, copy)
    assert [p.name for p in copy.iterdir()] == ["thesis.txt"]


def test_what_is_no_release_is_said_to_be_none(web: WebServer, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a release"):
        open_release(f"{web.url}/nothing")
    with pytest.raises(InputError, match="is not a release"):
        pull(Address(f"{web.url}/nothing"), tmp_path / "copy")
    with pytest.raises(UsageError, match="no URL"):
        open_release("ftp://host/release")


def test_patterns_mean_paths_folders_and_names() -> None:
    entries = dict.fromkeys(("a/b.swc", "a/c/d.swc", "e.json"), Entry(1, ""))
    assert chosen(entries, ["a"]) == chosen(entries, ["a/"]) == ["a/b.swc", "a/c/d.swc"]
    assert chosen(entries, ["*.swc", "e.json"]) == list(entries) == chosen(entries, [])
    with pytest.raises(InputError, match="no file of the release"):
        chosen(entries, ["*.nwb"])


def test_a_release_in_a_bucket(s3: S3Server, release: Path, tmp_path: Path) -> None:
    bucket = s3.bucket()
    for name in files_below(release):
        s3.client.put_object(Bucket=bucket, Key=f"mouse-1/{name}", Body=(release / name).read_bytes())
    url = f"s3://{bucket}/mouse-1"
    with open_release(url) as far, open_release(release) as near:
        np.testing.assert_array_equal(far.stacks["a"][0, 0], near.stacks["a"][0, 0])
        assert len(far.neurons["n1"]) == 2
    assert pull(Address(url), tmp_path / "copy").complete
    assert len(Far(Address(url)).entries) == len(read_manifest(release))


def test_the_command_says_what_came_and_how_to_get_the_rest(
    address: Address, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = str(tmp_path / "copy")
    assert main(["pull", address.url, copy, "--only", "*.swc"]) == 0
    said = capsys.readouterr().out
    assert "1 files" in said and f"neuropack pull {address.url} {copy} fetches the rest" in said
    assert main(["pull", address.url, copy, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["complete"] is True
    assert main(["pull", copy, copy]) == 2
    assert main(["pull", f"{address.url}x", copy + "2"]) == 3
