"""The outside validators on built releases, each in an environment of its own: ``make gates``.

Builds the demo's release and one from real OIB, ND2, CZI and LSM files, runs every gate on both, prints a table
and ends with 1 when a gate found an error. Then the demo's release is broken on purpose, once for each gate: a
gate that lets its broken copy pass is an error too, for its green would mean nothing.

Beside them stand two witnesses. AllenSDK: its tree and its look-up of every voxel of the real annotation of 100 um
have to be ours. NeuroM: what it measures of real and simulated neurons has to be what we measure. And what
``neuropack publish`` stages for DANDI has to pass dandi's own validator.

    python tests/gates/run.py [--release DIR ...] [--work DIR]
    python tests/gates/run.py --prepare    # makes their environments, and nothing else
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
import venv
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
DATA = Path(os.environ.get("NEUROPACK_TEST_DATA", ROOT.parent / "shared" / "data"))
SCRIPTS = "Scripts" if os.name == "nt" else "bin"

JOBS = min(4, os.cpu_count() or 1)  # each a program of its own; tests run as many

# nwbinspector's importance; below these are advice.
NWB_ERRORS = ("ERROR", "PYNWB_VALIDATION", "CRITICAL")


@dataclass(frozen=True)
class Verdict:
    """What a gate says of one target: how many errors and warnings, and the errors themselves."""

    target: str
    errors: int
    warnings: int
    text: str = ""


Gate = Callable[[Path, Path], Iterator[Verdict]]


def call(*command: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a program, with `more` in its environment, and take what it prints."""
    return subprocess.run(
        [str(c) for c in command],
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        check=False,
        env={**os.environ, **more},
    )


def environment(name: str) -> Path:
    """Folder of the programs of a gate; made when missing or when its requirements have changed."""
    home, wanted = ROOT / ".gates" / name, HERE / f"requirements-{name}.txt"
    stamp = home / "requirements.txt"
    if not stamp.exists() or stamp.read_bytes() != wanted.read_bytes():
        print(f"setting up .gates/{name}", flush=True)
        venv.create(home, with_pip=True, clear=True)
        python = home / SCRIPTS / ("python.exe" if os.name == "nt" else "python")
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", "-r", str(wanted)], check=True)
        shutil.copy(wanted, stamp)
    return home / SCRIPTS


def bids(release: Path, work: Path) -> Iterator[Verdict]:
    """bids-validator at the root and in each derivative, by its path: -r does not honour their .bidsignore."""
    program = environment("bids") / "bids-validator-deno"
    for folder in [release, *sorted(p for p in release.glob("derivatives/*") if p.is_dir())]:
        done = call(program, "--format", "json", folder)
        try:
            issues = json.loads(done.stdout)["issues"]["issues"]
        except (ValueError, KeyError):
            yield Verdict(relative(folder, release), 1, 0, done.stdout + done.stderr)
            continue
        bad = [i for i in issues if i["severity"] == "error"]
        text = "\n".join(f"{i.get('code')} {i.get('subCode', '')} {i.get('location', '')}" for i in bad)
        warned = sum(i["severity"] == "warning" for i in issues)
        # A crash prints no issue, but a status; errors set it too.
        failed = len(bad) or int(done.returncode != 0)
        yield Verdict(relative(folder, release), failed, warned, text or done.stderr)


def pynwb(release: Path, work: Path) -> Iterator[Verdict]:
    """pynwb validate: does each file follow the schema that it carries?"""
    program = environment("nwb") / "pynwb-validate"
    for path in sorted(release.rglob("*.nwb")):
        done = call(program, path)
        failed = done.returncode != 0 or "no errors found" not in done.stdout
        yield Verdict(relative(path, release), int(failed), 0, done.stdout + done.stderr)


