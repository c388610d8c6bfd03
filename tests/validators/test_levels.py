"""What each level reads, what it says that it left out, and that a bomb costs no memory."""

from __future__ import annotations

import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from small_release import IMAGE, NWB, seal

from defects import DEFECTS, SHARD, edited, flip, project
from neuropack.errors import UsageError
from neuropack.issue import Depth
from neuropack.manifest import Entry
from neuropack.rules import ReleaseFiles, check, load_rules, pixel_pass, sampling
from neuropack.rules.sampling import Sample

BYTES = [r.id for r in load_rules() if r.reads == "bytes"]
EVERY = [f"{IMAGE}/0/c/{c}/0/{y}/{x}" for c, y, x in np.ndindex(2, 4, 4)]
SHARDS = [32, 8, 2]  # of the levels of the small release


def plant(name: str, root: Path) -> None:
    """Plant a defect by its name."""
    next(d.plant for d in DEFECTS if d.plant.__name__ == name)(root)


def beside_a_skeleton(name: str, root: Path) -> bool:
    """Whether a chunk is decoded for what is compared with a skeleton."""
    sound = (root / name).read_bytes()
    flip(root / name, 20)
    found = name in ReleaseFiles(root).skeleton_pixels.undecoded
    (root / name).write_bytes(sound)
    return found


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """No image is small enough to be read whole, and no budget hashes everything."""
    from neuropack.rules import digests

    monkeypatch.setattr(sampling, "WHOLE", 0)
    monkeypatch.setattr(digests, "WHOLE", 0)
    monkeypatch.setattr(digests, "SMALL", 0)


def test_quick_decodes_nothing_and_says_so(release: Path) -> None:
    plant("bytes_flipped_in_a_zarr_chunk", release)
    report = check(release, level="quick")
    assert report.issues == []
    assert report.checked.left_out == BYTES
    assert report.checked.rules == len(load_rules()) - len(BYTES)
    assert (report.checked.chunks, report.checked.digests, report.checked.decoded_bytes) == (0, 0, 0)


def test_small_images_are_read_whole_at_the_default_level(release: Path) -> None:
    report = check(release)
    assert report.checked.level == "sample"
    assert report.checked.chunks == report.checked.all_chunks > sum(SHARDS)
    assert report.checked.digests == report.checked.all_digests
    assert report.checked.left_out == []


@pytest.mark.usefixtures("large")
def test_a_sample_has_some_of_every_level_and_file(release: Path) -> None:
    files = ReleaseFiles(release, sample=Sample("sample", 0))
    chosen = files.pixels.chosen
    assert [sum(n.startswith(f"{IMAGE}/{level}/") for n in chosen) for level in range(3)] == [8, 8, 2]
    assert 0 < files.checked.chunks < files.checked.all_chunks
    assert chosen == ReleaseFiles(release, sample=Sample("sample", 0)).pixels.chosen
    assert chosen != ReleaseFiles(release, sample=Sample("sample", 1)).pixels.chosen


@pytest.mark.usefixtures("large")
def test_a_damaged_chunk_of_the_sample_is_found_and_explained(release: Path) -> None:
    chosen = sorted(ReleaseFiles(release, sample=Sample("sample", 5)).pixels.chosen)
    flip(release / chosen[3], 20)
    report = check(release, seed=5)
    assert [(i.rule, i.where.file) for i in report.issues] == [("ome-zarr.chunk-damaged", chosen[3])]
    assert report.checked.digests < report.checked.all_digests


@pytest.mark.usefixtures("large")
def test_what_is_not_in_the_sample_is_found_by_full(release: Path) -> None:
    chosen = ReleaseFiles(release, sample=Sample("sample", 0)).pixels.chosen
    other = next(name for name in EVERY if name not in chosen and not beside_a_skeleton(name, release))
    flip(release / other, 20)
    assert check(release).issues == []
    report = check(release, level="full")
    assert [(i.rule, i.where.file) for i in report.issues] == [("ome-zarr.chunk-damaged", other)]
    assert report.checked.chunks < report.checked.all_chunks
    assert report.checked.left_out == []


@pytest.mark.usefixtures("large")
def test_a_damaged_chunk_beside_a_skeleton_is_found_outside_of_the_sample(release: Path) -> None:
    """The skeleton is looked at in the image at every seed, and its chunks are decoded for that."""
    chosen = ReleaseFiles(release, sample=Sample("sample", 0)).pixels.chosen
    other = next(name for name in EVERY if name not in chosen and beside_a_skeleton(name, release))
    flip(release / other, 20)
    assert [(i.rule, i.where.file) for i in check(release).issues] == [("ome-zarr.chunk-damaged", other)]


@pytest.mark.usefixtures("large")
def test_a_rule_that_needs_all_of_an_image_says_that_it_left_one_out(release: Path) -> None:
    project(release)
    seal(release)
    content = [r.id for r in load_rules() if r.id.startswith("images.") and r.file.name == "pixels.py"]
    assert check(release).checked.left_out == ["ome-zarr.summary-pixels", *content]
    assert check(release, level="full").checked.left_out == []


