"""Conversion into a bucket, over the real protocol: the same bytes as on a disk, the root last, and continued."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from neuropack.convert import convert
from neuropack.errors import OutputError, UsageError
from neuropack.source import fingerprint, nwb_metadata
from neuropack.volume import Volume, from_array

if TYPE_CHECKING:
    from s3server import S3Server

pytest_plugins = ["s3server"]
MEMORY = 288 << 20


@pytest.fixture
def volume(tmp_path: Path) -> Volume:
    array = np.random.default_rng(3).integers(0, 4000, (2, 100, 200, 600)).astype("u2")
    (tmp_path / "raw.bin").write_bytes(b"raw")
    return from_array(
        array,
        "CZYX",
        path=tmp_path / "raw.bin",
        voxel_size_um=(1.0, 0.5, 0.5),
        acquired="2026-01-02T03:04:05+00:00",
    )


@pytest.fixture
def url(s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("NEUROPACK_STATE", str(tmp_path / "state"))
    return f"s3://{s3.bucket()}/lab"


def stored(s3: S3Server, url: str) -> dict[str, str]:
    """Digest of every object below a URL."""
    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    pages = s3.client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    keys = [entry["Key"] for page in pages for entry in page.get("Contents", ())]
    return {
        key.removeprefix(prefix + "/"): hashlib.sha256(
            s3.client.get_object(Bucket=bucket, Key=key)["Body"].read()
        ).hexdigest()
        for key in keys
    }


def on_disk(folder: Path) -> dict[str, str]:
    files = (p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def both(where: str) -> list[str]:
    return [f"{where}/a.ome.zarr", f"{where}/a.nwb"]


def test_a_bucket_holds_what_a_disk_would(s3: S3Server, url: str, volume: Volume, tmp_path: Path) -> None:
    nwb = nwb_metadata(volume, fingerprint(volume.path))
    assert convert(volume, both(url), nwb=nwb, memory=MEMORY).status == "written"
    (tmp_path / "disk").mkdir()
    convert(volume, both(str(tmp_path / "disk")), nwb=nwb, memory=MEMORY)
    assert stored(s3, url) == on_disk(tmp_path / "disk")
    writes = [r.path for r in s3.requests if r.method == "PUT" and "a.ome.zarr/" in r.path]
    assert writes[-1].endswith("a.ome.zarr/zarr.json")
    assert sum(path.endswith("a.ome.zarr/zarr.json") for path in writes) == 1
    assert not list((tmp_path / "state").rglob("*"))  # nothing stays behind
    again = convert(volume, both(url), nwb=nwb)
    assert again.status == "up to date"
    assert len(again.statistics) == 2


def test_interrupted_and_continued(s3: S3Server, url: str, volume: Volume, tmp_path: Path) -> None:
    nwb = nwb_metadata(volume, fingerprint(volume.path))

    def stop(stage: str, done: int, total: int) -> None:
        if stage == "pixels" and done > total / 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert(volume, both(url), nwb=nwb, memory=MEMORY, progress=stop)
    left = stored(s3, url)
    assert "a.ome.zarr/zarr.json" not in left
    assert "a.nwb" not in left
    other = volume.with_voxel_size((3.0, None, None))
    with pytest.raises(UsageError, match="other settings"):
        convert(other, both(url), nwb=nwb)
    assert convert(volume, both(url), nwb=nwb, memory=MEMORY).status == "resumed"
    (tmp_path / "disk").mkdir()
    convert(volume, both(str(tmp_path / "disk")), nwb=nwb, memory=MEMORY)
    assert stored(s3, url) == on_disk(tmp_path / "disk")


def test_overwrite_replaces_a_result(s3: S3Server, url: str, volume: Volume) -> None:
    convert(volume, both(url)[:1])
    other = volume.with_voxel_size((2.0, 1.0, 1.0))
    with pytest.raises(UsageError, match="--overwrite"):
        convert(other, both(url)[:1])
    before = stored(s3, url)
    assert convert(other, both(url)[:1], overwrite=True).status == "written"
    after = stored(s3, url)
    assert after.keys() == before.keys()
    assert after["a.ome.zarr/zarr.json"] != before["a.ome.zarr/zarr.json"]


def test_a_run_elsewhere_keeps_off(
    s3: S3Server, url: str, volume: Volume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def elsewhere(stage: str, done: int, total: int) -> None:
        monkeypatch.setenv("NEUROPACK_STATE", str(tmp_path / "another machine"))
        with pytest.raises(OutputError, match="another run"):
            convert(volume, both(url)[:1])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert(volume, both(url)[:1], progress=elsewhere)
    monkeypatch.setenv("NEUROPACK_STATE", str(tmp_path / "another machine"))
    assert convert(volume, both(url)[:1], overwrite=True).status == "written"


def test_what_cannot_be_planned_leaves_nothing(s3: S3Server, url: str, volume: Volume, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--memory"):
        convert(volume, both(url)[:1], memory=1 << 20)
    assert stored(s3, url) == {}
    assert not list((tmp_path / "state").rglob("*"))


KILLED = """
import sys
import numpy as np
from pathlib import Path
from dataclasses import replace
from datetime import datetime, UTC
from neuropack.convert import convert
from neuropack.source import fingerprint, nwb_metadata
from neuropack.volume import from_array
source, *destinations = sys.argv[1:]
source = Path(source)
array = np.random.default_rng(5).integers(0, 3000, (2, 130, 300, 600)).astype("u2")
volume = from_array(array, "CZYX", path=source, voxel_size_um=(1, 0.5, 0.5), acquired="2026-01-02T03:04:05+00:00")
nwb = replace(nwb_metadata(volume, fingerprint(source)), created=datetime(2026, 1, 3, tzinfo=UTC))
print("ready", flush=True)
print(convert(volume, destinations, nwb=nwb, memory=320 << 20).status, flush=True)
"""


@pytest.mark.skipif(os.name != "posix", reason="kill -9 is POSIX")
@pytest.mark.parametrize("rounds", [2, pytest.param(15, marks=pytest.mark.slow)])
def test_killed_and_continued(s3: S3Server, url: str, tmp_path: Path, rounds: int) -> None:
    random = np.random.default_rng(rounds)
    (tmp_path / "raw.bin").write_bytes(b"raw")
    (tmp_path / "disk").mkdir()
    run = [sys.executable, "-c", KILLED, str(tmp_path / "raw.bin")]
    subprocess.run([*run, *both(str(tmp_path / "disk"))], check=True, capture_output=True)
    statuses = []
    for _ in range(rounds):
        with subprocess.Popen([*run, *both(url)], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            time.sleep(random.uniform(0, 2))
            process.send_signal(signal.SIGKILL)
            statuses.append(process.stdout.read())
    last = subprocess.run([*run, *both(url)], check=True, capture_output=True, text=True)
    assert last.stdout.split("\n")[1] in ("resumed", "up to date", "written")
    assert stored(s3, url) == on_disk(tmp_path / "disk")


def test_the_date_of_the_first_try_stays(url: str, volume: Volume) -> None:
    nwb = nwb_metadata(volume, fingerprint(volume.path))
    convert(volume, both(url)[1:], nwb=nwb)
    later = replace(nwb, created=datetime(2030, 1, 1, tzinfo=UTC))
    assert convert(volume, both(url)[1:], nwb=later).status == "up to date"


def test_a_run_whose_lock_was_taken_over_notes_no_block_any_more(
    s3: S3Server, url: str, volume: Volume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = []

    def taken_over(stage: str, done: int, total: int) -> None:
        if stage == "pixels" and done:
            notes.append(done)
            if len(notes) == 1:
                monkeypatch.setenv("NEUROPACK_STATE", str(tmp_path / "another machine"))
                assert convert(volume, both(url)[:1], overwrite=True).status == "written"

    with pytest.raises(OutputError, match="taken"):
        convert(volume, both(url)[:1], memory=MEMORY, progress=taken_over)
    assert len(notes) == 1
    convert(volume, [tmp_path / "a.ome.zarr"])
    found = {key.removeprefix("a.ome.zarr/"): digest for key, digest in stored(s3, url).items()}
    assert found == on_disk(tmp_path / "a.ome.zarr")