def nwbinspector(release: Path, work: Path) -> Iterator[Verdict]:
    """nwbinspector with the rules of the DANDI archive: nothing CRITICAL, no ERROR."""
    program, report = environment("nwb") / "nwbinspector", work / "nwbinspector.json"
    for path in sorted(release.rglob("*.nwb")):
        report.unlink(missing_ok=True)
        done = call(
            *(program, path, "--config", "dandi", "--json-file-path", report, "--overwrite"),
            *("--progress-bar", "False", "--skip-validate"),  # pynwb is a gate of its own
        )
        if not report.exists():
            yield Verdict(relative(path, release), 1, 0, done.stdout + done.stderr)
            continue
        messages = json.loads(report.read_text(encoding="utf-8"))["messages"]
        bad = [m for m in messages if m["importance"] in NWB_ERRORS]
        text = "\n".join(
            f"{m['importance']} {m['check_function_name']} {m['location']}: {m['message']}" for m in bad
        )
        warned = sum(m["importance"] == "BEST_PRACTICE_VIOLATION" for m in messages)
        yield Verdict(relative(path, release), len(bad), warned, text)


def dandi(release: Path, work: Path) -> Iterator[Verdict]:
    """The validator of the DANDI archive on the release as a Dandiset: what an upload of it would be told.

    A Dandiset has a dandiset.yaml at its root, which BIDS has to ignore; a release is given both in a copy. Nothing
    that is found is left out. It needs no network: all schemas are in the program.
    """
    folder, programs = work / "dandiset", environment("dandi")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(release, folder)
    (folder / "dandiset.yaml").write_text("identifier: DANDI:000000\nname: a release\n", encoding="utf-8")
    with (folder / ".bidsignore").open("a", encoding="utf-8") as ignored:
        ignored.write("dandiset.yaml\n")
    found = {"PATH": os.pathsep.join([str(programs), os.environ.get("PATH", "")])}  # of bids-validator-deno
    quiet = {"DANDI_NO_ET": "1", "HOME": str(work)}  # it asks nobody for news, and keeps its log with our work
    done = call(programs / "dandi", "validate", "--format", "json_lines", folder, **found, **quiet)
    try:
        results = [json.loads(line) for line in done.stdout.splitlines()]
        bad = [r for r in results if r["severity"] in ("ERROR", "CRITICAL")]
        text = "\n".join(f"{r['id']} {relative(Path(r['path']), folder)}: {r['message']}" for r in bad)
        warned = sum(r["severity"] == "WARNING" for r in results)
        yield Verdict(".", len(bad) or int(done.returncode != 0), warned, text or done.stderr)
    except (ValueError, KeyError, TypeError):
        yield Verdict(".", 1, 0, done.stdout + done.stderr)
    shutil.rmtree(folder)


def ome_zarr(release: Path, work: Path) -> Iterator[Verdict]:
    """ome-zarr-models on every image and label image."""
    program = environment("ome-zarr") / "ome-zarr-models"
    for path in sorted(p for p in release.rglob("*.ome.zarr") if p.is_dir()):
        done = call(program, "validate", path)
        yield Verdict(relative(path, release), int(done.returncode != 0), 0, done.stdout + done.stderr)


def mlcroissant(release: Path, work: Path) -> Iterator[Verdict]:
    """mlcroissant on croissant.json, and every record set of it loaded through mlcroissant: none may be empty."""
    programs, file = environment("mlcroissant"), release / "croissant.json"
    if not file.exists():
        return
    here = {"CROISSANT_CACHE": str(work / "croissant")}
    done = call(programs / "mlcroissant", "validate", "--jsonld", file, **here)
    yield Verdict("croissant.json", int(done.returncode != 0), done.stderr.count("WARNING"), done.stderr)
    if done.returncode:
        return
    done = call(programs / "python", HERE / "mlcroissant_records.py", file, **here)
    try:
        sets = [json.loads(line) for line in done.stdout.splitlines()]
    except ValueError:
        sets = []
    for one in sets:
        shown = f"croissant.json: {one['set']}, {one.get('records', 'no')} record(s)"
        yield Verdict(shown, int(not one.get("values")), 0, one.get("error", "no value in any record"))
    if not sets:
        yield Verdict("croissant.json: record sets", 1, 0, done.stdout + done.stderr)


