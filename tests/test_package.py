"""The installed package: its command, its shipped folders, its version. CI runs these on the wheel too."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import neuropack
from neuropack import resources

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = ("init", "build", "convert", "inspect", "validate", "explain", "demo", "register", "map", "atlas")

pytestmark = pytest.mark.smoke


def test_help_names_every_command(command: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = command("--help")
    assert done.returncode == 0, done.stderr
    assert [c for c in COMMANDS if c not in done.stdout] == []


def test_version_is_that_of_the_package(command: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = command("--version")
    assert done.returncode == 0, done.stderr
    assert neuropack.__version__ in done.stdout


@pytest.mark.parametrize("name", ["schema", "validators", "templates"])
def test_shipped_folders_are_there_and_not_empty(name: str) -> None:
    assert [p for p in resources.folder(name).rglob("*") if p.is_file() and p.name != ".gitkeep"]


def test_package_is_typed() -> None:
    assert (Path(neuropack.__file__).parent / "py.typed").is_file()


def test_changelog_has_this_version() -> None:
    changelog = ROOT / "CHANGELOG.md"
    if not changelog.exists():
        pytest.skip("the tests run outside a checkout")
    assert re.search(rf"^## \[{re.escape(neuropack.__version__)}\]", changelog.read_text(encoding="utf-8"), re.M)
