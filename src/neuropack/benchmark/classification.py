"""Classes of neurons from numbers: each animal is predicted from all others, none helps to predict itself."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from neuropack.benchmark.cases import Floats
from neuropack.benchmark.measured import Cost, used
from neuropack.benchmark.outputs import CLASSES
from neuropack.benchmark.outside import Outside, fresh, request
from neuropack.errors import InputError, UsageError
from neuropack.table import MISSING, read_tsv, tsv_text

if TYPE_CHECKING:
    from neuropack.release import Release

Words = npt.NDArray[np.str_]
Predict = Callable[[Floats, Words, Floats, Mapping[str, Any]], Words]
"""Takes features and classes of neurons to learn from, and features of others; gives the classes of these."""
_CLASSES_OF: Final = ("cell_type", "class")


@dataclass(frozen=True)
class Neurons:
    """Neurons with a class.

    Attributes:
        ids: identifiers (n,).
        subjects: the animal of each (n,).
        classes: of each (n,).
        names: of the features (f,).
        features: (n, f); NaN where one is not defined.
        source: where the classes come from, in words.
    """

    ids: tuple[str, ...]
    subjects: Words
    classes: Words
    names: tuple[str, ...]
    features: Floats
    source: str

    def digest(self) -> str:
        """Another one where anything of them is another."""
        arrays = (self.subjects, self.classes, self.features)
        said = (self.ids, self.names, self.source, *(one.tolist() for one in arrays))
        return hashlib.sha256(repr(said).encode()).hexdigest()


def majority(seen: Floats, classes: Words, unseen: Floats, settings: Mapping[str, Any]) -> Words:
    """The most frequent class; of equals the first by the alphabet."""
    names, counts = np.unique(classes, return_counts=True)
    return np.repeat(names[counts.argmax()], len(unseen))


def nearest(seen: Floats, classes: Words, unseen: Floats, settings: Mapping[str, Any]) -> Words:
    """The most frequent class of the nearest neurons, of equals that of the nearest one, features as `scaled`."""
    mine, theirs = scaled(seen, unseen)
    k = min(int(settings["k"]), len(mine))
    found = []
    for row in theirs:
        near = np.argsort(((mine - row) ** 2).sum(axis=1), kind="stable")[:k]
        counts = Counter(classes[near].tolist())
        found.append(max(classes[near].tolist(), key=lambda name: counts[name]))
    return np.array(found, str)


def lda(seen: Floats, classes: Words, unseen: Floats, settings: Mapping[str, Any]) -> Words:
    """Linear discriminants (Fisher 1936) with the covariance shrunk towards its diagonal, features as `scaled`.

    The class of the largest x' S^-1 m - m' S^-1 m / 2 + log p, with m the mean and p the part of a class, and S the
    covariance within classes, (1 - s) S + s diag(S).
    """
    mine, theirs = scaled(seen, unseen)
    names, rows = np.unique(classes, return_inverse=True)
    means = np.stack([mine[rows == n].mean(axis=0) for n in range(len(names))])
    away = mine - means[rows]
    spread = away.T @ away / max(1, len(mine) - len(names))
    share = float(settings["shrinkage"])
    spread = (1 - share) * spread + share * np.diag(np.diag(spread)) + 1e-6 * np.eye(len(spread))
    weights = np.linalg.solve(spread, means.T)
    parts = np.bincount(rows, minlength=len(names)) / len(rows)
    values = theirs @ weights - 0.5 * (means * weights.T).sum(axis=1) + np.log(parts)
    found: Words = names[values.argmax(axis=1)]
    return found


def scaled(seen: Floats, unseen: Floats) -> tuple[Floats, Floats]:
    """Features less the mean of those seen, by their deviation; what is not defined is the mean.

    Nothing of the unseen ones decides: that would be a look at the test.
    """
    there = np.isfinite(seen)
    counts = np.maximum(there.sum(axis=0), 1)
    mean = np.where(there, seen, 0).sum(axis=0) / counts
    deviation = np.sqrt((np.where(there, seen - mean, 0) ** 2).sum(axis=0) / counts)
    deviation[deviation < 1e-12 * np.maximum(1.0, np.abs(mean))] = np.inf  # always the same: it says nothing
    mine, theirs = (np.where(np.isfinite(one), (one - mean) / deviation, 0.0) for one in (seen, unseen))
    return mine, theirs


@dataclass(frozen=True)
class Classifier:
    """A method of the task classification: its settings are tuned by leaving out each animal of those seen."""

    name: str
    predict: Predict
    settings: tuple[Mapping[str, Any], ...] = ({},)


CLASSIFIERS: Final = {
    one.name: one
    for one in (
        Classifier("majority", majority),
        Classifier("nearest", nearest, ({"k": 3}, {"k": 1}, {"k": 5}, {"k": 9})),
        Classifier("lda", lda, ({"shrinkage": 0.3}, {"shrinkage": 0.1}, {"shrinkage": 1.0})),
    )
}


def neurons_of(release: Release, path: Path, features: str) -> Neurons:
    """The neurons of a release that have a class and features.

    Classes are those of annotators (a table of classes of neurons), else cell types of the metadata, else, of a
    simulation, which fluorophores a neuron has.

    Args:
        release: opened.
        path: of it.
        features: ``morphology`` (`neuropack.morphology.features`) or ``color`` (of the metadata).

    Raises:
        UsageError: no neuron has both; or all have one class; or they are of one animal.
    """
    said, source = _classes(release, path)
    rows = []
    for record in release.metadata.get("neurons", ()):
        values = _color(record) if features == "color" else _shape(release, record)
        if record["id"] in said and values:
            subject = str(record["image_stack"]).partition("_")[0]
            rows.append((record["id"], subject, said[record["id"]], values))
    classes, subjects = {row[2] for row in rows}, {row[1] for row in rows}
    if len(classes) < 2 or len(subjects) < 2:
        raise UsageError(
            "has no truth of the kind that the task is scored by",
            file=path,
            expected=f"neurons of two classes or more, of two animals or more, with {features}",
            found=f"{len(rows)} neuron(s) of {len(classes)} class(es) and {len(subjects)} animal(s)",
            fix="state cell_type of neurons in the study, or a table of classes",
        )
    names = tuple(dict.fromkeys(name for row in rows for name in row[3]))
    table = [[row[3].get(name, np.nan) for name in names] for row in rows]
    return Neurons(
        tuple(row[0] for row in rows),
        np.array([row[1] for row in rows], str),
        np.array([row[2] for row in rows], str),
        names,
        np.array(table, np.float64),
        source,
    )


def _classes(release: Release, path: Path) -> tuple[dict[str, str], str]:
    from neuropack.release import BENCHMARK

    said: dict[str, str] = {}
    for stack in release.stacks.values():
        table = stack.classes
        for row in table.to_pylist() if table is not None else ():
            if row["object_kind"] == "neuron":
                said[row["object_id"]] = row["class"]
    if said:
        return said, "classes by annotators"
    records = release.metadata.get("neurons", ())
    said = {str(one["id"]): str(one["cell_type"]) for one in records if one.get("cell_type")}
    if said:
        return said, "cell types of the metadata"
    file, channels = path / BENCHMARK / "simulated_neurons.tsv", path / BENCHMARK / "simulated_channels.tsv"
    if not file.is_file() or not channels.is_file():
        return {}, ""
    names = list(dict.fromkeys(row["fluorophore"] for row in read_tsv(channels)))
    for row in read_tsv(file):
        copies = zip(names, row["copies"].split(","), strict=False)
        said[row["neuron_id"]] = "+".join(name for name, n in copies if n not in ("0", MISSING)) or "none"
    return said, "which fluorophores a simulated neuron has"


def _shape(release: Release, record: Mapping[str, Any]) -> dict[str, float]:
    from neuropack.morphology.features import features

    if record["id"] not in release.neurons:
        return {}
    found = features(release.neurons[record["id"]])
    return {name: float(value) for name, value in found.items() if value is not None}


def _color(record: Mapping[str, Any]) -> dict[str, float]:
    """Weights of the channels as the metadata have them: measured, also in a simulation."""
    return {f"channel_{n}": float(value) for n, value in enumerate(record.get("color_vector", ()))}


def cross_validated(
    classifier: Classifier, neurons: Neurons, *, tune: bool
) -> tuple[dict[str, str], list[Mapping[str, Any]], Cost]:
    """The class of each neuron, predicted from the animals other than its own.

    Settings are chosen anew for each animal that is left out, by leaving out each of the others in turn.

    Returns:
        classes by neuron; the settings for each animal; the cost.
    """
    before, _ = used()
    began, said, chosen = time.perf_counter(), dict[str, str](), []
    for subject in np.unique(neurons.subjects):
        out = neurons.subjects == subject
        settings = _best(classifier, neurons, ~out) if tune else classifier.settings[0]
        chosen.append(settings)
        found = classifier.predict(neurons.features[~out], neurons.classes[~out], neurons.features[out], settings)
        said |= dict(zip(np.array(neurons.ids)[out].tolist(), found.tolist(), strict=True))
    after, memory = used()
    cpu = None if before is None or after is None else after - before
    return said, chosen, Cost(time.perf_counter() - began, cpu, memory)


def _best(classifier: Classifier, neurons: Neurons, among: npt.NDArray[np.bool_]) -> Mapping[str, Any]:
    subjects = np.unique(neurons.subjects[among])
    if len(classifier.settings) == 1 or len(subjects) < 2:
        return classifier.settings[0]
    hits = []
    for settings in classifier.settings:
        right = 0
        for subject in subjects:
            out, rest = among & (neurons.subjects == subject), among & (neurons.subjects != subject)
            found = classifier.predict(
                neurons.features[rest], neurons.classes[rest], neurons.features[out], settings
            )
            right += int((found == neurons.classes[out]).sum())
        hits.append(right)
    return classifier.settings[int(np.argmax(hits))]


def by_command(method: Outside, neurons: Neurons, work: Path, seed: int) -> tuple[dict[str, str], Cost]:
    """The class of each neuron, by a command that is called once for each animal, with its first settings.

    Returns:
        classes by neuron, without those that the command left out; the cost.

    Raises:
        InputError: it failed, or wrote no table of classes.
    """
    said: dict[str, str] = {}
    costs = []
    settings = method.grid("classification")[0]
    for subject in np.unique(neurons.subjects).tolist():
        folder = fresh(work / subject).absolute()
        output = fresh(folder / "output")
        out = neurons.subjects == subject
        table, asked = folder / "neurons.tsv", folder / "request.json"
        table.write_text(_text(neurons, out), encoding="utf-8", newline="\n")
        values = {"table": str(table), "output": str(output), "task": "classification", "request": str(asked)}
        request(asked, {**values, "settings": dict(settings), "seed": seed})
        costs.append(method.run(values, settings, folder / "log.txt"))
        said |= _said(output, np.array(neurons.ids)[out].tolist())
    known = [cost.cpu_seconds for cost in costs if cost.cpu_seconds is not None]
    memory = max((cost.memory_bytes or 0 for cost in costs), default=0) or None
    return said, Cost(sum(cost.seconds for cost in costs), sum(known) if len(known) == len(costs) else None, memory)


def _text(neurons: Neurons, unseen: npt.NDArray[np.bool_]) -> str:
    rows = [
        {
            "neuron_id": name,
            "subject": subject,
            "class": None if hidden else kind,
            **{key: float(v) if np.isfinite(v) else None for key, v in zip(neurons.names, values, strict=True)},
        }
        for name, subject, kind, values, hidden in zip(
            neurons.ids, neurons.subjects.tolist(), neurons.classes.tolist(), neurons.features, unseen, strict=True
        )
    ]
    return tsv_text(("neuron_id", "subject", "class", *neurons.names), rows)


def _said(output: Path, wanted: Sequence[str]) -> dict[str, str]:
    path = output / CLASSES
    if not path.is_file():
        raise InputError("the method wrote no result", file=output, expected=CLASSES, found="no such file")
    rows = read_tsv(path)
    if rows and not {"neuron_id", "class"} <= rows[0].keys():
        raise InputError(
            "is no table of classes", file=path, expected="columns neuron_id, class", found=", ".join(rows[0])
        )
    found: dict[str, str] = {}
    for row in rows:
        if found.setdefault(row["neuron_id"], row["class"]) != row["class"]:
            raise InputError(
                "a neuron comes twice",
                file=path,
                where=row["neuron_id"],
                expected="one class",
                found=f"{found[row['neuron_id']]}, {row['class']}",
            )
    return {name: found[name] for name in wanted if found.get(name, MISSING) != MISSING}
