"""What pynwb and nwbinspector say of NWB files, in their own environment: reads paths, writes JSON lines.

python peers_nwb.py < PATHS > FINDINGS
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator

from nwbinspector import Importance, inspect_nwbfile, load_config
from pynwb import validate

DANDI = load_config("dandi")


def inspected(path: str) -> Iterator[str]:
    for found in inspect_nwbfile(nwbfile_path=path, config=DANDI, importance_threshold=Importance.CRITICAL):
        yield f"{found.importance.name} {found.check_function_name} {found.location}"


def validated(path: str) -> Iterator[str]:
    answer = validate(path=path)
    for found in answer[0] if isinstance(answer, tuple) else answer:
        yield str(found)


def all_of(tell: Callable[[str], Iterator[str]], path: str) -> list[str]:
    """Its findings; that it ends with an exception is one."""
    try:
        return sorted(set(tell(path)))
    except Exception as error:
        return [f"{type(error).__name__}: {str(error)[:200]}"]


def main() -> None:
    """One answer a line, in the order of the paths."""
    with contextlib.redirect_stdout(sys.stderr):
        for line in sys.stdin:
            path = line.rstrip("\n")
            answer = {"path": path, "nwbinspector": all_of(inspected, path), "pynwb": all_of(validated, path)}
            os.write(1, (json.dumps(answer) + "\n").encode())


main()
