"""Images by URL, over real servers on this machine: a web server and one that speaks S3, whole and broken."""

from __future__ import annotations

import pickle
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr

import neuropack
from neuropack import cloud
from neuropack.address import Address, place
from neuropack.convert import convert
from neuropack.errors import InputError, NeuropackError, UnreachableError, UsageError
from neuropack.source import fingerprint, opener, reopen
from neuropack.trace import Options, PathFinder
from neuropack.volume import Volume
from neuropack.writers.ome_zarr import Options as Stored

if TYPE_CHECKING:
    from s3server import S3Server
    from webserver import WebServer

pytest_plugins = ["s3server", "webserver"]

SHAPE = (1, 40, 200, 200)
KINDS = ["0.5-sharded", "0.5", "0.4"]
SOME = (slice(0, 1), slice(3, 30), slice(50, 140), slice(20, 90))


@pytest.fixture(scope="module")
def stacks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of one image in every layout, two levels each."""
    root = tmp_path_factory.mktemp("stacks")
    image = np.random.default_rng(5).integers(0, 255, SHAPE, np.uint8)
    image[0, 20, 100, 20:180] = 255
    np.save(root / "raw.npy", image)
    with neuropack.open_volume(root / "raw.npy", axes="CZYX", voxel_size_um=(1, 0.5, 0.5)) as volume:
        convert(volume, [root / "0.5-sharded.ome.zarr"], options=Stored(chunk=(16, 32, 32)))
    for kind, version in (("0.5", 3), ("0.4", 2)):
        group = zarr.open_group(root / f"{kind}.ome.zarr", mode="w", zarr_format=version)
        for level, step in (("0", 1), ("1", 2)):
            values = image[..., ::step, ::step]
            array = group.create_array(level, shape=values.shape, chunks=(1, 16, 64, 64), dtype="u1")
            array[...] = values
        axes = [{"name": "c", "type": "channel"}]
        axes += [{"name": name, "type": "space", "unit": "micrometer"} for name in "zyx"]
        scales = {"0": [1, 1, 0.5, 0.5], "1": [1, 1, 1, 1]}
        sets = [
            {"path": p, "coordinateTransformations": [{"type": "scale", "scale": s}]} for p, s in scales.items()
        ]
        said = [{"version": kind, "axes": axes, "datasets": sets}]
        ome = {"version": kind, "multiscales": said}
        group.attrs.update({"ome": ome} if version == 3 else ome)
    return root


@pytest.fixture
def served(web: WebServer, stacks: Path) -> WebServer:
    """The web server, of that folder."""
    web.root = stacks
    return web


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server is waited for less long."""
    monkeypatch.setattr(cloud, "READING", {"connect_timeout": "1s", "read_timeout": "0.5s", "timeout": "2s"})


def upload(folder: Path, s3: S3Server) -> str:
    bucket = s3.bucket()
    for file in folder.rglob("*"):
        if file.is_file():
            key = f"mice/{folder.name}/{file.relative_to(folder).as_posix()}"
            s3.client.put_object(Bucket=bucket, Key=key, Body=file.read_bytes())
    return f"s3://{bucket}/mice/{folder.name}"


def same(one: Volume, other: Volume) -> None:
    assert len(one.levels) == len(other.levels) > 0
    for a, b in zip((one, *one.levels), (other, *other.levels), strict=True):
        assert a.voxel_size_um == b.voxel_size_um
        assert (a[...] == b[...]).all()
    assert (one.read(SOME) == other.read(SOME)).all()


@pytest.mark.parametrize("kind", KINDS)
def test_every_level_is_that_of_the_copy_on_this_machine(served: WebServer, stacks: Path, kind: str) -> None:
    url = f"{served.url}/{kind}.ome.zarr"
    with neuropack.open_volume(f"{url}/") as volume, neuropack.open_volume(stacks / f"{kind}.ome.zarr") as local:
        same(volume, local)
        assert str(volume.path) == url and volume.path.name == f"{kind}.ome.zarr"
        assert f"<Volume {kind}.ome.zarr" in repr(volume)
        assert volume.describe() == {**local.describe(), "file": url}
    assert {one.method for one in served.asked} == {"GET"}
    assert not any(one.path.endswith("/") for one in served.asked)  # nothing is listed


