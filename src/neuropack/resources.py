"""The folders that ship with the code: schema, validators, templates.

In a wheel they lie beside this file, in a checkout at the root of the repository. Nothing else may know.
"""

from __future__ import annotations

from pathlib import Path

from neuropack.errors import NeuropackError

_HERE = Path(__file__).resolve().parent


def folder(name: str) -> Path:
    """Path of a shipped folder: ``schema``, ``validators`` or ``templates``."""
    for root in (_HERE, _HERE.parents[1]):
        if (root / name).is_dir():
            return root / name
    raise NeuropackError(f"the installation lacks its folder {name}/", file=_HERE, fix="install neuropack again")
