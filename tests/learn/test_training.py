"""Training: it learns, any interruption leaves it whole, and what stops it is told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from neuropack.cli import main
from neuropack.errors import InputError, NeuropackError, OutputError, UsageError
from neuropack.learn.checkpoints import load_checkpoint
from neuropack.learn.patches import Patches
from neuropack.learn.settings import TrainSettings
from neuropack.learn.trainer import learning_rate
from neuropack.learn.training import train
from neuropack.learn.weights import load_weights
from neuropack.locks import only_one
from neuropack.table import read_tsv

SMALL = TrainSettings(
    "small", steps=6, batch=2, patch=(4, 32, 32), widths=(4, 4, 4), every=2, validation_patches=3, average=0.9
)
KILLED = """
import os, signal, sys
from pathlib import Path
import torch
from neuropack.learn import trainer
from neuropack.learn.settings import load_settings
from neuropack.learn.training import train
torch.set_num_threads(1)
trainer._KEEP_S = float(sys.argv[5])
def tell(stage, done, whole):
    if stage == "training" and done == int(sys.argv[4]):
        os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
train([Path(sys.argv[1])], Path(sys.argv[2]), load_settings(Path(sys.argv[3])), progress=tell)
"""


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def small(tiny_release: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished training of `SMALL`, not to be written to."""
    torch.set_num_threads(1)
    return train([tiny_release], tmp_path_factory.mktemp("small") / "out", SMALL).folder


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def test_the_smallest_preset_improves_on_its_start(
    tiny_release: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    line = ["train", str(tiny_release), str(out), "--preset", "tiny", "--device", "cpu"]
    assert main([*line, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["first"]["step"] == 0 and found["best"]["f1"] > found["first"]["f1"] + 0.5
    assert found["best"]["validation_loss"] < 0.65 * found["first"]["validation_loss"]
    assert found["last"]["train_loss"] < found["first"]["validation_loss"]
    rows = read_tsv(out / "curves.tsv")
    assert [int(row["step"]) for row in rows] == [0, 15, 30]
    assert float(rows[-1]["f1"]) == pytest.approx(found["last"]["f1"], rel=1e-4)
    assert matplotlib.image.imread(out / "curves.png").std() > 0.05
    assert list((out / "tensorboard").glob("events*"))
    weights = load_weights(out / "weights.safetensors")
    assert weights.sha256 == found["sha256"] and weights.about["best"]["f1"] == found["best"]["f1"]
    card = (out / "card.md").read_text(encoding="utf-8")
    assert found["sha256"] in card and "SIMULATED, seed 1" in card and "ODC-By-1.0" in card
    assert "UNFINISHED" not in card and f"| voxel F1 | {found['first']['f1']:.3f} |" in card
    # Again: nothing is done.
    before = {p.name: p.stat().st_mtime_ns for p in out.iterdir()}
    assert main(line) == 0
    assert "finished before, at step 30" in capsys.readouterr().out
    assert before == {p.name: p.stat().st_mtime_ns for p in out.iterdir()}


@pytest.mark.parametrize(("killed", "keep_s", "kept", "row"), [(5, 60, 4, 4), (4, 0, 3, 2)])
def test_a_training_that_is_killed_ends_with_the_same_weights(
    tiny_release: Path, small: Path, tmp_path: Path, killed: int, keep_s: int, kept: int, row: int
) -> None:
    out, settings = tmp_path / "out", tmp_path / "small.yaml"
    settings.write_text(SMALL.to_yaml(), encoding="utf-8")
    line = [sys.executable, "-c", KILLED, str(tiny_release), str(out), str(settings), str(killed), str(keep_s)]
    done = subprocess.run(
        line, capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert done.returncode not in (0, 1), done.stderr
    assert load_checkpoint(out / "checkpoint.safetensors").state.step == kept
    assert f"UNFINISHED: {row} of 6 steps" in (out / "card.md").read_text(encoding="utf-8")
    made = train([tiny_release], out, SMALL)
    assert made.resumed == kept and not made.finished_before
    ours, theirs = (
        load_checkpoint(out / "checkpoint.safetensors"),
        load_checkpoint(small / "checkpoint.safetensors"),
    )
    for name in ("network", "average", "optimizer", "best"):
        assert equal(dict(getattr(ours, name)), dict(getattr(theirs, name))), name
    assert not equal(dict(ours.network), dict(ours.average))
    mine, other = (load_weights(folder / "weights.safetensors") for folder in (out, small))
    assert equal(mine.network.state_dict(), other.network.state_dict()) and mine.about == other.about
    histories = [
        [{k: v for k, v in told.items() if k != "seconds"} for told in one.state.history] for one in (ours, theirs)
    ]
    assert histories[0] == histories[1]


def test_another_seed_gives_other_weights_and_wants_another_folder(
    tiny_release: Path, small: Path, tmp_path: Path
) -> None:
    other = replace(SMALL, seed=1, steps=2)
    with pytest.raises(UsageError, match="a training of other settings") as caught:
        train([tiny_release], small, other)
    assert "steps: 6, not 2; seed: 0, not 1" in str(caught.value)
    train([tiny_release], out := tmp_path / "out", replace(SMALL, steps=2))
    train([tiny_release], out, other, overwrite=True)
    found, before = (load_checkpoint(f / "checkpoint.safetensors") for f in (out, small))
    assert found.state.step == 2 and not equal(dict(found.network), dict(before.network))


def test_the_words_of_the_settings_may_change(tiny_release: Path, small: Path) -> None:
    assert train([tiny_release], small, replace(SMALL, name="x", description="y", license="MIT")).finished_before


def test_other_data_want_another_folder(tiny_release: Path, small: Path) -> None:
    with pytest.raises(UsageError, match="other data"):
        train([tiny_release, tiny_release], small, SMALL)


def test_a_checkpoint_that_is_cut_short(tiny_release: Path, small: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    whole = (small / "checkpoint.safetensors").read_bytes()
    for size in (0, 7, 200, len(whole) - 1):
        (out / "checkpoint.safetensors").write_bytes(whole[:size])
        with pytest.raises(InputError, match="cannot be read as a checkpoint") as caught:
            train([tiny_release], out, SMALL)
        assert "--overwrite" in str(caught.value)
    (out / "checkpoint.safetensors").write_bytes((small / "weights.safetensors").read_bytes())
    with pytest.raises(InputError, match="cannot be read as a checkpoint"):
        train([tiny_release], out, SMALL)
    assert train([tiny_release], out, replace(SMALL, steps=1), overwrite=True).state.step == 1


def test_a_folder_of_something_else_is_left_alone(tiny_release: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work", encoding="utf-8")
    for overwrite in (False, True):
        with pytest.raises(UsageError, match="holds something else"):
            train([tiny_release], tmp_path, SMALL, overwrite=overwrite)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_two_trainings_do_not_share_a_folder(tiny_release: Path, tmp_path: Path) -> None:
    with only_one(tmp_path / "out"), pytest.raises(OutputError, match="another neuropack"):
        train([tiny_release], tmp_path / "out", SMALL)


def test_a_loss_that_is_no_number_stops_and_keeps_the_batch(
    tiny_release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = Patches.patch

    def broken(self: Patches, epoch: int, index: int) -> dict[str, Any]:
        made = draw(self, epoch, index)
        if self.augmentation and index == 7:
            made["features"][0, 0, 0, :3] = np.nan
        return made

    monkeypatch.setattr(Patches, "patch", broken)
    with pytest.raises(InputError, match="its loss is no number") as caught:
        train([tiny_release], tmp_path / "out", SMALL)
    assert "step 3, patches 6 to 7" in str(caught.value) and "3 value(s) of features" in str(caught.value)
    kept = load_file(Path(str(caught.value.file)))
    assert sorted(kept) == ["features", "line", "target", "weight"]
    assert int(torch.isnan(kept["features"]).sum()) == 3
    monkeypatch.setattr(Patches, "patch", draw)  # once the cause is mended, it goes on
    assert train([tiny_release], tmp_path / "out", SMALL).resumed == 2


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_where_there_is_none(tiny_release: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", str(tiny_release), str(tmp_path / "out"), "--preset", "tiny", "--device", "cuda"]) == 2
    told = capsys.readouterr().err
    assert "there is no such GPU here" in told and "--device cpu" in told
    assert not (tmp_path / "out").exists()
    assert main(["train", str(tiny_release), str(tmp_path / "out"), "--preset", "tiny", "--device", "tpu"]) == 2


def test_training_begins_with_weights_of_the_same_shape(tiny_release: Path, small: Path, tmp_path: Path) -> None:
    first = small / "weights.safetensors"
    made = train([tiny_release], tmp_path / "more", replace(SMALL, steps=1), start=first)
    best = load_checkpoint(small / "checkpoint.safetensors").state.best
    assert best is not None and made.state.history[0]["f1"] == best["f1"]
    with pytest.raises(InputError, match="of another shape") as caught:
        train([tiny_release], tmp_path / "wide", replace(SMALL, widths=(4, 4, 8)), start=first)
    assert "widths [4, 4, 4]" in str(caught.value)


def test_a_checkpoint_of_another_network_is_told(tiny_release: Path, small: Path, tmp_path: Path) -> None:
    from neuropack.learn.checkpoints import save_checkpoint

    kept = load_checkpoint(small / "checkpoint.safetensors")
    kept.network = {k: v for k, v in kept.network.items() if k != "head.bias"}
    kept.state.step = 2
    (tmp_path / "out").mkdir()
    save_checkpoint(tmp_path / "out" / "checkpoint.safetensors", kept)
    with pytest.raises(InputError, match="weights of another network"):
        train([tiny_release], tmp_path / "out", SMALL)


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (["--preset", "tiny", "--config", "x.yaml"], 2, "both say how to train"),
        (["--preset", "tinny"], 2, "did you mean 'tiny'"),
        (["--config", "none.yaml"], 3, "there is no such file"),
        (["--preset", "tiny", "--start", "none.safetensors"], 3, "cannot be read as weights"),
    ],
)
def test_a_line_that_cannot_be_done(
    tiny_release: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    status: int,
    told: str,
) -> None:
    assert main(["train", str(tiny_release), str(tmp_path / "out"), *arguments]) == status
    assert told in capsys.readouterr().err


def test_no_release(tmp_path: Path) -> None:
    with pytest.raises(NeuropackError, match="is not a release"):
        train([tmp_path / "none"], tmp_path / "out", SMALL)


def test_the_learning_rate_rises_and_falls_once() -> None:
    settings = TrainSettings(steps=100, warmup=0.1, learning_rate=1.0)
    rates = [learning_rate(settings, step) for step in range(100)]
    assert np.argmax(rates) == 10 and max(rates) == 1 and rates[0] < 0.1 and rates[-1] < 0.002
    assert all(np.diff(rates)[:10] > 0) and all(np.diff(rates)[10:] < 0)


@pytest.mark.slow
def test_processes_share_the_batches(tiny_release: Path, tmp_path: Path) -> None:
    # Two on the processor, as torchrun starts them on two GPUs; and one whose patches a process of its own makes.
    settings = tmp_path / "small.yaml"
    settings.write_text(replace(SMALL, workers=1, precision="float32").to_yaml(), encoding="utf-8")
    line = [*("-m", "neuropack", "train", str(tiny_release)), str(tmp_path / "out"), "--config", str(settings)]
    run = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run([*run, *line], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    state = load_checkpoint(tmp_path / "out" / "checkpoint.safetensors").state
    assert state.step == 6 and state.device[0].startswith("2 x ")
    alone = train([tiny_release], tmp_path / "alone", replace(SMALL, workers=1))
    assert equal(load_file(alone.weights), load_file(train([tiny_release], tmp_path / "none", SMALL).weights))