@pytest.mark.parametrize("kind", KINDS)
def test_a_bucket_is_read_with_the_credentials_of_its_tools(s3: S3Server, stacks: Path, kind: str) -> None:
    url = upload(stacks / f"{kind}.ome.zarr", s3)
    s3.requests.clear()
    with neuropack.open_volume(url) as volume, neuropack.open_volume(stacks / f"{kind}.ome.zarr") as local:
        same(volume, local)
    assert {one.key for one in s3.requests} == {"curator"}
    assert {one.method for one in s3.requests} == {"GET"}


def test_a_file_url_is_a_path(stacks: Path) -> None:
    with neuropack.open_volume((stacks / "0.4.ome.zarr").as_uri()) as volume:
        assert volume.path == stacks / "0.4.ome.zarr"


@pytest.mark.parametrize("kind", KINDS)
def test_a_box_takes_its_own_chunks_each_once_and_together(served: WebServer, kind: str) -> None:
    with neuropack.open_volume(f"{served.url}/{kind}.ome.zarr") as volume:
        served.forget()
        served.delay = 0.05
        volume.read(SOME)
        assert served.busiest > (1 if "sharded" in kind else 3)
        assert len(served.asked) <= 12  # 4 rows of 2 layers in 2 shards, and their index; or 12 chunks
        voxels = 2 * 16 * 4 * 32 * 3 * 32 if "sharded" in kind else 2 * 16 * 3 * 64 * 2 * 64
        assert served.sent < 1.1 * voxels + 10_000  # and the index
        before = len(served.asked)
        volume.read(SOME)
        assert len(served.asked) == before


