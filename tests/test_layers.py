"""The layers of src/neuropack: a line may import only from the lines above it. Read from the syntax tree."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# The ground first. Within a line a name may import those to its left; between names that a "|" separates
# there is no import at all. The list is that of docs/explanation/design.md.
LAYERS = """
errors resources model schema locks whole progress compiled bounded hdf5_bounds words address cloud_failures cloud
issue axes volume block_cache skeleton swc capsules labels table marks npy_header manifest far
space thinning
readers | annotations | writers
engine
simulate | process | evaluate | morphology
trace
study release amend source convert describe catalogue build
learn benchmark
rules report page
publish mend
web
client
cli
"""

# What the command line may not load before it knows the command: seconds, each of them.
HEAVY = (
    *("pynwb", "hdmf", "h5py", "zarr", "tifffile", "imagecodecs", "nd2", "pylibCZIrw", "oiffile"),
    *("jsonschema", "jinja2", "ruamel", "isal", "scipy", "nibabel", "nrrd", "matplotlib", "itk"),
    *("pyarrow", "pandas", "skimage", "roifile", "openpyxl", "defusedxml", "numba"),
    *("torch", "safetensors", "tensorboardX"),
    *("fastapi", "starlette", "uvicorn", "duckdb", "prometheus_client", "httpx", "neuroglancer"),
)  # pydantic is not among them: typer itself loads it for the help of a command with a default


def allowed_imports(layers: str) -> dict[str, set[str]]:
    """For each module or package below neuropack, what it may import (its own package is always allowed)."""
    allowed: dict[str, set[str]] = {}
    above: set[str] = set()
    for line in layers.strip().splitlines():
        siblings = [group.split() for group in line.split("|")]
        for group in siblings:
            for i, name in enumerate(group):
                allowed[name] = above | set(group[: i + 1])
        above |= {name for group in siblings for name in group}
    allowed["__init__"] = above - {"cli"}  # the public face: open_volume, open_release
    allowed["__main__"] = above
    return allowed


def imported(tree: ast.Module, package: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    """Line and dotted name of everything a module imports, wherever the statement stands in it.

    ``package`` is the module's own package, to which a relative import refers.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            # ``import neuropack`` alone is for its __version__; what is taken from it shows below.
            yield from ((node.lineno, alias.name) for alias in node.names if alias.name != "neuropack")
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            stem = ".".join([*base, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{stem}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "neuropack":
            yield node.lineno, f"neuropack.{node.attr}"
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in ("import_module", "__import__") and isinstance(node.args[0].value, str):
                yield node.lineno, node.args[0].value


def violations(src: Path, layers: str = LAYERS) -> list[str]:
    """Every import below ``src/neuropack`` that the layers do not allow, and every module that has no layer."""
    allowed = allowed_imports(layers)
    found = []
    for path in sorted((src / "neuropack").rglob("*.py")):
        parts = path.relative_to(src).with_suffix("").parts
        own = parts[1]
        if own not in allowed:
            found.append(f"{path.relative_to(src).as_posix()}: {own} has no place in the layers")
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
        for line, name in imported(tree, parts[:-1]):
            target = name.split(".")
            where = f"{path.relative_to(src).as_posix()}:{line}"
            if target[0] == "validators":
                found.append(f"{where}: rules are loaded by path, nothing imports validators")
            if target[0] != "neuropack" or target[1] == "__version__":
                continue
            if target[1] not in allowed:
                found.append(f"{where}: {name} is not a module of a layer (import it from where it is defined)")
            elif target[1] not in allowed[own]:
                found.append(f"{where}: {own} may not import {target[1]}")
    return found


def rule_violations(folder: Path) -> list[str]:
    """Imports of rule files that reach above the line of `rules`, or into another rule file."""
    allowed = allowed_imports(LAYERS)["rules"]
    found = []
    for path in sorted(folder.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
        for line, name in imported(tree, ()):
            target = name.split(".")
            if target[0] == "validators" or (target[0] == "neuropack" and target[1] not in allowed):
                found.append(f"{path.name}:{line}: a rule may not import {name}")
    return found


def test_the_manual_shows_these_layers() -> None:
    page = ROOT / "docs" / "explanation" / "design.md"
    assert f"```text{LAYERS}```" in page.read_text(encoding="utf-8")


def test_no_module_imports_from_a_line_below_its_own() -> None:
    assert violations(ROOT / "src") == []


def test_rules_import_only_what_rules_may() -> None:
    assert rule_violations(ROOT / "validators") == []


@pytest.mark.parametrize(
    ("module", "code", "complaint"),
    [
        ("engine", "from neuropack.cli import app", "engine may not import cli"),
        ("readers/czi", "from neuropack.writers.sink import Sink", "readers may not import writers"),
        ("readers/czi", "def f():\n    import neuropack.engine", "readers may not import engine"),
        ("readers/czi", "if TYPE_CHECKING:\n    from neuropack import engine", "readers may not import engine"),
        ("readers/czi", "from ..writers import sink", "readers may not import writers"),
        ("axes", "from .volume import Volume", "axes may not import volume"),
        ("axes", "import_module('neuropack.volume')", "axes may not import volume"),
        ("cli/check", "from validators import files", "nothing imports validators"),
        ("cli/check", "from neuropack import open_volume", "is not a module of a layer"),
        ("cli/check", "import neuropack\nneuropack.open_volume()", "is not a module of a layer"),
        ("oddments", "", "oddments has no place in the layers"),
    ],
)
def test_a_wrong_import_is_found(tmp_path: Path, module: str, code: str, complaint: str) -> None:
    path = tmp_path / "neuropack" / f"{module}.py"
    path.parent.mkdir(parents=True)
    path.write_text(code, encoding="utf-8")
    found = violations(tmp_path)
    assert len(found) == 1
    assert complaint in found[0]


@pytest.mark.parametrize(
    ("module", "code"),
    [
        ("readers/czi", "from neuropack.volume import Volume\nfrom .table import rows"),
        ("volume", "from neuropack.axes import Box"),
        ("cli/check", "from neuropack import __version__\nimport numpy"),
        ("cli/check", "import neuropack\nversion = neuropack.__version__"),
    ],
)
def test_a_right_import_passes(tmp_path: Path, module: str, code: str) -> None:
    path = tmp_path / "neuropack" / f"{module}.py"
    path.parent.mkdir(parents=True)
    path.write_text(code, encoding="utf-8")
    assert violations(tmp_path) == []


def test_a_rule_that_reaches_too_high_is_found(tmp_path: Path) -> None:
    (tmp_path / "files.py").write_text("from neuropack.cli import app\n", encoding="utf-8")
    assert rule_violations(tmp_path) == ["files.py:1: a rule may not import neuropack.cli.app"]


@pytest.mark.parametrize(
    "arguments", [["--help"], ["convert", "--help"], ["atlas", "lookup", "--help"], ["--version"]]
)
def test_help_loads_no_heavy_library(arguments: list[str]) -> None:
    # The promise is a time (half a second); its cause can be tested without a clock.
    code = (
        "import sys\n"
        "from neuropack.cli import main\n"
        "assert main() == 0\n"
        f"print('LOADED', sorted(set({HEAVY!r}) & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "LOADED []"
