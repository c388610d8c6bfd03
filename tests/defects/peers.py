"""The defect corpus before other validators: which of them tells what, in a table for the manual.

Writes every mutation, sealed where it can be, and asks neuropack, bids-validator, pynwb, nwbinspector, dandi and
ome-zarr-models, each in an environment of its own. A validator tells a defect when it reports an error that it does
not report of the good release. Files that are the same byte for byte are asked for once.

    make defects [DEFECTS_ARGS="--work DIR --only NAME ... --without dandi"]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from corpus import BASES, MUTATIONS, Mutation
from run import call, environment

from neuropack.manifest import digest_of, sha256_of
from neuropack.rules import check

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PAGE = ROOT / "docs" / "benchmarks" / "defects.md"
Findings = dict[str, set[str]]
"""What a validator says, by the name of the mutation; that of a good release by the name of its kind."""


def write_all(work: Path, mutations: list[Mutation]) -> dict[str, Path]:
    """The good releases and the broken ones, each in a folder of its own."""
    made: dict[str, Path] = {}
    for base in sorted({m.base for m in mutations}):
        made[base] = work / "good" / base / "release"
        made[base].mkdir(parents=True)
        BASES[base].write(made[base])
    for m in mutations:
        made[m.name] = Path(shutil.copytree(made[m.base], work / m.name / "release"))
        m.make(made[m.name], m.sealed)
    return made


def ours(made: dict[str, Path]) -> Findings:
    """neuropack, by the rules that fire."""
    return {name: {i.rule for i in check(root).issues} for name, root in made.items()}


def once(made: dict[str, Path], pattern: str, ask: Callable[[list[Path]], list[set[str]]]) -> Findings:
    """Findings of what a pattern names in each release, asked once for what is the same byte for byte."""
    wanted = {name: sorted(p for p in root.rglob(pattern) if not p.is_symlink()) for name, root in made.items()}
    keys = {p: digest_of(p) if p.is_dir() else sha256_of(p).sha256 for paths in wanted.values() for p in paths}
    first: dict[str, Path] = {}
    for path, key in keys.items():
        first.setdefault(key, path)
    answers = dict(zip(first, ask(list(first.values())), strict=True))
    found: Findings = {}
    for name, paths in wanted.items():
        found[name] = {f"{p.name}: {told}" for p in paths for told in answers[keys[p]]}
        found[name] |= {f"{len(paths)} of {pattern}"} if not paths else set()
    return found


def nwb(made: dict[str, Path]) -> dict[str, Findings]:
    """pynwb and nwbinspector, in one process for all files."""
    answers: dict[str, dict[str, list[str]]] = {}

    def ask(paths: list[Path]) -> list[set[str]]:
        done = subprocess.run(
            [environment("nwb") / "python", HERE / "peers_nwb.py"],
            input="".join(f"{p}\n" for p in paths),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            check=True,
        )
        for line in done.stdout.splitlines():
            answer = json.loads(line)
            answers[answer["path"]] = answer
        return [{f"{k}\0{told}" for k in ("nwbinspector", "pynwb") for told in answers[str(p)][k]} for p in paths]

    both = once(made, "*.nwb", ask)
    return {
        peer: {name: {t for t in told if f": {peer}\0" in t} for name, told in both.items()}
        for peer in ("nwbinspector", "pynwb")
    }


def ome_zarr(made: dict[str, Path]) -> Findings:
    """ome-zarr-models on every image."""
    program = environment("ome-zarr") / "ome-zarr-models"

    def one(path: Path) -> set[str]:
        return {"refused"} if call(program, "validate", path).returncode else set()

    return once(made, "*.ome.zarr", lambda paths: list(_each(one, paths)))


def bids(made: dict[str, Path]) -> Findings:
    """bids-validator at the root and in each derivative."""
    program = environment("bids") / "bids-validator-deno"

    def one(root: Path) -> set[str]:
        told = set()
        for folder in [root, *sorted(p for p in root.glob("derivatives/*") if p.is_dir())]:
            done = call(program, "--format", "json", folder)
            try:
                issues = json.loads(done.stdout)["issues"]["issues"]
            except (ValueError, KeyError):
                told.add(f"it ended with {done.returncode}")
                continue
            bad = (i for i in issues if i["severity"] == "error")
            told |= {f"{folder.name}: {i.get('code')} {i.get('subCode', '')} {i.get('location', '')}" for i in bad}
        return told

    return dict(zip(made, _each(one, made.values()), strict=True))


def dandi(made: dict[str, Path]) -> Findings:
    """The validator of the DANDI archive on the release as a Dandiset."""
    programs = environment("dandi")

    def one(root: Path) -> set[str]:
        with tempfile.TemporaryDirectory() as home:
            folder = Path(shutil.copytree(root, Path(home) / "dandiset", symlinks=True, ignore=_pipes))
            if not (folder / "dandiset.yaml").exists():
                (folder / "dandiset.yaml").write_text("identifier: DANDI:000000\nname: it\n", encoding="utf-8")
            with (folder / ".bidsignore").open("a", encoding="utf-8") as ignored:
                ignored.write("dandiset.yaml\n")
            found = {"PATH": os.pathsep.join([str(programs), os.environ.get("PATH", "")])}
            quiet = {"DANDI_NO_ET": "1", "HOME": home}
            done = call(programs / "dandi", "validate", "--format", "json_lines", folder, **found, **quiet)
            try:
                results = [json.loads(line) for line in done.stdout.splitlines()]
            except ValueError:
                return {f"it ended with {done.returncode}"}
            bad = [r for r in results if r["severity"] in ("ERROR", "CRITICAL")]
            return {f"{r['id']} {Path(str(r.get('path'))).name}" for r in bad}

    return dict(zip(made, _each(one, made.values()), strict=True))


def _pipes(folder: str, names: list[str]) -> list[str]:
    return [n for n in names if Path(folder, n).is_fifo()]


def _each(one: Callable[[Path], set[str]], paths: Iterable[Path]) -> list[set[str]]:
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(one, paths))


def page(mutations: list[Mutation], found: dict[str, Findings]) -> str:
    """The page of the manual."""
    peers = [p for p in found if p != "neuropack"]
    tells = {p: {m.name for m in mutations if found[p][m.name] - found[p][m.base]} for p in found}
    topics: dict[str, list[Mutation]] = defaultdict(list)
    for m in mutations:
        topics[m.rule.split(".")[0]].append(m)
    lines = [
        "# Planted defects, and who tells them\n",
        f"{len(mutations)} ways in which a release goes wrong, each planted in a good one and sealed into its",
        "manifest where a manifest can hold it. A validator tells a defect when it reports an error that it does",
        "not report of the good release; what it says need not name the cause. Most are beyond what a validator",
        "of one format could see or promises to: the table says what is left to look for after it.\n",
        f"Made by `make defects` on {datetime.now(UTC).date()}, of the corpus as it was then; versions are those",
        "of `tests/gates/requirements-*.txt`.\n",
        f"| topic of the rule | defects | neuropack | {' | '.join(peers)} | no other |",
        f"|---|{'---|' * (len(peers) + 3)}",
    ]
    rows = [*((t, topics[t]) for t in sorted(topics)), ("all", mutations)]
    for topic, some in rows:
        counts = [str(sum(m.name in tells[p] for m in some)) for p in ("neuropack", *peers)]
        alone = sum(not any(m.name in tells[p] for p in peers) for m in some)
        lines.append(f"| {topic} | {len(some)} | {' | '.join(counts)} | {alone} |")
    lines += [
        "\n## Each of them\n",
        f"| defect | rule of neuropack | {' | '.join(peers)} |",
        f"|---|---|{'---|' * len(peers)}",
    ]
    for m in sorted(mutations, key=lambda m: (m.rule, m.name)):
        marks = " | ".join("tells" if m.name in tells[p] else "" for p in peers)
        lines.append(f"| {m.name.replace('_', ' ')} | `{m.rule}` | {marks} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Write the page; 1 when neuropack missed one."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--work", type=Path)
    parser.add_argument("--only", nargs="*", help="names of mutations; prints the page")
    parser.add_argument("--without", nargs="*", default=[], help="validators that are not asked")
    args = parser.parse_args()
    chosen = [m for m in MUTATIONS if not args.only or m.name in args.only]
    with tempfile.TemporaryDirectory(dir=args.work) as work:
        made = write_all(Path(work), chosen)
        found: dict[str, Findings] = {"neuropack": ours(made)}
        for peer, ask in {"bids-validator": bids, "dandi": dandi, "ome-zarr-models": ome_zarr}.items():
            if peer not in args.without:
                print(f"asking {peer}", flush=True)
                found[peer] = ask(made)
        found |= nwb(made)
    text = page(chosen, found)
    missed = [m.name for m in chosen if m.rule not in found["neuropack"][m.name]]
    if args.only or args.without:
        print(text)
    else:
        PAGE.write_text(text, encoding="utf-8")
    if missed:
        print(f"missed by neuropack: {', '.join(missed)}")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