def test_what_two_threads_want_is_asked_for_once(served: WebServer) -> None:
    with neuropack.open_volume(f"{served.url}/0.5.ome.zarr") as volume:
        served.forget()
        served.delay = 0.05
        volume.expect([SOME])
        threads = [threading.Thread(target=volume.read, args=(SOME,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(served.asked) == len({one.path for one in served.asked}) == 12


def test_a_trace_is_that_of_the_copy_and_fetches_little(served: WebServer, stacks: Path) -> None:
    def traced(where: str | Path) -> Any:
        with neuropack.open_volume(where) as volume:
            return PathFinder(volume, Options(timeout_s=None)).find((20, 100, 30), (20, 100, 94))

    path = traced(f"{served.url}/0.5-sharded.ome.zarr")
    local = traced(stacks / "0.5-sharded.ome.zarr")
    assert (path.xyz == local.xyz).all() and path.confidence == local.confidence
    assert served.sent < 0.3 * sum(file.stat().st_size for file in (stacks / "0.5-sharded.ome.zarr").rglob("*"))


def test_the_fingerprint_names_the_url_and_changes_with_the_pixels(web: WebServer, stacks: Path) -> None:
    folder = web.root / "x.ome.zarr"
    copy(stacks / "0.4.ome.zarr", folder)
    address = place(f"{web.url}/x.ome.zarr")
    first = fingerprint(address)
    assert first["name"] == str(address)
    assert fingerprint(address) == first
    chunk = next(file for file in sorted(folder.rglob("*")) if file.is_file() and not file.name.startswith("."))
    data = bytearray(chunk.read_bytes())
    data[20] ^= 1
    chunk.write_bytes(data)
    assert fingerprint(address)["sha256_samples"] != first["sha256_samples"]


def copy(source: Path, target: Path) -> None:
    import shutil

    shutil.copytree(source, target)


def test_another_process_can_open_it(served: WebServer) -> None:
    address = place(f"{served.url}/0.4.ome.zarr")
    with neuropack.open_volume(address) as volume:
        source = fingerprint(address)
        again = pickle.loads(pickle.dumps(opener(volume, source)))()  # noqa: S301 - ours
        assert (again.read(SOME) == volume.read(SOME)).all()
    with pytest.raises(InputError, match="is not the file that it was"):
        reopen(address, None, "CZYX", SHAPE, "|u1", {**source, "bytes": 1})


def failing(action: Any) -> str:
    """The one message of a failure, which names the URL."""
    with pytest.raises(NeuropackError) as caught:
        action()
    return str(caught.value)


def test_nothing_at_the_address(served: WebServer) -> None:
    said = failing(lambda: neuropack.open_volume(f"{served.url}/none.ome.zarr"))
    assert said.startswith(f"{served.url}/none.ome.zarr: there is no OME-Zarr at this address")
    assert "404" in said


def test_a_bucket_that_is_not_there(s3: S3Server) -> None:
    said = failing(lambda: neuropack.open_volume("s3://no-such-bucket-of-ours/x.ome.zarr"))
    assert "there is no such bucket" in said and "make the bucket" not in said


def test_access_denied(served: WebServer, s3: S3Server, stacks: Path) -> None:
    from webserver import Failure

    served.fails = lambda path, before: Failure(403)
    said = failing(lambda: neuropack.open_volume(f"{served.url}/0.4.ome.zarr"))
    assert said.startswith(f"{served.url}/0.4.ome.zarr/zarr.json: the server denies access")
    assert len(served.asked) < 5
    url = upload(stacks / "0.4.ome.zarr", s3)
    s3.fail("GET", *["403 FORBIDDEN"] * 20)
    said = failing(lambda: neuropack.open_volume(url))
    assert "denies access" in said and "delete" not in said and "secret" not in said
    s3.fail("GET")


def test_a_bucket_that_denies_what_is_not_there(web: WebServer, stacks: Path) -> None:
    from webserver import Failure

    copy(stacks / "0.4.ome.zarr", web.root / "x.ome.zarr")
    for level in "01":
        (web.root / "x.ome.zarr" / level / ".zattrs").unlink()
    web.fails = lambda path, before: None if (web.root / path[1:]).is_file() else Failure(403)
    with neuropack.open_volume(f"{web.url}/x.ome.zarr") as volume:
        assert volume.shape == SHAPE


def test_a_connection_that_breaks_off_is_tried_again_some_times(served: WebServer) -> None:
    from webserver import Failure

    with neuropack.open_volume(f"{served.url}/0.5.ome.zarr") as volume:
        served.fails = lambda path, before: Failure(cut=100) if before == 0 else None
        whole = volume[...]
    assert whole.any()


def test_a_connection_that_always_breaks_off_is_one_message(served: WebServer) -> None:
    from webserver import Failure

    with neuropack.open_volume(f"{served.url}/0.5.ome.zarr") as volume:
        served.forget()
        served.fails = lambda path, before: Failure(cut=100)
        said = failing(lambda: volume[0, 0, 0, :10])
        assert said.startswith(f"{served.url}/0.5.ome.zarr/0/c/0/0/0/0: the server breaks off")
        assert "in the middle of the answer" in said
        assert len(served.asked) == 3
        finder = PathFinder(volume, Options(timeout_s=None))
        with pytest.raises(UnreachableError, match="breaks off"):  # and no way around an unreadable part
            finder.find((20, 100, 30), (20, 100, 170))


def test_a_server_that_says_nothing(served: WebServer, impatient: None) -> None:
    from webserver import Failure

    with neuropack.open_volume(f"{served.url}/0.5.ome.zarr") as volume:
        served.forget()
        served.fails = lambda path, before: Failure(silent=3)
        said = failing(lambda: volume[0, 0, 0, :10])
        assert "the server cannot be reached" in said and "no answer in time" in said
        assert len(served.asked) <= 3


def test_no_server(impatient: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    said = failing(lambda: neuropack.open_volume("http://127.0.0.1:9/x.ome.zarr"))
    assert said.startswith("http://127.0.0.1:9/x.ome.zarr/zarr.json: the server cannot be reached")


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_without_ranges_is_read_whole_while_files_are_small(
    served: WebServer, stacks: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from neuropack.readers import remote_store

    served.knows_ranges = False
    with (
        neuropack.open_volume(f"{served.url}/{kind}.ome.zarr") as volume,
        neuropack.open_volume(stacks / f"{kind}.ome.zarr") as local,
    ):
        volume.read((slice(0, 1), slice(0, 10), slice(0, 10), slice(0, 10)))
        served.forget()
        volume.read((slice(0, 1), slice(20, 40), slice(0, 10), slice(0, 10)))
        assert [one for one in served.asked if one.range] == []  # it has learnt
        same(volume, local)
    monkeypatch.setattr(remote_store, "WHOLE", 100_000)
    if "sharded" in kind:
        with neuropack.open_volume(f"{served.url}/{kind}.ome.zarr") as volume:
            said = failing(lambda: volume.read(SOME))
        assert "cannot send a part of a file" in said and "Range" in said and f"{served.url}/{kind}" in said


@pytest.mark.parametrize("location", ["https://127.0.0.1:9/x", "file:///etc/hostname", "ftp://127.0.0.1:9/x"])
def test_another_kind_of_address_is_not_followed(served: WebServer, location: str) -> None:
    from webserver import Failure

    served.fails = lambda path, before: Failure(302, location)
    said = failing(lambda: neuropack.open_volume(f"{served.url}/0.5.ome.zarr"))
    assert "the server sends on" in said and f"{served.url}/0.5.ome.zarr" in said


def test_a_redirect_on_the_same_server_is_followed(served: WebServer) -> None:
    from webserver import Failure

    served.fails = lambda path, before: Failure(302, path[4:]) if path.startswith("/old") else None
    with neuropack.open_volume(f"{served.url}/old/0.5.ome.zarr") as volume:
        assert volume.read(SOME).any()


def test_a_missing_chunk_is_a_defect_where_we_wrote_it_and_the_fill_value_elsewhere(
    web: WebServer, stacks: Path
) -> None:
    for kind, chunk in (("0.5-sharded", "0/c/0/0/0/0"), ("0.5", "0/c/0/0/0/0")):
        copy(stacks / f"{kind}.ome.zarr", web.root / f"{kind}.ome.zarr")
        (web.root / f"{kind}.ome.zarr" / chunk).unlink()
    with neuropack.open_volume(f"{web.url}/0.5.ome.zarr") as volume:
        assert not volume[0, :16, :64, :64].any() and volume[0, :16, :64, 64:].any()
    with neuropack.open_volume(f"{web.url}/0.5-sharded.ome.zarr") as volume:
        said = failing(lambda: volume[0, :16, :32, :32])
    assert said.startswith(f"{web.url}/0.5-sharded.ome.zarr/0/c/0/0/0/0: a shard is missing")


def test_what_is_far_too_large_for_a_chunk_is_not_read(web: WebServer, stacks: Path) -> None:
    copy(stacks / "0.5.ome.zarr", web.root / "x.ome.zarr")
    with (web.root / "x.ome.zarr/0/c/0/0/0/0").open("wb") as file:
        file.truncate(17 << 20)
    with neuropack.open_volume(f"{web.url}/x.ome.zarr") as volume:
        said = failing(lambda: volume[0, :16, :32, :32])
    assert said.startswith(f"{web.url}/x.ome.zarr/0/c/0/0/0/0: is no chunk of this image")


def test_a_forked_process_is_told_so(served: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with neuropack.open_volume(f"{served.url}/0.5.ome.zarr") as volume:
        monkeypatch.setattr("os.getpid", lambda: -1)
        assert "spawn" in failing(lambda: volume[0, 0, 0, :10])
        monkeypatch.undo()


def test_damage_is_told_with_the_url(web: WebServer, stacks: Path) -> None:
    copy(stacks / "0.5-sharded.ome.zarr", web.root / "x.ome.zarr")
    shard = web.root / "x.ome.zarr/0/c/0/0/0/0"
    data = bytearray(shard.read_bytes())
    data[100:200] = bytes(100)
    shard.write_bytes(data)
    with neuropack.open_volume(f"{web.url}/x.ome.zarr") as volume:
        said = failing(lambda: volume[0, :16, :32, :32])
    assert "a chunk cannot be decoded" in said and f"{web.url}/x.ome.zarr/0" in said
    (web.root / "x.ome.zarr/zarr.json").write_text("{")
    assert "is not readable JSON" in failing(lambda: neuropack.open_volume(f"{web.url}/x.ome.zarr"))


@pytest.mark.parametrize("name", ["../other", "/etc", "http://127.0.0.1:9/x", "s3://b/x", "..\\x", "."])
def test_metadata_leads_nowhere_else(web: WebServer, stacks: Path, name: str) -> None:
    folder = web.root / "x.ome.zarr"
    copy(stacks / "0.4.ome.zarr", folder)
    copy(stacks / "0.4.ome.zarr" / "0", web.root / "other")
    attributes = (folder / ".zattrs").read_text().replace('"path": "0"', f'"path": {name!r}'.replace("'", '"'))
    (folder / ".zattrs").write_text(attributes.replace("..\\x", "..\\\\x"))
    assert f"{web.url}/x.ome.zarr" in failing(lambda: neuropack.open_volume(f"{web.url}/x.ome.zarr"))
    assert all(one.path.startswith("/x.ome.zarr/") for one in web.asked)


def test_a_path_is_never_taken_for_a_url(served: WebServer) -> None:
    with pytest.raises(InputError, match="does not exist"):
        neuropack.open_volume(Path(f"{served.url}/0.4.ome.zarr"))
    assert not served.asked


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "obstore", None)
    said = failing(lambda: neuropack.open_volume("https://127.0.0.1:9/x.ome.zarr"))
    assert "neuropack[cloud]" in said


@pytest.mark.parametrize(
    "url",
    [
        "https://me:hidden@host/x.ome.zarr",
        "https://host/x.ome.zarr?signature=hidden",
        "https://host/x.ome.zarr#hidden",
        "s3://key:hidden@bucket/x.ome.zarr",
        "ftp://me:hidden@host/x",
    ],
)
def test_a_secret_in_a_url_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        neuropack.open_volume(url)
    assert "hidden" not in str(caught.value) and "host" in str(caught.value) + "host"


@pytest.mark.parametrize("url", ["ftp://host/x", "https:///x", "http://h:port/x", "gopher://h/x", "file://other/x"])
def test_what_names_no_image_is_refused(url: str) -> None:
    with pytest.raises(UsageError):
        place(url)


def test_an_address_goes_where_paths_go() -> None:
    one = place("HTTPS://Host:8080/a%20b/x.ome.zarr/")
    assert isinstance(one, Address) and str(one) == f"{one}" == "https://host:8080/a%20b/x.ome.zarr"
    assert (one.name, one.suffix, one.stem) == ("x.ome.zarr", ".zarr", "x.ome")
    assert str(one / "0" / "c") == "https://host:8080/a%20b/x.ome.zarr/0/c"
    assert one.parent.name == "a b" and str(one.with_name("y")) == "https://host:8080/a%20b/y"
    assert one.absolute() == one.resolve() == one and not one.exists() and not one.is_dir()
    assert pickle.loads(pickle.dumps(one)) == one and one in {place(str(one))}  # noqa: S301 - ours
    assert one != Path(str(one)) and place(one) is one
    with pytest.raises(FileNotFoundError):
        one.open()
