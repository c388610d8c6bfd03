"""The committed files are what the LinkML modules make, on every machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FILES = {
    "schema/generated/neuropack.schema.json",
    "schema/generated/fields.json",
    "src/neuropack/model.py",
    "docs/reference/schema.md",
}


def generate(root: Path, *arguments: str, seed: str = "0") -> subprocess.CompletedProcess[str]:
    env = os.environ | {"PYTHONHASHSEED": seed}
    command = [sys.executable, str(root / "schema" / "generate.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=env, cwd=root)


def test_the_committed_files_are_fresh() -> None:
    # Without linkml (the extra dev) this fails and says so: a skip would hide a stale schema.
    done = generate(ROOT, "--check", seed="1")
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def test_an_edit_is_noticed_and_generated_alike_everywhere(tmp_path: Path) -> None:
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "schema", tmp_path / "schema", ignore=ignore)
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, tmp_path / name)
    module = tmp_path / "schema" / "subject.yaml"
    text = module.read_text(encoding="utf-8")
    module.write_text(text.replace("Body weight when", "Weight of the body when"), encoding="utf-8", newline="\n")

    before = {name: (tmp_path / name).read_bytes() for name in FILES}
    stale = generate(tmp_path, "--check")
    assert stale.returncode == 1
    assert set(stale.stdout.split("\n")) - {""} == {f"stale: {name}" for name in FILES}
    assert before == {name: (tmp_path / name).read_bytes() for name in FILES}

    written = generate(tmp_path, seed="2")
    assert written.returncode == 0, written.stderr
    assert generate(tmp_path, "--check", seed="3").returncode == 0
    for name in FILES:
        made = (tmp_path / name).read_text(encoding="utf-8")
        assert made.replace("Weight of the body when", "Body weight when") == (ROOT / name).read_text(
            encoding="utf-8"
        )
        assert str(tmp_path) not in made and "linkml-runtime" not in made
