"""What a repository copies for its CI: each file is valid by its schema, and its steps do what they say.

The shell of each step is run as the runner runs it, on a good and on a broken release. Nothing is installed: the
version ``none`` stands for the neuropack that is here, and other versions are seen to reach pip whole.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[2]
CI = ROOT / "templates" / "ci"
HOOKS = ROOT / ".pre-commit-hooks.yaml"
EVIL = "$(touch owned)`touch owned`; touch owned #"

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="the steps are written for bash")


def read(path: Path) -> Any:
    return YAML(typ="safe", pure=True).load(path)


def environment(folder: Path, **more: str) -> dict[str, str]:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return {**os.environ, "PATH": path, "PYTHONUTF8": "1", "HOME": str(folder), **more}


def run(command: list[str], folder: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=folder,
        env=environment(folder, **env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )


@pytest.fixture
def repository(release: Path) -> Path:
    """A repository with a release, and another one with a fault."""
    shutil.copytree(release, release.parent / "broken")
    (release.parent / "broken" / "README.md").write_text("changed", encoding="utf-8")
    return release.parent


def step(name: str) -> dict[str, Any]:
    (found,) = [s for s in read(CI / "action.yml")["runs"]["steps"] if s["name"] == name]
    assert found["shell"] == "bash"
    return dict(found)


def act(name: str, folder: Path, **inputs: str) -> tuple[subprocess.CompletedProcess[str], dict[str, str]]:
    """Run a step of the action with its inputs, as GitHub does; what it did, and its outputs."""
    given = {key: spec.get("default", "") for key, spec in read(CI / "action.yml")["inputs"].items()} | inputs
    one, env = step(name), {}
    for variable, value in one["env"].items():
        for key, text in given.items():
            value = value.replace(f"${{{{ inputs.{key} }}}}", text)  # noqa: PLW2901
        env[variable] = value.replace("${{ runner.temp }}", str(folder / "temp"))
    assert not [value for value in env.values() if "${{" in value]
    outputs, summary = folder / "outputs", folder / "summary"
    env |= {"GITHUB_OUTPUT": str(outputs), "GITHUB_STEP_SUMMARY": str(summary)}
    done = run(["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", one["run"]], folder, **env)
    lines = outputs.read_text(encoding="utf-8").splitlines() if outputs.exists() else []
    return done, dict(line.split("=", 1) for line in lines)


def test_no_input_stands_in_a_script() -> None:
    scripts = [s["run"] for s in read(CI / "action.yml")["runs"]["steps"]]
    assert len(scripts) == 2
    assert not [script for script in scripts if "${{" in script]


@pytest.mark.parametrize(("name", "status"), [("release", 0), ("broken", 1)])
def test_action(name: str, status: int, repository: Path) -> None:
    done, outputs = act("Validate", repository, release=name)
    assert done.returncode == status, done.stderr
    assert outputs.keys() == {"sarif", "html"}
    (log,) = json.loads(Path(outputs["sarif"]).read_text(encoding="utf-8"))["runs"]
    assert bool(log["results"]) is bool(status)
    assert Path(outputs["html"]).read_text(encoding="utf-8").startswith("<!doctype html>")
    assert ("::error file=broken/README.md" in done.stdout) is bool(status)
    assert "## neuropack validate" in (repository / "summary").read_text(encoding="utf-8")


def test_action_with_a_baseline_and_a_threshold(repository: Path) -> None:
    accepted = [f'{{rule: "{r}", file: "*", reason: r, by: b, until: 2999-01-01}}' for r in ("files.digest", "x.y")]
    (repository / "b.yaml").write_text("accepted: [" + ", ".join(accepted) + "]", encoding="utf-8")
    good = (repository / "release" / "README.md").read_text(encoding="utf-8")
    (repository / "broken" / "README.md").write_text(good.swapcase(), encoding="utf-8")  # of the same size
    done, _ = act("Validate", repository, release="broken", baseline="b.yaml")
    assert done.returncode == 0, done.stdout
    assert "::notice title=accepted files.digest::" in done.stdout
    done, _ = act("Validate", repository, release="broken", baseline="b.yaml", **{"fail-on": "info"})
    assert done.returncode == 1  # the entry that is left over is a remark


@pytest.mark.parametrize("name", ["release", "baseline", "fail-on", "level"])
def test_action_does_not_run_what_an_input_says(name: str, repository: Path) -> None:
    done, outputs = act("Validate", repository, **{"release": "release", name: EVIL})
    assert done.returncode in (2, 3)
    assert outputs == {}
    assert not (repository / "owned").exists()


@pytest.mark.parametrize(
    ("version", "asked"),
    [("", "-m pip install neuropack"), ("0.1.0", "-m pip install neuropack==0.1.0"), ("none", ""), (EVIL, EVIL)],
)
def test_action_installs_the_version_asked_for(version: str, asked: str, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "python").write_text('#!/bin/sh\necho "$@"\n', encoding="utf-8")  # in place of pip, which has no index
    (tools / "python").chmod(0o755)
    script = f'PATH="{tools}:$PATH"\n{step("Install neuropack")["run"]}'
    done = run(["bash", "-e", "-c", script], tmp_path, VERSION=version)
    assert done.returncode == 0
    assert asked in done.stdout
    assert ("pip" in done.stdout) is (version != "none")
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("shell", ["bash", "sh"])
@pytest.mark.parametrize(("name", "status"), [("release", 0), ("broken", 1)])
def test_gitlab(name: str, status: int, shell: str, repository: Path) -> None:
    job = read(CI / "gitlab.yml")["neuropack-validate"]
    script = "\n".join(["set -e", *job["before_script"], *job["script"]])
    variables = job["variables"] | {"NEUROPACK_RELEASE": name, "NEUROPACK_VERSION": "none"}
    done = run([shell, "-c", script], repository, **variables)
    assert done.returncode == status, done.stderr
    artefacts = [job["artifacts"]["reports"]["junit"], *job["artifacts"]["paths"]]
    assert [(repository / artefact).is_file() for artefact in artefacts] == [True, True]
    assert ("<failure" in (repository / artefacts[0]).read_text(encoding="utf-8")) is bool(status)


def test_gitlab_does_not_run_what_a_variable_says(repository: Path) -> None:
    job = read(CI / "gitlab.yml")["neuropack-validate"]
    for variable in job["variables"]:
        given = job["variables"] | {"NEUROPACK_VERSION": "none", variable: EVIL}
        if variable != "NEUROPACK_VERSION":
            assert run(["sh", "-c", "\n".join(job["script"])], repository, **given).returncode in (2, 3), variable
    assert not (repository / "owned").exists()


def git(folder: Path, *words: str) -> str:
    who = ["-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "init.defaultBranch=main"]
    done = run(["git", *who, *words], folder, GIT_CONFIG_NOSYSTEM="1")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_pre_commit_runs_the_hook(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """pre-commit itself, with the manifest and the example; its environment is this one, for there is no index."""
    hooks = tmp_path_factory.mktemp("hooks")
    manifest = HOOKS.read_text(encoding="utf-8")
    assert manifest.count("language: python") == 1
    (hooks / HOOKS.name).write_text(manifest.replace("language: python", "language: system"), encoding="utf-8")
    git(hooks, "init", "-q")
    git(hooks, "add", ".")
    git(hooks, "commit", "-qm", "hooks")
    example = (CI / "pre-commit-config.yaml").read_text(encoding="utf-8")
    asked = example.replace("https://example.org/neuropack.git", hooks.as_posix())
    asked = asked.replace("v0.1.0", git(hooks, "rev-parse", "HEAD"))
    assert asked.count(str(hooks)) == 1
    (repository / ".pre-commit-config.yaml").write_text(asked, encoding="utf-8")
    git(repository, "init", "-q")
    git(repository, "add", ".")
    command = [sys.executable, "-m", "pre_commit", "run", "--all-files"]
    home = str(tmp_path_factory.mktemp("home"))
    done = run(command, repository, PRE_COMMIT_HOME=home)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Passed" in done.stdout
    (repository / "release" / "README.md").write_text("changed", encoding="utf-8")
    git(repository, "add", ".")
    done = run(command, repository, PRE_COMMIT_HOME=home)
    assert done.returncode == 1
    assert "files.size" in done.stdout or "files.digest" in done.stdout


def test_the_hook_is_a_command_of_neuropack() -> None:
    (hook,) = read(HOOKS)
    (asked,) = read(CI / "pre-commit-config.yaml")["repos"][0]["hooks"]
    assert asked["id"] == hook["id"]
    assert shlex.split(hook["entry"]) == ["neuropack", "validate"]


@pytest.mark.parametrize(
    ("name", "schema"),
    [
        ("action.yml", "vendor.github-actions"),
        ("github-workflow.yml", "vendor.github-workflows"),
        ("gitlab.yml", "vendor.gitlab-ci"),
    ],
)
def test_valid_by_the_schema_of_its_service(name: str, schema: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema]
    done = run([*command, str(CI / name)], tmp_path)
    assert done.returncode == 0, done.stdout
    text = (CI / name).read_text(encoding="utf-8")
    (tmp_path / name).write_text(text.replace("steps:", "stepz:").replace("script:", "scrip:"), encoding="utf-8")
    assert run([*command, str(tmp_path / name)], tmp_path).returncode == 1


def test_an_audit_of_workflows_has_nothing_to_say(tmp_path: Path) -> None:
    """But that the example names actions by version, not by commit, and its own by path: who copies it may pin."""
    zizmor = shutil.which("zizmor", path=environment(tmp_path)["PATH"])
    assert zizmor
    files = [str(CI / "action.yml"), str(CI / "github-workflow.yml")]
    done = run([zizmor, "--offline", "--no-exit-codes", "--format=json-v1", *files], tmp_path)
    assert done.returncode == 0, done.stderr
    assert {finding["ident"] for finding in json.loads(done.stdout)} == {"unpinned-uses", "self-repository"}


def test_the_workflow_uses_the_inputs_and_outputs_of_the_action() -> None:
    action, workflow = read(CI / "action.yml"), read(CI / "github-workflow.yml")
    steps = workflow["jobs"]["validate"]["steps"]
    (gate,) = [s for s in steps if s.get("id") == "gate"]
    assert set(gate["with"]) <= action["inputs"].keys()
    used = {s["with"].get("sarif_file") or s["with"].get("path") for s in steps if "if" in s}
    assert used == {f"${{{{ steps.gate.outputs.{name} }}}}" for name in action["outputs"]}