BROKEN = {True: "broken copy: refused, as it must be", False: "broken copy: LET PASS"}

GATES: dict[str, Gate] = {
    "bids-validator": bids,
    "pynwb-validate": pynwb,
    "nwbinspector": nwbinspector,
    "dandi": dandi,
    "ome-zarr-models": ome_zarr,
    "mlcroissant": mlcroissant,
}


def relative(path: Path, release: Path) -> str:
    """The target as the table shows it."""
    return path.relative_to(release).as_posix()


def judge(release: Path, gate: str, work: Path) -> list[Verdict]:
    """Verdicts of one gate. A gate that finds nothing to look at fails: an empty release is not a good one."""
    verdicts = list(GATES[gate](release, work))
    return verdicts or [Verdict("nothing to look at", 1, 0, f"{gate} found no file in {release}")]


def break_bids(release: Path) -> None:
    """A sidecar without the field that BIDS microscopy requires, and the same in a derivative."""
    sidecars = [p for p in release.rglob("micr/*.json") if "PixelSize" in p.read_text(encoding="utf-8")]
    for path in sidecars:
        fields = json.loads(path.read_text(encoding="utf-8"))
        del fields["PixelSize"]
        path.write_text(json.dumps(fields), encoding="utf-8")


def break_pynwb(release: Path) -> None:
    """A file without the session start that NWB requires."""
    import h5py

    for path in release.rglob("*.nwb"):
        with h5py.File(path, "r+") as file:
            del file["session_start_time"]


def break_nwbinspector(release: Path) -> None:
    """A subject without the species that DANDI requires."""
    import h5py

    for path in release.rglob("*.nwb"):
        with h5py.File(path, "r+") as file:
            del file["general/subject/species"]


def break_dandi(release: Path) -> None:
    """A file without an animal."""
    import h5py

    for path in release.rglob("*.nwb"):
        with h5py.File(path, "r+") as file:
            del file["general/subject"]


def break_ome_zarr(release: Path) -> None:
    """A multiscale image without its list of levels."""
    for path in release.rglob("*.ome.zarr/zarr.json"):
        group = json.loads(path.read_text(encoding="utf-8"))
        del group["attributes"]["ome"]["multiscales"][0]["datasets"]
        path.write_text(json.dumps(group), encoding="utf-8")


def break_mlcroissant(release: Path) -> None:
    """A field of a column that its table does not have: only who loads the records sees it."""
    path = release / "croissant.json"
    description = json.loads(path.read_text(encoding="utf-8"))
    description["recordSet"][0]["field"][0]["source"]["extract"]["column"] = "no such column"
    path.write_text(json.dumps(description), encoding="utf-8")


BREAKERS: dict[str, Callable[[Path], None]] = {
    "bids-validator": break_bids,
    "pynwb-validate": break_pynwb,
    "nwbinspector": break_nwbinspector,
    "dandi": break_dandi,
    "ome-zarr-models": break_ome_zarr,
    "mlcroissant": break_mlcroissant,
}


def provoked(gate: str, release: Path, work: Path) -> Iterator[Verdict]:
    """A copy of a release that a gate must refuse."""
    copy = work / "broken"
    shutil.copytree(release, copy)
    BREAKERS[gate](copy)
    refused = any(v.errors for v in judge(copy, gate, work))
    yield Verdict(BROKEN[refused], int(not refused), 0, f"{gate} let a release pass that was broken on purpose")
    shutil.rmtree(copy)