@pytest.mark.usefixtures("large")
def test_digests_of_a_sample_are_those_of_its_chunks(release: Path) -> None:
    chosen = ReleaseFiles(release, sample=Sample("sample", 0)).pixels.chosen
    report = check(release)
    assert len(chosen) <= report.checked.digests < report.checked.all_digests


def test_a_digest_is_compared_with_the_bytes_that_were_decoded(release: Path) -> None:
    """A shard that was exchanged for another sound one decodes; its digest, taken in the same pass, tells."""
    (release / SHARD).write_bytes((release / f"{IMAGE}/0/c/1/0/2/2").read_bytes())
    size = (release / SHARD).stat().st_size
    manifest = release / "manifest.tsv"
    rows = [row.split("\t") for row in manifest.read_text().splitlines()]
    lines = ["\t".join([row[0], str(size), row[2]] if row[0] == SHARD else row) for row in rows]
    manifest.write_text("\n".join(lines) + "\n")
    assert ("files.digest", SHARD) in {(i.rule, i.where.file) for i in check(release).issues}


@pytest.mark.skipif(sys.platform == "win32", reason="no signal reaches a thread there")
@pytest.mark.parametrize("when", ["decoding", "waiting"])
def test_nobody_goes_on_with_a_digest_after_an_interruption(
    when: str, release: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting, stopped = threading.Event(), queue.Queue[bool]()

    def endless(path: Path, stop: threading.Event) -> Entry:
        if when == "waiting":
            waiting.wait()
            time.sleep(0.2)  # until it is waited for
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        stopped.put(stop.wait(10))
        return Entry(0, "")

    monkeypatch.setattr(pixel_pass, "sha256_of", endless)
    files = ReleaseFiles(release, sample=Sample("full", 0))
    running = pixel_pass._Pass(files)
    with pytest.raises(KeyboardInterrupt), running._digest_beside(files.nwb_files[0]):
        waiting.set()
        if when == "decoding":
            raise KeyboardInterrupt
    assert stopped.get(timeout=30)
    assert running.result.digests == {}


@pytest.mark.parametrize("level", ["quick", "sample", "full"])
def test_a_table_that_expands_is_told_at_every_level(level: Depth, release: Path) -> None:
    plant("one_text_that_is_pointed_at_by_every_row", release)
    seal(release)
    assert [i.rule for i in check(release, level=level).issues] == ["nwb.expands"]


def test_an_array_that_claims_millions_of_chunks_is_not_listed(release: Path) -> None:
    import tracemalloc

    with edited(release / IMAGE / "0/zarr.json") as node:
        node["shape"][1] *= 50_000
    files = ReleaseFiles(release, sample=Sample("quick", 0))
    assert files.images[0].levels[0].array and files.manifest
    (rule,) = (r for r in load_rules() if r.id == "images.repeated")
    tracemalloc.start()
    try:
        assert list(rule.function(files)) == []
        assert tracemalloc.get_traced_memory()[1] < 10 * 2**20
    finally:
        tracemalloc.stop()


def test_an_unknown_level_is_refused(release: Path) -> None:
    with pytest.raises(UsageError, match="no level"):
        check(release, level="deep")  # type: ignore[arg-type]


@pytest.mark.parametrize(("count", "expected"), [(0, 0), (5, 5), (8, 8), (700, 8), (5000, 50)])
def test_the_numbers_of_a_sample_are_spread(count: int, expected: int) -> None:
    chosen = list(Sample("sample", 3).choose(count, "a"))
    assert len(chosen) == expected
    assert chosen == sorted(set(chosen))
    assert all(i * count // expected <= n < (i + 1) * count // expected for i, n in enumerate(chosen))
    assert list(Sample("full").choose(count, "a")) == list(range(count))
    assert list(Sample("quick").choose(count, "a")) == []


def test_another_seed_or_image_is_another_sample() -> None:
    first = list(Sample("sample", 3).choose(5000, "a"))
    assert first == list(Sample("sample", 3).choose(5000, "a"))
    assert first != list(Sample("sample", 4).choose(5000, "a"))
    assert first != list(Sample("sample", 3).choose(5000, "b"))


PEAK = """
import resource, sys
from pathlib import Path
from neuropack.rules import check

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

sound, bombed = map(Path, sys.argv[1:])
assert check(sound, level="full").clean
before = peak()
found = {i.rule for i in check(bombed, level="full").issues}
print(sorted(found), (peak() - before) >> 20)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="the operating system does not tell the peak in this way")
def test_a_bomb_costs_no_memory(good_release: Path, release: Path) -> None:
    plant("chunk_that_expands_without_end", release)
    plant("hdf5_chunk_that_expands_without_end", release)
    seal(release)
    line = [sys.executable, "-c", PEAK, str(good_release), str(release)]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    found, _, mebibytes = done.stdout.strip().rpartition(" ")
    assert found == "['nwb.chunk-damaged', 'ome-zarr.chunk-damaged']"
    assert int(mebibytes) < 64  # the bombs hold 512 each
    assert (release / NWB).stat().st_size < 2**21
