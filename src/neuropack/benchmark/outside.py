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
from typing import Any

from neuropack.benchmark.cases import TASKS
from neuropack.benchmark.listed import ListError, loaded
from neuropack.benchmark.measured import Cost
from neuropack.errors import InputError, UsageError
from neuropack.study.records import suggestion, unknown_keys
from neuropack.study.yaml import Node, Problem

_FIELDS = ("name", "command", "tasks", "settings", "trained_on", "timeout_s", "about")
_WORDS = ("image", "table", "output", "task", "request")
_PLACE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")
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
        words = [_PLACE.sub(lambda found: filled.get(found[1], found[0]), word) for word in self.command]
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
    if not _NAME.fullmatch(name.strip()) or not words:
        raise UsageError(
            "is no method", expected="NAME=COMMAND, such as mine='python mine.py {image} {output}'", found=text
        )
    return Outside(name.strip(), tuple(words), folder=Path.cwd())


def outside_listed(path: Path) -> list[Outside]:
    """The commands that a YAML file tells of: one, or several under the key ``methods``.

    Raises:
        ListError: with every mistake.
        InputError: it cannot be read.
    """
    problems: list[Problem] = []
    root = loaded(path, problems)
    nodes = root.get("methods")
    if nodes is not None:
        unknown_keys(root, ("methods",), "a file of methods", problems)
    entries = nodes.entries if nodes is not None else [root]
    if nodes is not None and not entries:
        problems.append(Problem(nodes.at, "there is no method", "a list"))
    found = [_method(node, path.absolute().parent, problems) for node in entries]
    if problems:
        raise ListError(path, problems, "file of methods")
    return found


def _method(node: Node, folder: Path, problems: list[Problem]) -> Outside:
    unknown_keys(node, _FIELDS, "a method", problems)
    name, command = node.get("name"), node.get("command")
    if name is None or not _NAME.fullmatch(name.text):
        problems.append(Problem(node.at, "a method has no name", "name: letters, digits, . _ + and -"))
    words: Sequence[str] = ()
    if command is not None and command.entries:
        words = [one.text for one in command.entries]
    elif command is not None and isinstance(command.value, str):
        words = shlex.split(command.value)
    if not words or not all(words):
        problems.append(Problem(node.at, "a method has no command", 'command: [program, "{image}", "{output}"]'))
    tasks = node.get("tasks")
    for one in tasks.entries if tasks is not None else ():
        if one.text not in TASKS:
            problems.append(
                Problem(one.at, "there is no such task", ", ".join(TASKS), one.shown(), suggestion(one.text, TASKS))
            )
    settings = [_plain(one) for one in _listed(node, "settings", problems)]
    for word in words:
        for key in _PLACE.findall(word):
            if key not in _WORDS and not all(key in one for one in settings or [{}]):
                problems.append(
                    Problem(
                        command.at if command else node.at,
                        f"nothing fills {{{key}}}",
                        f"{', '.join(_WORDS)}, or a setting that every entry of settings has",
                        key,
                    )
                )
    limit = node.get("timeout_s")
    if limit is not None and not (isinstance(limit.value, int | float) and limit.value > 0):
        problems.append(Problem(limit.at, "timeout_s is no time", "seconds, above 0", limit.shown()))
        limit = None
    about = node.get("about")
    return Outside(
        name.text if name is not None else "",
        tuple(words),
        tuple(one.text for one in tasks.entries) if tasks is not None and tasks.entries else TASKS,
        tuple(settings),
        tuple(_trained(one, folder) for one in _listed(node, "trained_on", problems)),
        folder,
        float(limit.value) if limit is not None else None,
        about.text if about is not None else "",
    )


def _listed(node: Node, key: str, problems: list[Problem]) -> list[Node]:
    one = node.get(key)
    if one is None:
        return []
    wrong = [entry for entry in one.entries if not isinstance(entry.value, dict)]
    if not isinstance(one.value, list) or wrong:
        at = wrong[0].at if wrong else one.at
        problems.append(
            Problem(at, f"{key} is no list of mappings", "- {name: value}", (wrong or [one])[0].shown())
        )
        return []
    return one.entries


def _plain(node: Node) -> dict[str, Any]:
    return {key: _value(one) for key, one in node.items.items()}


def _value(node: Node) -> Any:
    if isinstance(node.value, dict):
        return _plain(node)
    return [_value(one) for one in node.value] if isinstance(node.value, list) else node.value


def _trained(node: Node, folder: Path) -> dict[str, Any]:
    said = _plain(node)
    if isinstance(said.get("release"), str):
        said["release"] = str(folder / said["release"])
    return said


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