def built(work: Path) -> dict[str, Path]:
    """The demo's release and the one from real files, by name."""
    program = Path(sys.executable).parent / "neuropack"
    releases = {"demo": work / "demo" / "release"}
    commands = [[str(program), "demo", str(work / "demo")]]
    wanted = (HERE / "real" / "files.txt").read_text(encoding="utf-8").split()
    absent = [name for name in wanted if not (DATA / name).exists()]
    if absent:
        print(f"\n!!! SKIPPED: the release of real files; not in {DATA}: {', '.join(absent)}")
        print("!!! set NEUROPACK_TEST_DATA to the folder of the microscope files\n", flush=True)
    else:
        study, releases["real"] = work / "real", work / "real-release"
        shutil.copytree(HERE / "real", study)
        for name in wanted:
            shutil.copy(DATA / name, study)
        commands.append([str(program), "build", str(study), str(releases["real"])])
    with ThreadPoolExecutor(JOBS) as pool:
        list(pool.map(lambda command: subprocess.run(command, check=True), commands))
    return releases


def allensdk(work: Path) -> Iterator[Verdict]:
    """AllenSDK's tree and look-ups against ours; then against an annotation with one voxel changed."""
    import nrrd

    files = {
        "ccf/annotation_100.nrrd": "annotation/ccf_2017/annotation_100.nrrd",
        "ccf/structures_aind.json": "structures.json",
    }
    absent = [name for name in files if not (DATA / name).exists()]
    if absent:
        print(
            f"\n!!! SKIPPED: AllenSDK as a witness of the atlas; not in {DATA}: {', '.join(absent)}\n", flush=True
        )
        return
    cache, changed, said = work / "atlas", work / "atlas-changed", work / "allensdk"
    for name, place in files.items():
        (cache / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(DATA / name, cache / place)
    asked = call(environment("allensdk") / "python", HERE / "allensdk_witness.py", cache, said)
    if asked.returncode:
        yield Verdict("atlas", 1, 0, asked.stdout + asked.stderr)
        return
    done = call(sys.executable, HERE / "allensdk_compare.py", cache, said)
    yield Verdict(
        done.stdout.strip().splitlines()[-1] if done.stdout else "atlas",
        done.returncode,
        0,
        done.stdout + done.stderr,
    )

    shutil.copytree(cache, changed)
    path = changed / files["ccf/annotation_100.nrrd"]
    labels, header = nrrd.read(str(path))
    labels[66, 40, 57] += 1
    nrrd.write(str(path), labels, header)
    refused = call(sys.executable, HERE / "allensdk_compare.py", changed, said).returncode == 1
    yield Verdict(
        BROKEN[refused], int(not refused), 0, "allensdk let an annotation pass that was changed on purpose"
    )


NEURONS = (
    *("swc/Neuron.swc", "swc/simple.swc"),
    *("neuron/mapmanager-rr30a-s0-full.swc", "neuron/mapmanager-rr30a-s0-crop320.swc"),
)


def neurom(work: Path) -> Iterator[Verdict]:
    """NeuroM's features of neurons against ours; then against trees of which one has lost a micrometre."""
    absent = [name for name in NEURONS if not (DATA / name).exists()]
    if absent:
        print(f"\n!!! SKIPPED: NeuroM on real neurons; not in {DATA}: {', '.join(absent)}\n", flush=True)
    trees, said = work / "trees", work / "neurom.json"
    files = [DATA / name for name in NEURONS if name not in absent]
    for command in (
        (sys.executable, HERE / "neurom_trees.py", trees, *files),
        (environment("neurom") / "python", HERE / "neurom_witness.py", trees, said),
    ):
        done = call(*command)
        if done.returncode:
            yield Verdict("features", 1, 0, done.stdout + done.stderr)
            return
    done = call(sys.executable, HERE / "neurom_compare.py", trees, said)
    print(done.stdout, flush=True)
    last = done.stdout.strip().splitlines()[-1] if done.stdout else "features"
    yield Verdict(last, done.returncode, 0, done.stdout + done.stderr)

    path = trees / "simulated-0.swc"
    *rows, end = path.read_text(encoding="utf-8").splitlines()
    number, kind, x, *rest = end.split()
    end = " ".join([number, kind, str(float(x) + 1), *rest])
    path.write_text("\n".join([*rows, end]) + "\n", encoding="utf-8")
    refused = call(sys.executable, HERE / "neurom_compare.py", trees, said).returncode == 1
    yield Verdict(BROKEN[refused], int(not refused), 0, "neurom let a tree pass that was changed on purpose")


def publish(demo: Path, work: Path) -> Iterator[Verdict]:
    """The demo as ``neuropack publish`` stages it for DANDI, judged by dandi; then broken."""
    words = (sys.executable, HERE / "publish_demo.py", demo, work / "publish", environment("dandi"))
    done = call(*words)
    yield Verdict("staged for DANDI", done.returncode, 0, done.stdout + done.stderr)
    if done.returncode:
        return
    done = call(*words, "--broken")
    yield Verdict(BROKEN[done.returncode == 0], done.returncode, 0, done.stdout + done.stderr)


Job = tuple[str, str, Callable[[Path], Iterable[Verdict]]]


def run(jobs: list[Job], work: Path) -> list[tuple[str, str, Verdict]]:
    """The verdicts in the order of the jobs, some of which run at once, each in a folder of its own."""

    def one(number: int, job: Job) -> list[tuple[str, str, Verdict]]:
        name, gate, ask = job
        folder, start = work / f"job-{number}", time.monotonic()
        folder.mkdir()
        verdicts = list(ask(folder))
        print(f"{name}: {gate}, {time.monotonic() - start:.0f} s", flush=True)
        return [(name, gate, verdict) for verdict in verdicts]

    with ThreadPoolExecutor(JOBS) as pool:
        return [row for rows in pool.map(one, range(len(jobs)), jobs) for row in rows]


def main() -> int:
    """Run the gates; 0 when all of them are content."""
    parser = argparse.ArgumentParser(description="outside validators on releases")
    parser.add_argument("--release", type=Path, action="append", default=[], help="judge this one, build none")
    parser.add_argument("--work", type=Path, default=ROOT / ".gates" / "work", help="folder for what is built")
    parser.add_argument("--prepare", action="store_true", help="make the environments, and nothing else")
    options = parser.parse_args()
    for wanted in sorted(HERE.glob("requirements-*.txt")):
        environment(wanted.stem.removeprefix("requirements-"))
    if options.prepare:
        return 0
    work: Path = options.work.resolve()
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    given: list[Path] = options.release
    releases = {path.name: path.resolve() for path in given} or built(work)

    jobs: list[Job] = []
    for name, release in releases.items():
        jobs += [(name, gate, partial(judge, release, gate)) for gate in GATES]
    if not given:
        jobs += [("atlas", "allensdk", allensdk), ("neurons", "neurom", neurom)]
        jobs += [("demo", "publish", partial(publish, work / "demo"))]
    first = next(iter(releases))
    jobs += [(first, gate, partial(provoked, gate, releases[first])) for gate in BREAKERS]
    rows = run(jobs, work)

    wide = max(map(len, ("release", *releases)))
    print(f"\n{'release':{wide}} {'gate':16} {'errors':>6} {'warnings':>8}  target")
    for name, gate, verdict in rows:
        # what is counted of a broken copy is not its errors, so its row has no numbers
        numbers = ("-", "-") if verdict.target in BROKEN.values() else (verdict.errors, verdict.warnings)
        print(f"{name:{wide}} {gate:16} {numbers[0]:>6} {numbers[1]:>8}  {verdict.target}")
    bad = [row for row in rows if row[2].errors]
    for name, gate, verdict in bad:
        print(f"\n{name}: {gate}: {verdict.target}\n{verdict.text.rstrip()}")
    print(f"\n{len(rows) - len(bad)} passed, {len(bad)} failed")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
