"""Places in buckets, against a real S3 server: objects, credentials, failures."""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from operator import methodcaller
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from neuropack import cloud
from neuropack.errors import NeuropackError, OutputError, UsageError
from neuropack.writers.object_store import ObjectStore
from neuropack.writers.remote import open_remote

if TYPE_CHECKING:
    from s3server import S3Server

pytest_plugins = ["s3server"]


@pytest.fixture
def store(s3: S3Server) -> ObjectStore:
    url = f"s3://{s3.bucket()}/mouse 1/ü~#.ome.zarr"
    return ObjectStore(url, cloud.settings(url))


def bucket_of(store: ObjectStore) -> str:
    return store.url.split("/")[2]


def at_once(calls: list[Callable[[], object]]) -> list[object]:
    """What calls return that are made by as many threads at the same time."""
    barrier, results = threading.Barrier(len(calls)), []

    def call(one: Callable[[], object]) -> None:
        barrier.wait()
        try:
            results.append(one())
        except NeuropackError as error:
            results.append(error)

    threads = [threading.Thread(target=call, args=(one,)) for one in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_what_is_written_is_read_listed_and_deleted(s3: S3Server, store: ObjectStore) -> None:
    store.write("0/c/0/0", [b"one", b"", b"two"])
    store.write("0/c/0/1", [b"x"])
    store.write("01/c", [b"y"])
    store.sync(["0/c/0/0"])
    assert s3.keys(bucket_of(store)) == [f"mouse 1/ü~#.ome.zarr/{k}" for k in ("0/c/0/0", "0/c/0/1", "01/c")]
    assert store.read("0/c/0/0") == b"onetwo"
    assert store.read("0/c/9") is None
    assert store.exists("01/c")
    assert not store.exists("0")
    assert list(store.list("0")) == [("0/c/0/0", 6), ("0/c/0/1", 1)]
    store.write("0/c/0/0", [b"again"])
    assert store.read("0/c/0/0") == b"again"
    store.delete(["0/c/0/1", "never there"])
    store.delete_prefix("0")
    assert list(store.list()) == [("01/c", 1)]


def test_an_object_carries_notes(store: ObjectStore) -> None:
    store.write("a", [b"x"], {"sha256": "12ab"})
    store.write_pieces("b", iter([b"x", b"y"]), 2, {"sha256": "34cd"})
    store.write("c", [b"x"])
    assert [store.notes(key).get("sha256") for key in "abcd"] == ["12ab", "34cd", None, None]


def test_many_objects_go_with_few_requests(
    s3: S3Server, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("neuropack.writers.object_store._BATCH", 10)
    for i in range(25):
        store.write(f"c/{i}", [b""])
    s3.requests.clear()
    store.delete_prefix("c")
    assert s3.keys(bucket_of(store)) == []
    assert [(r.method, r.query) for r in s3.requests].count(("POST", "delete")) == 3


def test_of_eight_that_create_at_once_one_wins(store: ObjectStore) -> None:
    calls = [lambda i=i: store.create("lock", b"%d" % i) and i for i in range(8)]
    winners = [result for result in at_once(calls) if result is not False]
    assert len(winners) == 1
    assert store.read("lock") == b"%d" % winners[0]


def test_a_conflict_of_requests_is_not_an_existing_object(s3: S3Server, store: ObjectStore) -> None:
    s3.fail("PUT", "409 Conflict")  # what S3 says while another request for the key is under way
    assert store.create("lock", b"x")
    assert store.read("lock") == b"x"


def test_errors_that_pass_are_tried_again(s3: S3Server, store: ObjectStore) -> None:
    s3.requests.clear()
    s3.fail("PUT", "503 Slow Down", "500 Internal Server Error")
    store.write("a", [b"x"])
    assert store.read("a") == b"x"
    assert [r.method for r in s3.requests].count("PUT") == 3


def test_it_works_in_another_process(store: ObjectStore) -> None:
    store.write("a", [b"from here"])  # now it has a connection, which must stay behind
    assert b"secret" not in pickle.dumps(store)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert pool.submit(methodcaller("read", "a"), store).result() == b"from here"


def test_a_forked_process_does_not_hang(store: ObjectStore, s3: S3Server) -> None:
    if not hasattr(os, "fork"):
        pytest.skip("no fork here")
    code = (
        "import os, sys\n"
        "from neuropack.writers.object_store import ObjectStore\n"
        f"a, b = (ObjectStore({store.url!r}, {dict(store.options)!r}) for _ in 'ab')\n"
        "a.write('k', [b'x'])\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    try: b.read('k')\n"
        "    except RuntimeError as error: print(error); sys.exit(7)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert "start workers with 'spawn'" in done.stdout
    assert done.stdout.splitlines()[-1] == "7"


def test_a_large_file_goes_up_in_parts(s3: S3Server, store: ObjectStore, tmp_path: Path) -> None:
    path, seen = tmp_path / "big.nwb", []
    path.write_bytes(os.urandom(50_000_000))
    store.upload_file(path, "big.nwb", lambda done, total: seen.append((done, total)))
    assert store.size("big.nwb") == 50_000_000
    assert store.read("big.nwb") == path.read_bytes()
    assert sum("partNumber" in r.query for r in s3.requests) == 6
    assert seen == sorted(seen)
    assert seen[-1] == (50_000_000, 50_000_000)
    with store.open("big.nwb") as file:
        file.seek(-1000, 2)
        assert file.read() == path.read_bytes()[-1000:]


def test_a_file_that_fails_on_the_way_leaves_nothing(s3: S3Server, store: ObjectStore, tmp_path: Path) -> None:
    path = tmp_path / "big.nwb"
    path.write_bytes(bytes(20_000_000))

    def stop(done: int, total: int) -> None:
        if done > 10_000_000:
            raise OSError(5, "the disk is gone", str(path))

    with pytest.raises(OSError, match="the disk is gone"):
        store.upload_file(path, "big.nwb", stop)
    assert store.read("big.nwb") is None
    assert "Uploads" not in s3.client.list_multipart_uploads(Bucket=bucket_of(store))


def test_an_object_too_large_for_one_request(
    s3: S3Server, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("neuropack.writers.object_store._ONE_PUT", 9 << 20)
    store.write("shard", [bytes(1 << 20)] * 10)
    assert store.size("shard") == 10 << 20
    assert sum("partNumber" in r.query for r in s3.requests) == 2


def sharded(folder: Path) -> np.ndarray:
    """A sharded array and its group, written by zarr-python."""
    import zarr

    data = np.random.default_rng(0).integers(0, 4000, (40, 50), "u2")
    group = zarr.open_group(folder, mode="w", zarr_format=3, attributes={"neuropack": {"software": "neuropack"}})
    array = group.create_array("0", shape=data.shape, dtype="u2", chunks=(8, 8), shards=(16, 32))
    array[:] = data
    return data


def send(folder: Path, store: ObjectStore) -> None:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            store.write(path.relative_to(folder).as_posix(), [path.read_bytes()])


def test_shards_are_read_back_by_zarr(store: ObjectStore, tmp_path: Path) -> None:
    import zarr

    data = sharded(tmp_path / "a.zarr")
    send(tmp_path / "a.zarr", store)
    array = zarr.open_group(pickle.loads(pickle.dumps(store.zarr())), mode="r")["0"]  # noqa: S301
    assert array.shards == (16, 32)
    np.testing.assert_array_equal(array[:], data)


def test_zarr_writes_through_it(store: ObjectStore) -> None:
    import zarr

    array = zarr.create_array(store.zarr(), name="1", shape=(20, 20), dtype="u1", chunks=(5, 5), shards=(10, 10))
    array[:] = 7
    assert int(zarr.open_array(store.zarr(), path="1", mode="r")[:].sum()) == 7 * 400


def test_shards_are_read_back_by_tensorstore(s3: S3Server, tmp_path: Path) -> None:
    tensorstore = pytest.importorskip("tensorstore", reason="tensorstore is not installed; another reader of Zarr")
    url = f"s3://{s3.bucket()}/a.zarr"
    data = sharded(tmp_path / "a.zarr")
    send(tmp_path / "a.zarr", ObjectStore(url, cloud.settings(url)))
    place = {"bucket": url.split("/")[2], "path": "a.zarr/0/", "endpoint": s3.url, "aws_region": "us-east-1"}
    opened = tensorstore.open({"driver": "zarr3", "kvstore": {"driver": "s3", **place}}).result()
    np.testing.assert_array_equal(opened[...].read().result(), data)


def test_failures_under_zarr_are_messages_too(s3: S3Server, store: ObjectStore, tmp_path: Path) -> None:
    import zarr

    sharded(tmp_path / "a.zarr")
    send(tmp_path / "a.zarr", store)
    array = zarr.open_group(store.zarr(), mode="r+")["0"]
    s3.deny(bucket_of(store), "GetObject")
    with pytest.raises(OutputError, match="denies access"):
        array[:]
    s3.deny(bucket_of(store), "PutObject")
    with pytest.raises(OutputError, match="denies access"):
        zarr.create_array(store.zarr(), name="2", shape=(4,), dtype="u1")


# Credentials


def signers(server: S3Server) -> set[str | None]:
    return {request.key for request in server.requests}


def test_credentials_of_the_environment(s3: S3Server, store: ObjectStore) -> None:
    s3.requests.clear()
    store.write("a", [b"x"])
    assert signers(s3) == {"curator"}


def test_credentials_and_server_of_a_profile(s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)
    (tmp_path / "credentials").write_text("[lab]\naws_access_key_id = of-the-lab\naws_secret_access_key = b\n")
    (tmp_path / "config").write_text(f"[profile lab]\nregion = eu-central-1\nendpoint_url = {s3.url}\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_PROFILE", "lab")
    url = f"s3://{s3.bucket()}/a.zarr"
    assert cloud.settings(url) == {"endpoint": s3.url, "region": "eu-central-1"}
    s3.requests.clear()
    ObjectStore(url, cloud.settings(url)).write("a", [b"x"])
    assert signers(s3) == {"of-the-lab"}
    services = f"[profile lab]\nservices = here\n[services here]\ns3 =\n  endpoint_url = {s3.url}/other\n"
    (tmp_path / "config").write_text(services)
    assert cloud.settings(url)["endpoint"] == f"{s3.url}/other"
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(UsageError, match="nobody") as caught:
        open_remote(url)
    assert "AWS_PROFILE" in str(caught.value.fix)


def test_anonymous_access(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = s3.bucket()
    url = f"s3://{bucket}/a.zarr"
    for name, acl in (("open", "public-read"), ("shut", "private")):
        s3.client.put_object(Bucket=bucket, Key=f"a.zarr/{name}", Body=b"x", ACL=acl)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SKIP_SIGNATURE", "true")
    store = ObjectStore(url, cloud.settings(url))
    s3.requests.clear()
    assert store.read("open") == b"x"
    assert signers(s3) == {None}
    with pytest.raises(OutputError, match="denies access"):
        store.read("shut")


def test_no_credentials_is_a_message(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(UsageError, match="no credentials") as caught:
        open_remote("s3://lab/a.zarr")
    assert "AWS_PROFILE" in str(caught.value.fix)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "half")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(UsageError, match="cannot be used") as caught:
        open_remote("s3://lab/a.zarr")
    assert "secret" in str(caught.value.found).lower()


@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"])
def test_the_server_of_the_environment(s3: S3Server, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "http://here:9000")
    assert cloud.settings("s3://lab/a.zarr")["endpoint"] == "http://here:9000"


# Failures


def test_no_such_bucket(s3: S3Server) -> None:
    with pytest.raises(OutputError, match="no such bucket") as caught:
        open_remote("s3://nowhere/a.zarr")
    assert "nowhere" in str(caught.value.found)
    assert "AWS_ENDPOINT_URL" in str(caught.value.fix)
    store = ObjectStore("s3://nowhere/a.zarr", cloud.settings("s3://nowhere/a.zarr"))
    for call in (
        lambda: store.read("a"),
        lambda: store.write("a", [b"x"]),
        lambda: store.create("a", b"x"),
        lambda: store.delete(["a"]),
        lambda: list(store.list()),
    ):
        with pytest.raises(OutputError, match="no such bucket"):
            call()


def test_nobody_answers(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(OutputError, match="cannot be reached") as caught:
        open_remote("s3://lab/a.zarr")
    assert "http://127.0.0.1:9" in str(caught.value.found)
    assert "AWS_ENDPOINT_URL" in str(caught.value.fix)


def test_access_denied(s3: S3Server, store: ObjectStore, tmp_path: Path) -> None:
    store.write("a", [b"x"])
    s3.deny(bucket_of(store), "PutObject", "GetObject", "DeleteObject", "HeadObject")
    (tmp_path / "file").write_bytes(b"x" * 100)
    for call in (
        lambda: store.read("a"),
        lambda: store.write("b", [b"x"]),
        lambda: store.create("b", b"x"),
        lambda: store.exists("a"),
        lambda: store.delete(["a"]),
    ):
        with pytest.raises(OutputError, match="denies access") as caught:
            call()
        assert "AWS_PROFILE" in str(caught.value.fix)
        assert "Debug source" not in str(caught.value)


def test_what_the_server_says_otherwise_is_passed_on(s3: S3Server, store: ObjectStore) -> None:
    s3.fail("PUT", "400 Bad Request")
    with pytest.raises(OutputError, match="the object store failed") as caught:
        store.write("a", [b"x"])
    assert "400 Bad Request" in str(caught.value.found)


def test_another_region(s3: S3Server, store: ObjectStore) -> None:
    s3.fail("PUT", "301 Moved Permanently")
    with pytest.raises(UsageError, match="another region") as caught:
        store.write("a", [b"x"])
    assert "AWS_REGION" in str(caught.value.fix)


@pytest.mark.parametrize("library", ["obstore", "botocore"])
def test_a_missing_library_names_the_extra(s3: S3Server, library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(UsageError, match=library) as caught:
        open_remote("s3://lab/a.zarr")
    assert "pip install 'neuropack[cloud]'" in str(caught.value.fix)


# Names


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a.ome.zarr", Path("a.ome.zarr")),
        ("/data/s3:/x.nwb", Path("/data/s3:/x.nwb")),
        ("file:///data/a%20b.nwb", Path("/data/a b.nwb")),
        ("S3://lab/m 1/a#?.zarr/", "s3://lab/m 1/a#?.zarr"),
        ("gs://lab/a.zarr", "gs://lab/a.zarr"),
        ("az://lab/a.zarr", "az://lab/a.zarr"),
    ],
)
def test_destinations(text: str, place: Path | str) -> None:
    assert cloud.destination(text) == place


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("https://bucket.s3.amazonaws.com/a.zarr", "AWS_ENDPOINT_URL"),
        ("ftp://host/a.zarr", "not the URL of an object store"),
        ("s3://lab", "no place in it"),
        ("s3:///a.zarr", "does not name a bucket"),
        ("s3://me:pw@lab/a.zarr", "does not name a bucket"),
        ("s3://lab/x//a.zarr", "empty name"),
        ("s3://lab/../a.zarr", "of dots"),
    ],
)
def test_destinations_that_are_none(text: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        cloud.destination(text)


@pytest.mark.parametrize("url", ["gs://lab/a.zarr", "az://lab/a.zarr"])
def test_the_other_clouds_say_what_they_want(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cloud.settings(url) == {}
    if url.startswith("az"):
        monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME", raising=False)
        with pytest.raises(UsageError, match="AZURE_STORAGE_ACCOUNT_NAME"):
            ObjectStore(url).read("a")
    else:
        ObjectStore(url, {"service_account_key": json.dumps(_KEY)}).client  # noqa: B018 - it connects to nothing yet


_KEY = {"private_key": "", "private_key_id": "", "client_email": "", "disable_oauth": True}
