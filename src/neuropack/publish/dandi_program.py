"""The program ``dandi``: the archive's own validator and uploader, from an environment of its own.

It is never imported: what it needs (zarr, pydantic, numpy of other versions) does not fit beside neuropack.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from neuropack.errors import InputError, OutputError, UsageError
from neuropack.issue import Checked, Issue, Level, Report, Where
from neuropack.rules.run import LIMIT

KEY = "DANDI_API_KEY"
_LEVELS: dict[str | None, Level] = {"CRITICAL": "error", "ERROR": "error", "WARNING": "warning", "HINT": "info"}
_LEVELS |= {"INFO": "info", None: "warning"}
_INSTALL = "python3 -m venv dandi-env && dandi-env/bin/pip install dandi, then --dandi dandi-env/bin/dandi"
_LONGEST = 1 << 20  # bytes of one finding


def find(named: str | None) -> Path | None:
    """The program: what a person named, else what is on PATH; None where there is none.

    Raises:
        UsageError: what was named is no program.
    """
    found = shutil.which(named or "dandi")
    if found is None and named is not None:
        raise UsageError("--dandi names no program that can be run", file=named, fix=_INSTALL)
    return Path(found).absolute() if found else None


def absent(folder: Path) -> InputError:
    """The error where there is no program."""
    return InputError(
        "staged, but not validated: there is no program dandi",
        file=folder,
        fix=f"install it in an environment of its own: {_INSTALL}",
    )


def validate(program: Path, folder: Path) -> Report:
    """What ``dandi validate`` finds in a Dandiset.

    Args:
        program: of dandi.
        folder: the Dandiset.

    Raises:
        InputError: it cannot be run, or ends in a way that is no verdict.
    """
    command = [str(program), "validate", "--format", "json_lines", str(folder.absolute())]
    with tempfile.TemporaryFile() as said:
        try:
            running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, env=_environment(program))  # noqa: S603
        except OSError as error:
            raise InputError(f"cannot be run: {error.strerror}", file=program, fix=_INSTALL) from error
        with running:
            try:
                report = _report(_lines(running.stdout), folder.absolute())
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
                running.kill()
                raise _no_verdict(program, said, f"a line that is no finding: {error}") from error
        if (running.returncode != 0) == report.clean:
            raise _no_verdict(program, said, f"status {running.returncode}, and {report.counts['error']} errors")
    report.checked = _counted(folder)
    return report


def upload(program: Path, folder: Path, instance: str | None) -> None:
    """Run ``dandi upload``, which shows its progress itself and finds the key of the archive in the environment.

    Raises:
        UsageError: there is no key in the environment.
        OutputError: it failed.
    """
    if not os.environ.get(KEY):
        raise UsageError(
            "there is no key for the DANDI archive", expected=f"{KEY} in the environment", fix=f"set {KEY}"
        )
    command = [
        str(program),
        "upload",
        *(["--dandi-instance", instance] if instance else []),
        str(folder.absolute()),
    ]
    try:
        done = subprocess.run(command, cwd=folder, env=_environment(program), check=False)  # noqa: S603
    except OSError as error:
        raise OutputError(f"cannot be run: {error.strerror}", file=program, fix=_INSTALL) from error
    if done.returncode:
        raise OutputError(
            "dandi upload failed",
            file=folder,
            found=f"status {done.returncode}",
            fix="read what it printed above, then run the same command again: what is uploaded is not sent again",
        )


def _environment(program: Path) -> dict[str, str]:
    """With what was installed beside it in front, where its validator of BIDS is; without its question for news."""
    path = os.pathsep.join([str(program.parent), os.environ.get("PATH", "")])
    return {**os.environ, "PATH": path, "DANDI_NO_ET": "1"}


def _lines(said: IO[bytes] | None) -> Iterator[bytes]:
    """Lines of a sane length; one that is longer comes in parts, which are no JSON."""
    while said is not None and (line := said.readline(_LONGEST)):
        if line.strip():
            yield line


def _report(lines: Iterable[bytes], folder: Path) -> Report:
    report, counts = Report(), Counter[tuple[str, Level]]()
    for line in lines:
        issue = _issue(json.loads(line), folder)
        counts[issue.rule, issue.level] += 1
        if counts[issue.rule, issue.level] <= LIMIT:
            report.add([issue])
        elif counts[issue.rule, issue.level] == LIMIT + 1:
            more, fix = f"more than {LIMIT} findings", "mend the findings above and validate again"
            report.add([Issue(issue.rule, issue.level, Where("."), "none", more, fix)])
    return report


def _issue(found: dict[str, Any], folder: Path) -> Issue:
    path = Path(found["path"]) if found.get("path") else folder
    name = path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.as_posix()
    inside = (found.get("within_asset_paths") or {}).get(found.get("path"))
    return Issue(
        f"dandi.{found['id']}",
        _LEVELS.get(found["severity"], "warning"),
        Where(name, inside),
        "what the DANDI archive accepts",
        " ".join(str(found.get("message") or "no message").split()),
        "mend the study and build the release again, then publish again",
    )


def _counted(folder: Path) -> Checked:
    """What was there to be looked at; how much of it dandi looked at, it does not say."""
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return Checked(files=len(sizes), bytes=sum(sizes), rules=1)


def _no_verdict(program: Path, said: IO[bytes], found: str) -> InputError:
    said.seek(0, os.SEEK_END)
    said.seek(max(0, said.tell() - 2000))
    last = said.read().decode("utf-8", "replace").strip().splitlines()[-5:]
    return InputError(
        "dandi validate came to no verdict",
        file=program,
        found="; ".join([found, *last]),
        fix="run it on the staging folder yourself, and see what it says",
    )
