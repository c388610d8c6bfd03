"""Neurons put into a release: what is refused, and that nothing changes then."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from neuropack.build.place import MARKER
from neuropack.errors import InputError, OutputError, UsageError
from neuropack.locks import only_one
from neuropack.manifest import write_manifest
from neuropack.marks import Credit
from neuropack.mend.traced import RefusedError, TracedNeuron, put_neurons
from neuropack.release import METADATA, open_release
from neuropack.skeleton import Skeleton

SECOND = "sub-M01_ses-01_sample-LH_acq-25x_chunk-02_CONF"
ACCEPT = ("morphology.image", "morphology.labels")
ANN = Credit("Ann", "manual")


def skeleton(radius: float = 0.4) -> Skeleton:
    ids = np.arange(1, 6)
    xyz = np.column_stack([ids * 1.4, ids * 2.0, np.full(5, 4.0)])
    return Skeleton(ids, np.full(5, 3), xyz, radius + ids / 20, ids - 1 - (ids == 1))


def put(root: Path, *neurons: TracedNeuron, stack: str = SECOND) -> None:
    put_neurons(root, stack, neurons, root.parent / "scratch", accept=ACCEPT)


def test_a_neuron_is_put_into_a_stack(built: tuple[Path, Path]) -> None:
    _, root = built
    one = TracedNeuron("n 9", skeleton(), ANN, comments=["hello"], settings={"color": True})
    put(root, one)
    release = open_release(root)
    (name,) = (n for n in release.neurons if n.endswith("desc-n9"))
    assert np.allclose(release.neurons[name].xyz, one.skeleton.xyz)
    assert release.neurons[name].comments[0] == "hello"
    (step,) = (s for s in release.metadata["processings"] if s["activity"] == "tracing")
    assert json.loads(step["parameters"]) == {"color": True}
    assert not (root.parent / "scratch").exists()
    again = TracedNeuron("n 9", skeleton(0.5), ANN, replaces=name)
    put(root, again)
    assert open_release(root).neurons[name].radius[0] == pytest.approx(again.skeleton.radius[0])


def published(root: Path) -> None:
    document = json.loads((root / METADATA).read_text())
    document["release"]["changelog"][0]["doi"] = "10.5555/12345678"
    (root / METADATA).write_text(json.dumps(document))
    write_manifest(root)


def edited(root: Path) -> None:
    path = root / "derivatives/morphology/neurons.tsv"
    path.write_bytes(path.read_bytes().replace(b"Josiah", b"Joe"))


@pytest.mark.parametrize(
    ("spoil", "neurons", "stack", "kind", "words"),
    [
        (published, [TracedNeuron("n9", skeleton(), ANN)], SECOND, UsageError, "published as 10.5555"),
        (edited, [TracedNeuron("n9", skeleton(), ANN)], SECOND, InputError, "not what the manifest lists"),
        (None, [], SECOND, UsageError, "nothing to commit"),
        (None, [TracedNeuron("n9", skeleton(), ANN)], "other", UsageError, "no such stack"),
        (None, [TracedNeuron("n1", skeleton(), ANN)], SECOND.replace("02", "01"), UsageError, "of this name"),
        (None, [TracedNeuron(n, skeleton(), ANN) for n in ("a-b", "ab")], SECOND, UsageError, "of this name"),
        (None, [TracedNeuron("n9", skeleton(), ANN, replaces="x")], SECOND, UsageError, "no such neuron"),
        (None, [TracedNeuron("n9", skeleton(-2), ANN)], SECOND, RefusedError, "do not pass the rules"),
    ],
)
def test_what_is_refused_changes_nothing(
    spoil: object,
    neurons: list[TracedNeuron],
    stack: str,
    kind: type[Exception],
    words: str,
    built: tuple[Path, Path],
) -> None:
    _, root = built
    if callable(spoil):
        spoil(root)
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    with pytest.raises(kind, match=words):
        put(root, *neurons, stack=stack)
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before


def test_nobody_else_is_at_work_there(built: tuple[Path, Path]) -> None:
    _, root = built
    with only_one(root), pytest.raises(OutputError, match="another neuropack"):
        put(root, TracedNeuron("n9", skeleton(), ANN))
    (root / MARKER).touch()
    with pytest.raises(UsageError, match="interrupted"):
        put(root, TracedNeuron("n9", skeleton(), ANN))
