"""Methods that are commands: any program, in an environment of its own, that reads an image and writes files.

What it is called with and what it has to write is told in docs/how-to/benchmark.md.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from neuropack.benchmark.cases import TASKS
from neuropack.benchmark.measured import Cost
from neuropack.errors import InputError, UsageError

WORDS: Final = ("image", "table", "output", "task", "request")
"""What a command is handed; other words in braces are settings."""
PLACE: Final = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")
_SHOWN = 4000  # characters of what a command printed, in a message


@dataclass(frozen=True)
class Outside:
    """A command.

    Attributes:
        name: of the method.
        command: program and arguments, with placeholders.
        tasks: that it can do.
        settings: what is tried on the validation split; the first is the default.
        trained_on: what it has seen, see `neuropack.benchmark.leaks`.
        folder: that it is run in.
        timeout_s: seconds for an image; None: as long as it takes.
        about: what a person says of it, for the results.
    """

    name: str
    command: tuple[str, ...]
    tasks: tuple[str, ...] = TASKS
    settings: tuple[Mapping[str, Any], ...] = ()
    trained_on: tuple[Mapping[str, Any], ...] = ()
    folder: Path = Path()
    timeout_s: float | None = None
    about: str = ""

    def grid(self, task: str) -> list[Mapping[str, Any]]:
        """What is tried for a task."""
        return list(self.settings) or [{}]

    def told(self) -> dict[str, Any]:
        """What is told of it, so that another one is another result."""
        return {"command": list(self.command), **({"about": self.about} if self.about else {})}

    def run(self, values: Mapping[str, str], settings: Mapping[str, Any], log: Path) -> Cost:
        """Run it once.

        Args:
            values: what takes the place of image (or table), output, task and request.
            settings: one of those that it has.
            log: a file for what it prints.

        Returns:
            what it cost, with the programs that it waited for; the memory is that of the largest of them.

        Raises:
            UsageError: there is no such program.
            InputError: it failed, or took too long; its last words are shown.
        """
        filled = {**{key: str(value) for key, value in settings.items()}, **values}
        words = [PLACE.sub(lambda found: filled.get(found[1], found[0]), word) for word in self.command]
        if not any(f"{{{key}}}" in word for word in self.command for key in ("image", "table", "request")):
            words += [values.get("image") or values["table"], values["output"]]
        return _run(words, self.folder, self.timeout_s, log, self.name)


def outside_of(text: str) -> Outside:
    """A command as it stands on the line: ``NAME=COMMAND``.

    Raises:
        UsageError: it is none.
    """
    name, _, command = text.partition("=")
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UsageError(
            "the command cannot be cut into words", expected="closed quotes", found=str(error)
        ) from None
    if not NAME.fullmatch(name.strip()) or not words:
        raise UsageError(
            "is no method", expected="NAME=COMMAND, such as mine='python mine.py {image} {output}'", found=text
        )
    return Outside(name.strip(), tuple(words), folder=Path.cwd())


def _run(words: Sequence[str], folder: Path, timeout_s: float | None, log: Path, name: str) -> Cost:
    report = log.with_name("report.json").absolute()
    report.unlink(missing_ok=True)
    launch = Path(__file__).with_name("launch.py")
    with log.open("wb") as printed:
        process = subprocess.Popen(  # noqa: S603 - the user's own command
            [sys.executable, "-I", "-S", str(launch), str(report), *words],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        late = False
        try:
            process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            late = True
        finally:
            if process.returncode is None:  # late, or interrupted
                end(process)
    said: dict[str, Any] = (
        {"status": None} if late or not report.is_file() else json.loads(report.read_text(encoding="utf-8"))
    )
    if "error" in said:
        raise UsageError(
            f"the command of {name} cannot be run",
            where=words[0],
            found=said["error"],
            fix="see that the program is there and may be run",
        )
    if said["status"] != 0:
        raise InputError(
            f"the command of {name} " + (f"took longer than {timeout_s:g} s" if late else "failed"),
            where=shlex.join(words)[:500],
            expected="exit status 0",
            found=f"exit status {said['status']}; it printed:\n{last_words(log)}",
        )
    return Cost.of(said["seconds"], said.get("cpu_seconds"), said.get("largest"))


def end(process: subprocess.Popen[bytes]) -> None:
    """End a command and what it started."""
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()


def last_words(log: Path) -> str:
    """The end of what was printed."""
    text = log.read_bytes()[-4 * _SHOWN :].decode("utf-8", errors="replace").strip()
    return text[-_SHOWN:] or "(nothing)"


def request(path: Path, said: Mapping[str, Any]) -> None:
    """Write what a command is asked for."""
    path.write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8", newline="\n")


def fresh(folder: Path) -> Path:
    """An empty folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
