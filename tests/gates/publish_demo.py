"""The demo's release under CC-BY-4.0, staged by ``neuropack publish`` and judged by the real dandi; then broken.

Prints what went wrong and ends with 1. With --broken it ends with 1 where a Dandiset that was broken on
purpose passes.

    python tests/gates/publish_demo.py DEMO WORK DANDI_PROGRAMS [--broken]
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import h5py

from neuropack.publish.dandi_program import validate

LICENSES = {
    "ODC-By-1.0": "https://opendatacommons.org/licenses/by/1-0/",
    "CC-BY-4.0": "https://creativecommons.org/licenses/by/4.0/",
}
# What the archive's server fills in, so that the model of a whole Dandiset can judge what we state.
SCHEMA = """
import sys
from ruamel.yaml import YAML
from dandischema.models import Dandiset
said = YAML(typ="safe").load(open(sys.argv[1], encoding="utf-8"))
summary = {"schemaKey": "AssetsSummary", "numberOfBytes": 1, "numberOfFiles": 1}
server = {"id": said["identifier"] + "/draft", "version": "draft", "citation": "-", "assetsSummary": summary}
Dandiset(**said, **server, manifestLocation=["https://example.org/manifest"])
"""


def neuropack(*words: str | Path) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "neuropack", *map(str, words)]
    return subprocess.run(line, capture_output=True, text=True, encoding="utf-8", check=False)


def schema(programs: Path, staged: Path) -> str:
    """What dandischema has against the metadata; empty where it has nothing."""
    python = programs / ("python.exe" if os.name == "nt" else "python")
    line = [str(python), "-c", SCHEMA, str(staged / "dandiset.yaml")]
    done = subprocess.run(line, capture_output=True, text=True, encoding="utf-8", check=False)
    return done.stderr[-2000:] if done.returncode else ""


def good(demo: Path, work: Path, programs: Path) -> Iterator[str]:
    """Stage it; what is wrong with it."""
    twin, staged = work / "twin", work / "staged"
    shutil.copytree(demo, twin, ignore=shutil.ignore_patterns("release", "report.html"))
    text = (twin / "study.yaml").read_text(encoding="utf-8")
    for ours, theirs in zip(*LICENSES.items(), strict=True):
        if ours not in text:
            yield f"the study of the demo does not name {ours}"
        text = text.replace(ours, theirs)
    (twin / "study.yaml").write_text(text, encoding="utf-8")
    built = neuropack("build", twin, twin / "release")
    if built.returncode:
        yield built.stderr
        return
    where = ("--to", "dandi", "--staging", staged, "--dandi", programs / "dandi", "--json")
    refused = neuropack("publish", demo / "release", *where)
    if refused.returncode != 1 or "dandi.licence" not in refused.stdout or staged.exists():
        yield f"a release under ODC-By-1.0 was not refused: {refused.stdout}{refused.stderr}"
    done = neuropack("publish", twin / "release", *where)
    if done.returncode:
        yield done.stdout + done.stderr
        return
    said = json.loads(done.stdout)
    kinds = [asset["kind"] for asset in said["assets"]]
    if not (kinds.count("NWB") == 2 and kinds.count("OME-Zarr") >= 2 and said["linked"] and said["dandi_validate"]):
        yield f"not all was staged: {kinds}"
    yield schema(programs, staged)


def broken(work: Path, programs: Path) -> Iterator[str]:
    """Break what was staged; what passed although it is broken."""
    staged = work / "staged"
    for path in staged.rglob("*.nwb"):
        data = path.read_bytes()
        path.unlink()  # it shares its bytes with the release
        path.write_bytes(data)
        with h5py.File(path, "r+") as file:
            del file["general/subject"]
    if validate(programs / "dandi", staged).clean:
        yield "NWB files without an animal passed"
    path = staged / "dandiset.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("CC-BY-4.0", "ODC-By-1.0"), encoding="utf-8")
    if not schema(programs, staged):
        yield "a Dandiset under ODC-By-1.0 passed"


def main() -> int:
    demo, work, programs = (Path(word) for word in sys.argv[1:4])
    work.mkdir(parents=True, exist_ok=True)
    os.environ |= {"HOME": str(work), "DANDI_NO_ET": "1"}  # dandi keeps its log with our work
    said = broken(work, programs) if "--broken" in sys.argv else good(demo, work, programs)
    wrong = [text for text in said if text]
    print("\n".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
