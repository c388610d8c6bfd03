"""What small jobs load. The promise is a time (1.5 s for 5 MB); its cause can be tested without a clock."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

ALL = {
    "pynwb",
    "hdmf",
    "h5py",
    "zarr",
    "nd2",
    "pylibCZIrw",
    "oiffile",
    "jsonschema",
    "jinja2",
    "ruamel",
    "rich",
    "dask",
}
CODE = """
import sys
from neuropack.cli import main
assert main() == 0
print("LOADED", *sorted({name.partition(".")[0] for name in sys.modules}))
"""


@pytest.mark.parametrize(
    ("line", "needs"),
    [
        (["convert", "{stack}", "{folder}/a.ome.zarr"], {"zarr"}),
        (["convert", "{stack}", "{folder}/a.ome.zarr", "--progress", "json", "--json"], {"zarr"}),
        (["inspect", "{stack}"], set()),
        (["inspect", "{stack}", "--json"], set()),
    ],
    ids=" ".join,
)
def test_a_job_loads_only_what_it_needs(line: list[str], needs: set[str], tmp_path: Path) -> None:
    stack = tmp_path / "stack.ome.tif"
    size = {f"PhysicalSize{a}": 1.0 for a in "ZYX"}
    tifffile.imwrite(stack, np.ones((4, 50, 60), "u2"), ome=True, metadata={"axes": "ZYX", **size})
    words = [word.format(stack=stack, folder=tmp_path) for word in line]
    run = subprocess.run([sys.executable, "-c", CODE, *words], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    loaded = set(run.stdout.splitlines()[-1].split())
    assert "tifffile" in loaded
    assert ALL & loaded == needs
