"""A release opened as objects, and its manifest."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tiny_study import FIRST, SECOND, THIRD, pixels

import neuropack
from neuropack.errors import InputError, OutputError, UsageError
from neuropack.manifest import Entry, digest_of, read_manifest, sha256_of, write_manifest
from neuropack.release import open_release
from neuropack.volume import Volume

Built = tuple[Path, Path]


def test_a_release_shows_itself(built: Built) -> None:
    release = neuropack.open_release(built[1])
    assert repr(release) == "<Release 'A tiny study' 1.0.0: 2 subject(s), 3 stack(s), 2 neuron(s)>"
    assert list(release.stacks) == [FIRST, SECOND, THIRD]
    assert repr(release.stacks[FIRST]) == f"<Stack {FIRST}: C=2 Z=5 Y=40 X=48 uint16>"
    assert repr(release.tables) == "<5 tables: participants, samples, manifest, neurons, classes>"
    assert release.subjects["M01"]["weight_g"] == 24.5
    assert release.metadata["dataset"]["id"] == "tiny"


def test_a_stack_is_read_by_indices(built: Built) -> None:
    stack = open_release(built[1]).stacks[FIRST]
    whole = pixels((2, 5, 40, 48), 1)
    np.testing.assert_array_equal(stack[1, 2:4, 3:30, 5:9], whole[1, 2:4, 3:30, 5:9])
    np.testing.assert_array_equal(stack[...], whole)
    assert (stack.axes, stack.shape, stack.voxel_size_um) == ("CZYX", (2, 5, 40, 48), (2.0, 0.5, 0.5))
    assert [c.name for c in stack.channels] == ["yellow", "red"]


def test_levels_are_read_by_indices(built: Built) -> None:
    stack = open_release(built[1]).stacks[FIRST]
    assert stack.level(0).shape == stack.shape
    for number in range(stack.n_levels):
        level = stack.level(number)
        assert level[0, 0:1, 0:4, 0:4].shape == (1, 4, 4)


def test_the_files_of_a_stack(built: Built) -> None:
    stack = open_release(built[1]).stacks[FIRST]
    assert stack.nwb is not None
    assert stack.nwb.is_file()
    assert stack.sidecar["PixelSize"] == [0.5, 0.5, 2.0]
    assert stack.metadata["raw_file"] == "a.ome.tif"


def test_tables_and_neurons_are_read_when_asked_for(built: Built) -> None:
    release = open_release(built[1])
    assert [r["participant_id"] for r in release.tables["participants"]] == ["sub-M01", "sub-M02"]
    name = release.tables["neurons"][0]["neuron_id"]
    assert len(release.neurons[name]) == 2
    with pytest.raises(KeyError):
        release.neurons["nobody"]


def test_what_is_no_release(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        open_release(tmp_path / "nowhere")
    with pytest.raises(InputError, match="is not a release"):
        open_release(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "is not a JSON object"),
        ('{"image_stacks": [{"id": 1}]}', "lacks its id or path"),
    ],
)
def test_broken_metadata(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "metadata").mkdir()
    (tmp_path / "metadata" / "neuropack.json").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        open_release(tmp_path)


def test_a_manifest_comes_back_as_it_was_written(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "x.txt").write_bytes(b"abc")
    (tmp_path / "a.txt").write_bytes(b"")
    written = write_manifest(tmp_path)
    assert read_manifest(tmp_path) == written
    assert list(written) == ["a.txt", "b/x.txt"]
    assert written["b/x.txt"] == Entry(3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    assert sha256_of(tmp_path / "b" / "x.txt") == written["b/x.txt"]
    assert write_manifest(tmp_path) == written  # and not with itself inside


def test_the_digest_of_a_folder_is_that_of_its_lines(tmp_path: Path) -> None:
    (tmp_path / "z").mkdir()
    (tmp_path / "z" / "1").write_bytes(b"abc")
    before = digest_of(tmp_path)
    assert before == digest_of(tmp_path)
    (tmp_path / "z" / "1").rename(tmp_path / "z" / "2")
    assert digest_of(tmp_path) != before


@pytest.mark.parametrize("row", ["a.txt\tmany\tabc", "a.txt\t\tabc"])
def test_a_broken_manifest(tmp_path: Path, row: str) -> None:
    (tmp_path / "manifest.tsv").write_text(f"path\tbytes\tsha256\n{row}\n", encoding="utf-8")
    with pytest.raises(InputError, match="line 2"):
        read_manifest(tmp_path)


def test_a_name_that_cannot_stand_in_a_manifest(tmp_path: Path) -> None:
    (tmp_path / "a\tb").write_bytes(b"")
    with pytest.raises(OutputError, match="cannot stand in the manifest"):
        write_manifest(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["a\tb"]


def test_the_metadata_is_plain_json(built: Built) -> None:
    assert json.loads(json.dumps(open_release(built[1]).metadata)) == open_release(built[1]).metadata


def test_a_stack_is_an_array(built: Built) -> None:
    stack = neuropack.open_release(built[1]).stacks[FIRST]
    assert stack.dtype == np.uint16
    np.testing.assert_array_equal(np.asarray(stack), pixels((2, 5, 40, 48), 1))


@pytest.mark.parametrize("number", [-1, 1])
def test_a_level_that_is_not_there(built: Built, number: int) -> None:
    with pytest.raises(UsageError, match=f"no such level\n  expected: 0, the only one\n  found: {number}"):
        neuropack.open_release(built[1]).stacks[FIRST].level(number)


def test_a_release_closes_what_it_opened(built: Built, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[str] = []
    monkeypatch.setattr(Volume, "close", lambda self: closed.append(self.path.name))
    with neuropack.open_release(built[1]) as release:
        stack = release.stacks[FIRST]
        assert stack[0, 0, 0, 0] == pixels((2, 5, 40, 48), 1)[0, 0, 0, 0]
    assert closed == [f"{FIRST}.ome.zarr"]
    assert stack.shape == (2, 5, 40, 48)  # and opens again


def test_version_control_is_not_in_the_manifest(tmp_path: Path) -> None:
    for name in (".git/HEAD", "a.txt", "sub/.git"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x", encoding="utf-8")
    assert list(write_manifest(tmp_path)) == ["a.txt", "sub/.git"]
