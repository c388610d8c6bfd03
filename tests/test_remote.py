"""Destinations in buckets: who has them, when a result appears, and what may be replaced."""

from __future__ import annotations

import asyncio
import json
import pickle
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import pytest

from neuropack.errors import NeuropackError, OutputError, UsageError
from neuropack.writers.remote import Remote, open_remote

if TYPE_CHECKING:
    from s3server import S3Server

pytest_plugins = ["s3server"]

RECORD = {"software": "neuropack", "settings": "abc"}
ROOT = json.dumps({"zarr_format": 3, "node_type": "group", "attributes": {"neuropack": RECORD}}).encode()


@pytest.fixture
def bucket(s3: S3Server) -> str:
    return s3.bucket()


@pytest.fixture
def on(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Remote]:
    """The destination as a machine sees it; every machine has its own state folder."""

    def open_on(machine: str, name: str = "m/a.ome.zarr") -> Remote:
        monkeypatch.setenv("NEUROPACK_STATE", str(tmp_path / machine))
        monkeypatch.setattr("platform.node", lambda: machine)
        return open_remote(f"s3://{bucket}/{name}")

    return open_on


def nwb_file(path: Path, record: dict[str, str]) -> Path:
    with h5py.File(path, "w") as file:
        file["general/source_script"] = json.dumps(record)
    return path


def test_a_result_appears_with_its_root_and_not_before(
    s3: S3Server, bucket: str, on: Callable[..., Remote]
) -> None:
    import zarr

    remote = on("here")
    assert remote.read_record() is None
    assert not remote.claim("job")
    remote.clear()
    array = zarr.create_array(remote.store.zarr(), name="0", shape=(20, 20), dtype="u1", chunks=(5, 5))
    array[:] = 7
    pickle.loads(pickle.dumps(remote.store)).write("0/extra", [b"x"])  # noqa: S301 - as a worker does
    remote.store.write("zarr.json", [ROOT])
    remote.store.sync(["zarr.json"])
    assert remote.store.read("zarr.json") == ROOT
    assert zarr.open_group(remote.store.zarr(), mode="r").attrs["neuropack"] == RECORD
    assert "m/a.ome.zarr/zarr.json" not in s3.keys(bucket)
    assert "m/a.ome.zarr/0/zarr.json" in s3.keys(bucket)
    assert remote.read_record() is None
    with pytest.raises(FileNotFoundError):
        zarr.open_group(remote.store.store.zarr(), mode="r")
    remote.publish()
    assert on("there").read_record() == RECORD
    assert int(zarr.open_group(remote.store.store.zarr(), mode="r")["0"][:].sum()) == 7 * 400
    remote.publish()
    remote.release()
    assert on("there").read_record() == RECORD
    assert "m/a.ome.zarr.neuropack-lock" not in s3.keys(bucket)
    assert not remote.state_folder.exists()


def test_zarr_asks_for_the_root_as_for_any_other(on: Callable[..., Remote]) -> None:
    import zarr

    remote = on("here")
    remote.claim("job")
    group = zarr.open_group(remote.store.zarr(), mode="w", zarr_format=3)
    group.attrs["a"] = 1
    for store in (remote.store.zarr().with_read_only(True), pickle.loads(pickle.dumps(group.store))):  # noqa: S301
        assert zarr.open_group(store, mode="r").attrs["a"] == 1
        assert asyncio.run(store.exists("zarr.json"))
    asyncio.run(group.store.set_if_not_exists("zarr.json", zarr.core.buffer.cpu.Buffer.from_bytes(b"{}")))
    assert remote.store.read("zarr.json") != b"{}"
    with pytest.raises(zarr.errors.ContainsGroupError):
        zarr.create_group(remote.store.zarr(), zarr_format=3)


def test_a_second_run_is_told_who_has_the_destination(on: Callable[..., Remote]) -> None:
    first, second = on("lab-1"), on("lab-2")
    on("lab-1").claim("job")
    with pytest.raises(OutputError, match="another run of neuropack has this destination") as caught:
        on("lab-2").claim("other job")
    assert "@lab-1, process" in str(caught.value.found)
    assert ", since 20" in str(caught.value.found)
    assert "--overwrite" in str(caught.value.fix)
    with pytest.raises(OutputError, match="for the same conversion"):
        second.claim("job")
    assert not second.state_folder.exists()
    first.check()
    first.release()
    assert not second.claim("other job")


