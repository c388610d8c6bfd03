"""The network against classical methods: ``methods.py FOLDER [--weights FILE ...] [--out FILE]``.

Test sets are simulated by the presets of ``neuropack simulate``, for lengths three of them also with a tenth of
the light, one with a thirtieth, and one also with its channels aligned for all methods; the training data of the
shipped network has neither their seeds nor their parameters nor their shapes. ``neuropack benchmark`` tunes each
method on the validation animals of a test set, by the very score that is compared (of the network its threshold
and what that is of), and scores it on the test animals. With the weights of several trainings, the spread over
their seeds stands beside the margin. Everything lies in FOLDER and is taken from there when it is called again.
The real dendrites are scored too, where they are at hand.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from neuropack.benchmark.cases import data_at
from neuropack.learn.alignment import alignment_of, together
from neuropack.learn.weights import shipped
from neuropack.study.simulations import presets
from neuropack.writers.ome_tiff import write_ome_tiff

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("NEUROPACK_TEST_DATA", ROOT.parent / "shared" / "data"))


@dataclass(frozen=True)
class Simulated:
    """A test set.

    Attributes:
        preset: of ``neuropack simulate``.
        seed: of its own.
        dimmer: how many times less light it has.
        aligned: channels are brought onto each other for all methods, as the network does it.
    """

    preset: str
    seed: int
    dimmer: int = 1
    aligned: bool = False

    @property
    def name(self) -> str:
        """It, and what was done to it."""
        dim = "" if self.dimmer == 1 else f", light / {self.dimmer}"
        return self.preset + dim + (", aligned for all" if self.aligned else "")

    @property
    def folder(self) -> str:
        """The same as the name of a folder."""
        return self.preset + ("" if self.dimmer == 1 else f"-{self.dimmer}") + ("-aligned" if self.aligned else "")


SETS = (
    Simulated("sparse", 101),
    Simulated("brainbow", 102),
    Simulated("low-snr", 103),
    Simulated("thick", 104),
    Simulated("sparse", 105, 10),  # where lengths are no longer found whole by all
    Simulated("brainbow", 106, 10),
    Simulated("thick", 107, 10),
    Simulated("sparse", 108, 30),
    Simulated("brainbow", 102, aligned=True),
)
SIZES = ("--shape", "32,160,160", "--subjects", "15")  # three animals to tune on, three to test on
CLASSICAL = ("otsu", "hysteresis", "tubeness", "sato", "frangi")
REAL = ("mapmanager-rr30a-tp0-ch2-crop320.tif", "mapmanager-rr30a-s0-crop320.swc")


@dataclass(frozen=True)
class Question:
    """What is compared: a score of a task, for which settings are tuned by that same score."""

    task: str
    score: str
    words: str


QUESTIONS = (
    Question("foreground", "f1", "Voxel F1"),
    Question("foreground", "cldice", "clDice"),
    Question("tracing", "f1", "Length F1 at 2 um"),
)
INSTANCES = Question("instances", "fisbe_s", "FISBe S")


def neuropack(*words: str) -> None:
    """Run a command of neuropack, showing it."""
    print("neuropack", shlex.join(words), flush=True)
    subprocess.run([sys.executable, "-m", "neuropack", *words], check=True, stdout=subprocess.DEVNULL)


def simulated(folder: Path, one: Simulated) -> Path:
    """The test set."""
    made = folder / "data" / one.folder
    words = ["--preset", one.preset]
    if one.dimmer > 1:
        settings = yaml.safe_load(presets()[one.preset].read_text(encoding="utf-8"))
        for name in ("peak_photons", "background_photons"):
            settings["optics"][name] /= one.dimmer
        config = made.with_suffix(".yaml")
        config.parent.mkdir(parents=True, exist_ok=True)
        config.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8", newline="\n")
        words = ["--config", str(config)]
    neuropack("simulate", str(made), *words, "--seed", str(one.seed), *SIZES)
    return made / "release"


def aligned(folder: Path, one: Simulated) -> Path:
    """The test set with its channels brought onto each other; labels and skeletons are those of the release."""
    made = folder / "data" / one.folder
    if (made / "benchmark.yaml").is_file():
        return made
    made.mkdir(parents=True, exist_ok=True)
    images = []
    for case in data_at(simulated(folder, replace(one, aligned=False))).cases:
        if case.split == "train":
            continue
        file = made / f"{case.name}.ome.tif"
        with case.opened() as image:
            write_ome_tiff(file, together(image, alignment_of(image)[0]), overwrite=True)
        lines = made / case.name
        lines.mkdir(exist_ok=True)
        for skeleton in case.skeletons:
            shutil.copy(skeleton, lines)
        images.append({**case.record(), "image": file.name, "skeletons": lines.name})
    listed = [{key: value for key, value in image.items() if value} for image in images]
    (made / "benchmark.yaml").write_text(json.dumps({"name": one.name, "images": listed}), encoding="utf-8")
    return made


def compared(data: Path, question: Question, methods: Sequence[str], out: Path, *more: str) -> list[dict[str, Any]]:
    """Results of methods."""
    words = ("--data", str(data), "--task", question.task, "--methods", ",".join(methods), "--out", str(out))
    choose = ("--choose-by", question.score) if more[:2] != ("--tune", "off") else ()
    if not out.exists():
        out.parent.mkdir(parents=True, exist_ok=True)
        commit_of(out).write_text(commit(), encoding="utf-8")
    neuropack("benchmark", *words, *choose, *more)
    found: list[dict[str, Any]] = json.loads((out / "results.json").read_text(encoding="utf-8"))
    return found


def commit() -> str:
    """The commit that is checked out, with a plus where files differ from it."""
    lines = ("git", "rev-parse", "--short=10", "HEAD"), ("git", "status", "--porcelain", "--untracked-files=no")
    name, changed = (
        subprocess.run(one, cwd=ROOT, capture_output=True, text=True, check=True).stdout for one in lines
    )
    return name.strip() + ("+" if changed.strip() else "")


def commit_of(out: Path) -> Path:
    """Where the commit stands that results were made at: they may be of an earlier call."""
    return out.with_name(f"{out.name}.commit")


def real(folder: Path) -> Path | None:
    """The real dendrites as data of a benchmark; None where they are not."""
    stack, trace = (DATA / "neuron" / name for name in REAL)
    if not (stack.is_file() and trace.is_file()):
        print(f"skipped: the real dendrites are not in {DATA}")
        return None
    made = folder / "data" / "dendrites"
    made.mkdir(parents=True, exist_ok=True)
    image = {"name": "dendrites", "subject": "rr30a", "split": "test", "image": str(stack), "skeletons": str(trace)}
    image |= {"voxel_size_um": [1, 0.12, 0.12], "origin": "centre"}
    (made / "benchmark.yaml").write_text(
        json.dumps({"name": "real dendrites", "images": [image]}), encoding="utf-8"
    )
    return made


def told(row: dict[str, Any], score: str) -> str:
    """A score with its interval."""
    low, high = (row["interval"].get(score) or (None, None))[:2]
    value = "no value" if row[score] is None else f"{row[score]:.3f}"
    return value if low is None else f"{value} ({low:.3f} to {high:.3f})"


def asked(folder: Path, test: Simulated, question: Question, weights: Sequence[Path], data: Path) -> str:
    """The row of a test set and a question."""
    here = folder / "runs" / f"{test.folder}-{question.task}-{question.score}"
    methods = CLASSICAL
    if question is INSTANCES and test.preset != "sparse":  # of one colour there is nothing to tell apart
        methods = ("otsu", "tubeness", "color")
    rows = compared(data, question, methods, here / "classical")
    key = question.score
    best = max(rows, key=lambda row: row[key] if row[key] is not None else -1.0)
    model = []
    for i, file in enumerate(weights):
        (one,) = compared(data, question, ("model",), here / f"model-{i}", "--weights", str(file))
        model.append(one)
    mirrored = "not scored"
    if question.task == "foreground":  # it takes four times as long
        (one,) = compared(data, question, ("model-mirrored",), here / "mirrored", "--weights", str(weights[0]))
        mirrored = told(one, key)
    values = [row[key] for row in model]
    spread = f"{min(values):.3f} to {max(values):.3f}" if len(values) > 1 else "one training"
    margin, spread_of = min(values) - best[key], max(values) - min(values)
    beyond = "not told" if len(values) < 2 else "yes" if margin > spread_of else "no"
    others = ", ".join(
        f"{row['method']} {row[key]:.3f}" for row in rows if row is not best and row[key] is not None
    )
    return (
        f"| {test.name} | {told(model[0], key)} | {mirrored} | {spread} | {best['method']} {told(best, key)} "
        f"| {margin:+.3f} | {beyond} | {others} |"
    )


def page(folder: Path, weights: Sequence[Path], tasks: Sequence[str], command: str) -> str:
    """The page."""
    lines = []
    sets = {one: (aligned if one.aligned else simulated)(folder, one) for one in SETS}
    for question in (one for one in (*QUESTIONS, INSTANCES) if one.task in tasks):
        lines += ["", f"## {question.words}", ""]
        lines += [
            "| simulated | network (95 % over images) | looking four times | over trainings "
            "| best of the others, tuned by this score | margin of the worst training "
            "| more than the spread | the rest |",
            "|---|---|---|---|---|---|---|---|",
        ]
        for one, data in sets.items():
            if one.dimmer == 1 or question.task == "tracing":
                lines.append(asked(folder, one, question, weights, data))
    any_run = next((folder / "runs").glob("*/model-0/results.json"))
    row = json.loads(any_run.read_text(encoding="utf-8"))[0]
    if "tracing" in tasks:
        lines += ["", *_real(folder, weights[0])]
    machine = row["machine"]
    head = [
        "# Methods compared",
        "",
        "```text",
        command,
        "```",
        "",
        f"Made at {_commits(folder)}, {machine['date']}, on {machine['cores']} cores "
        f"({machine['processor']}), {machine['memory_gib']} GiB, Python {machine['python']}. Network: "
        f"`{weights[0].name}`, SHA-256 {row['about']['sha256'][:16]}. Seeds of the test sets: "
        + "; ".join(f"{one.name}: {one.seed}" for one in SETS)
        + ". Three animals of each are tested on, three tuned on; all of them are simulated. All methods are "
        "tuned, the network by its threshold and what that is of; before it looks, channels are aligned, which the "
        "others leave but where the row says so.",
    ]
    return "\n".join([*head, *lines, ""])


def _commits(folder: Path) -> str:
    """At which commits the results were made, by the kind of method."""
    made: dict[str, set[str]] = {"classical": set(), "model": set()}
    for file in sorted((folder / "runs").rglob("*.commit")):
        made["model" if "model" in file.name else "classical"].add(file.read_text(encoding="utf-8"))
    words = {"classical": "the others", "model": "the network"}
    return "commit " + ", ".join(f"{', '.join(sorted(found))} ({words[kind]})" for kind, found in made.items())


def _real(folder: Path, weights: Path) -> list[str]:
    data = real(folder)
    if data is None:
        return []
    question = QUESTIONS[2]
    rows = compared(data, question, CLASSICAL, folder / "runs" / "real-classical", "--tune", "off")
    place = folder / "runs" / "real-model"
    rows += compared(data, question, ("model",), place, "--tune", "off", "--weights", str(weights))
    lines = [
        "## Real dendrites, length within 2 um",
        "",
        "| method | F1 | precision | recall |",
        "|---|---|---|---|",
    ]
    return [
        *lines,
        *(
            f"| {r['method']} | "
            + " | ".join("no value" if r[k] is None else f"{r[k]:.3f}" for k in ("f1", "precision", "recall"))
            + " |"
            for r in rows
        ),
    ]


def main() -> None:
    """Run all of it and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--weights", type=Path, nargs="+", default=[shipped()], help="of one or more trainings")
    known = ("foreground", "tracing", "instances")
    parser.add_argument("--tasks", nargs="+", choices=known, default=known, help="these alone")
    parser.add_argument("--out", type=Path, help="a page in Markdown")
    given = parser.parse_args()
    words = ["FOLDER" if word == str(given.folder) else word for word in sys.argv[1:]]
    text = page(
        given.folder, given.weights, given.tasks, "python " + shlex.join(["tests/benchmarks/methods.py", *words])
    )
    print(text)
    if given.out:
        given.out.write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