def test_of_eight_machines_one_gets_the_destination(on: Callable[..., Remote]) -> None:
    remotes = [on(f"lab-{i}") for i in range(8)]
    barrier, got, errors = threading.Barrier(8), [], []

    def claim(remote: Remote) -> None:
        barrier.wait()
        try:
            remote.claim("job")
            got.append(remote)
        except NeuropackError as error:
            errors.append(error)

    threads = [threading.Thread(target=claim, args=(remote,)) for remote in remotes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 1
    assert {str(e.what) for e in errors} == {"another run of neuropack has this destination"}
    got[0].check()


def test_a_run_that_died_is_continued_on_its_machine(on: Callable[..., Remote]) -> None:
    on("here").claim("job")
    on("here").store.write("0/c/0", [b"x"])
    again = on("here")
    assert again.claim("job")
    again.store.write("zarr.json", [ROOT])
    again.publish()
    again.release()
    assert on("here").read_record() == RECORD


def test_the_work_of_a_dead_run_elsewhere_is_discarded_on_demand(
    s3: S3Server, bucket: str, on: Callable[..., Remote]
) -> None:
    dead = on("lab-1")
    dead.claim("job")
    dead.store.write("0/c/0", [b"x"])
    dead.store.write("zarr.json", [ROOT])
    mine = on("lab-2")
    assert not mine.claim("job", overwrite=True)
    mine.clear()
    assert s3.keys(bucket) == ["m/a.ome.zarr.neuropack-lock"]
    # and if it was alive after all:
    with pytest.raises(OutputError, match="taken this destination over") as caught:
        dead.check()
    assert "@lab-2" in str(caught.value.found)
    with pytest.raises(OutputError, match="taken this destination over"):
        dead.publish()
    assert "m/a.ome.zarr/zarr.json" not in s3.keys(bucket)
    dead.release()
    mine.check()


def test_what_others_have_discarded_is_not_published(s3: S3Server, bucket: str, on: Callable[..., Remote]) -> None:
    dead = on("lab-1")
    dead.claim("job")
    dead.store.write("zarr.json", [ROOT])
    on("lab-2").claim("job", overwrite=True)
    assert not on("lab-1").claim("job", overwrite=True)  # back again, but nothing of it is left to be continued
    with pytest.raises(OutputError, match="not on this machine any more"):
        dead.publish()
    assert "m/a.ome.zarr/zarr.json" not in s3.keys(bucket)


def test_what_neuropack_did_not_write_is_never_replaced(
    s3: S3Server, bucket: str, on: Callable[..., Remote]
) -> None:
    s3.client.put_object(Bucket=bucket, Key="m/a.ome.zarr/0/data", Body=b"precious")
    with pytest.raises(UsageError, match="was not written by neuropack"):
        on("here").claim("job", overwrite=True)
    for root in (b"{}", b"\xff not json", b'{"attributes": {"neuropack": 1}}'):
        s3.client.put_object(Bucket=bucket, Key="m/a.ome.zarr/zarr.json", Body=root)
        with pytest.raises(UsageError, match="was not written by neuropack"):
            on("here").read_record()
        with pytest.raises(UsageError, match="was not written by neuropack"):
            on("here").claim("job", overwrite=True)
    assert s3.keys(bucket) == ["m/a.ome.zarr/0/data", "m/a.ome.zarr/zarr.json"]  # the lock is gone too
    s3.client.put_object(Bucket=bucket, Key="m/b.ome.zarr.neuropack-lock", Body=b"my notes")
    with pytest.raises(UsageError, match="name of the lock"):
        on("here", "m/b.ome.zarr").claim("job", overwrite=True)


def test_a_neighbour_of_a_like_name_is_no_part_of_it(s3: S3Server, bucket: str, on: Callable[..., Remote]) -> None:
    s3.client.put_object(Bucket=bucket, Key="m/a.ome.zarr2/data", Body=b"precious")
    remote = on("here")
    remote.claim("job")
    remote.clear()
    assert "m/a.ome.zarr2/data" in s3.keys(bucket)


def finished(remote: Remote) -> None:
    remote.claim("job")
    for key in ("0/zarr.json", "0/c/0", "A/c/0"):
        remote.store.write(key, [b"old"])
    remote.store.write("zarr.json", [ROOT])
    remote.publish()
    remote.release()


def test_the_root_of_an_old_result_goes_first(s3: S3Server, bucket: str, on: Callable[..., Remote]) -> None:
    finished(on("here"))
    remote = on("here")
    assert not remote.claim("job 2", overwrite=True)
    assert remote.read_record() == RECORD  # until the work begins
    s3.requests.clear()
    remote.clear()
    first = next(r for r in s3.requests if r.method in ("POST", "DELETE"))
    assert first.body.count(b"<Key>") == 1
    assert b"m/a.ome.zarr/zarr.json" in first.body
    assert s3.keys(bucket) == ["m/a.ome.zarr.neuropack-lock"]


def test_a_result_that_another_run_finished_meanwhile_stays(on: Callable[..., Remote]) -> None:
    late = on("lab-2")
    assert late.read_record() is None
    finished(on("lab-1"))
    with pytest.raises(OutputError, match="finished here at this moment"):
        late.claim("job")
    assert late.read_record() == RECORD
    assert on("lab-3").claim("job", overwrite=True) is False  # nobody has it


def test_a_server_without_conditions_does_not_give_the_destination_to_two(
    s3: S3Server, on: Callable[..., Remote], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = on("lab-1"), on("lab-2")
    first.claim("job")

    def ignores_the_condition(self: object, key: str, data: bytes) -> bool:
        return True

    monkeypatch.setattr("neuropack.writers.object_store.ObjectStore.create", ignores_the_condition)
    with pytest.raises(OutputError, match="taken this destination over"):
        second.claim("job")


def test_a_lock_whose_answer_was_lost_is_a_new_one(s3: S3Server, bucket: str, on: Callable[..., Remote]) -> None:
    remote = on("here")
    s3.fail("PUT", "500 Internal Server Error", after=True)
    assert not remote.claim("job")
    remote.check()
    s3.client.put_object(Bucket=bucket, Key="m/b.ome.zarr/data", Body=b"precious")
    s3.fail("PUT", "500 Internal Server Error", after=True)
    with pytest.raises(UsageError, match="was not written by neuropack"):
        on("here", "m/b.ome.zarr").claim("job")


def test_an_nwb_file_appears_whole(s3: S3Server, bucket: str, on: Callable[..., Remote], tmp_path: Path) -> None:
    remote = on("here", "m/a.nwb")
    assert remote.local.parent == remote.state_folder
    assert remote.read_record() is None
    assert not remote.claim("job")
    remote.clear()
    partial, seen = remote.local.with_name("a.nwb.partial"), []
    nwb_file(partial, RECORD)
    size = partial.stat().st_size
    remote.publish(partial, lambda done, total: seen.append((done, total)))
    assert seen[-1] == (size, size)
    assert not partial.exists()
    remote.publish(partial)
    remote.release()
    assert s3.keys(bucket) == ["m/a.nwb"]
    assert on("there", "m/a.nwb").read_record() == RECORD
    # its successor takes its place in one step
    second = on("there", "m/a.nwb")
    second.claim("job 2", overwrite=True)
    second.clear()
    assert second.read_record() == RECORD
    second.publish(nwb_file(tmp_path / "b.nwb", {**RECORD, "settings": "new"}))
    assert second.read_record() == {**RECORD, "settings": "new"}


def test_another_nwb_file_is_never_replaced(s3: S3Server, bucket: str, on: Callable[..., Remote]) -> None:
    s3.client.put_object(Bucket=bucket, Key="m/a.nwb", Body=b"precious")
    with pytest.raises(UsageError, match="was not written by neuropack"):
        on("here", "m/a.nwb").read_record()
    with pytest.raises(UsageError, match="was not written by neuropack"):
        on("here", "m/a.nwb").claim("job", overwrite=True)
    assert s3.keys(bucket) == ["m/a.nwb"]


def test_an_nwb_file_that_cannot_be_read_is_no_foreign_one(
    s3: S3Server, bucket: str, on: Callable[..., Remote], tmp_path: Path
) -> None:
    s3.client.put_object(Bucket=bucket, Key="m/a.nwb", Body=nwb_file(tmp_path / "a.nwb", RECORD).read_bytes())
    s3.deny(bucket, "GetObject")
    with pytest.raises(OutputError, match="denies access"):
        on("here", "m/a.nwb").read_record()


def test_the_same_name_elsewhere_has_another_state_folder(
    on: Callable[..., Remote], s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = on("here")
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3.url.replace("127.0.0.1", "localhost"))
    assert on("here").state_folder != first.state_folder
    assert first.state_folder == pickle.loads(pickle.dumps(first)).state_folder  # noqa: S301


def test_the_state_folder_is_the_users(on: Callable[..., Remote], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NEUROPACK_STATE")
    monkeypatch.setattr("platformdirs.user_state_path", lambda name: Path("/state") / name)
    from neuropack.writers.remote import _state_folder

    assert _state_folder("s3://a/b", {}).parent == Path("/state/neuropack")
