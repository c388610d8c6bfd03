"""Whatever README and the manual tell a person to type is typed here.

Each page gets an empty folder with the demo beside it and its blocks run there in order: ``bash`` as it stands,
``console`` line by line with the shown output compared ("..." stands for anything, "# exit 1" for a status),
``python`` in one interpreter for the page, and a ``yaml`` block with a caption becomes the file that it names.
A page about real files (``REAL``) has them in its folder instead of the demo, and is skipped where there are none.
Lines that set up a checkout (make, git, pip) are not run: their targets are looked up in the Makefile.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = [
    ROOT / "README.md",
    *sorted(p for p in DOCS.rglob("*.md") if not {"_build", "decisions"} & set(p.relative_to(DOCS).parts)),
]
RUN = {"bash", "console", "python", "yaml"}
SHOWN = {"json", "text", "tsv", "toml", "make"}  # never run
SETS_UP_A_CHECKOUT = re.compile(r"(make|git|cd|pip|python3 -m pip)( |$)")
MAKES_THE_DEMO = "neuropack demo demo\n"
REAL = {  # files that a page's reader has: their names there, and among the real files
    "docs/how-to/pixels-to-neurons.md": {
        "stack.tif": "neuron/mapmanager-rr30a-tp0-ch2-crop320.tif",
        "rr30a_s0_l.txt": "neuron/rr30a_s0_l.txt",
    }
}
FENCE = re.compile(r"^( *)(```+|:::+)([^\n`]*)\n(.*?)^\1\2 *$", re.M | re.S)


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its lines, the file that its caption names, and where it begins."""

    language: str
    text: str
    file: str | None
    line: int


def blocks(page: Path) -> Iterator[Block]:
    """The code blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    for match in FENCE.finditer(text):
        indent, _, info, body = match.groups()
        directive, _, argument = info.strip().partition(" ")
        if directive.startswith("{") and directive != "{code-block}":
            continue
        body = textwrap.dedent(body) if indent else body
        caption = re.match(r":caption: (\S+)\n\n?", body)
        yield Block(
            language=argument if directive == "{code-block}" else directive,
            text=body[caption.end() :] if caption else body,
            file=caption[1] if caption else None,
            line=text.count("\n", 0, match.start()) + 1,
        )


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def environment() -> dict[str, str]:
    """A terminal of known width without colours, in which ``neuropack`` is the one under test."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return {**os.environ, "PATH": path, "COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb", "PYTHONUTF8": "1"}


def shell(command: str, folder: Path) -> tuple[int, str]:
    """Status and everything printed by a command of the POSIX shell."""
    done = subprocess.run(
        ["sh", "-e", "-c", command],
        cwd=folder,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        check=False,
    )
    return done.returncode, done.stdout


def console(text: str) -> Iterator[tuple[str, int, str]]:
    """The commands of a console block, the status each ends with, and the output shown for it."""
    for part in re.split(r"^\$ ", text, flags=re.M)[1:]:
        command, _, output = part.partition("\n")
        while output.startswith("> "):
            more, _, output = output[2:].partition("\n")
            command += "\n" + more
        status = re.search(r" *# exit (\d)$", command)
        yield command[: status.start()] if status else command, int(status[1]) if status else 0, output


def same(shown: str, printed: str) -> bool:
    """Whether the output is the one shown, blanks at line ends aside; "..." stands for anything."""

    def tidy(text: str) -> str:
        return "\n".join(line.rstrip() for line in text.strip().splitlines())

    pattern = ".*?".join(re.escape(piece) for piece in tidy(shown).split("..."))
    return re.fullmatch(pattern, tidy(printed), re.S) is not None


def run(block: Block, folder: Path, python: dict[str, object]) -> str | None:
    """Run one block; what is wrong with it, or None."""
    if block.language == "yaml" and block.file:
        (folder / block.file).write_text(block.text, encoding="utf-8", newline="\n")
    elif block.language == "python":
        code = compile("\n" * block.line + block.text, "the page", "exec")
        exec(code, python)  # noqa: S102 - the manual's own code
    elif block.language == "bash":
        if all(SETS_UP_A_CHECKOUT.match(line) for line in block.text.splitlines() if line.strip()):
            return None
        status, printed = shell(block.text, folder)
        if status:
            return f"exit {status}\n{printed}"
    elif block.language == "console":
        for command, expected, shown in console(block.text):
            status, printed = shell(command, folder)
            if status != expected:
                return f"{command}\nexit {status} instead of {expected}\n{printed}"
            if shown.strip() and not same(shown, printed):
                return f"{command}\nprinted\n{printed}\nbut the page shows\n{shown}"
    return None


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that ``neuropack demo`` leaves, made once whatever the number of test processes."""
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    made, folder = base / "demo.status", base / "demo"
    try:
        (base / "demo.lock").mkdir()
    except FileExistsError:
        while not made.exists():
            time.sleep(0.2)
    else:
        status, printed = shell(MAKES_THE_DEMO, base)
        made.with_suffix(".new").write_text(printed if status else "", encoding="utf-8")
        made.with_suffix(".new").replace(made)
    problem = made.read_text(encoding="utf-8")
    assert not problem, problem
    return folder


@pytest.mark.skipif(shutil.which("sh") is None, reason="the blocks are written for a POSIX shell")
@pytest.mark.parametrize("page", [p for p in PAGES if any(b.language in RUN for b in blocks(p))], ids=name)
def test_every_block_runs(
    page: Path, tmp_path: Path, request: pytest.FixtureRequest, data_file: Callable[[str], Path]
) -> None:
    for there, real in REAL.get(name(page), {}).items():
        shutil.copy(data_file(real), tmp_path / there)
    made: Path = request.getfixturevalue("demo")
    if page.parent.name != "tutorial" and name(page) not in REAL:
        shutil.copytree(made, tmp_path / "demo")
    before = Path.cwd()
    os.chdir(tmp_path)
    try:
        namespace: dict[str, object] = {"__name__": "page"}
        for block in blocks(page):
            if block.text == MAKES_THE_DEMO:  # `demo` has typed it, and it takes a minute
                shutil.copytree(made, tmp_path / "demo")
                continue
            problem = run(block, tmp_path, namespace)
            if problem:
                pytest.fail(f"{name(page)}:{block.line}: {problem}", pytrace=False)
    finally:
        os.chdir(before)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_no_block_escapes(page: Path) -> None:
    # A block marked "sh" or not marked at all would never be run.
    assert [(b.line, b.language) for b in blocks(page) if b.language not in RUN | SHOWN] == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_make_targets_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    used = set(re.findall(r"`make ([a-z-]+)", page.read_text(encoding="utf-8")))
    for block in blocks(page):
        used |= set(re.findall(r"^(?:\$ )?make (?:[A-Z]+=\S+ )*([a-z-]+)", block.text, re.M))
    assert used - targets == set()


def test_readme_opens_with_the_two_commands_and_ci_runs_the_tests() -> None:
    first = next(blocks(ROOT / "README.md"))
    commands = [line.split("#")[0].strip() for line in first.text.splitlines()]
    assert commands == ["make demo", "make test"]
    steps = re.findall(r'^step "[^"]+" make (.+)$', (ROOT / ".ci" / "run").read_text(encoding="utf-8"), re.M)
    assert next(s for s in steps if s not in ("tools", "setup")) == "test"
    assert {"lint", "types", "docs", "slow", "gates", "wheel-smoke"} <= {t for s in steps for t in s.split()}


def commands() -> dict[str, set[str]]:
    """The long options of every command, and of neuropack itself under ""."""
    from typer.main import get_command

    from neuropack.cli import app

    def options(command: Any) -> set[str]:
        names = {name for p in command.params if not getattr(p, "hidden", False) for name in p.opts}
        return {name for name in names if name.startswith("--")} - {"--help"}

    def below(group: Any, name: str) -> dict[str, set[str]]:
        if not hasattr(group, "commands"):
            return {name: options(group)}
        parts = [below(command, f"{name} {word}".strip()) for word, command in group.commands.items()]
        return {name: options(group)} | {word: found for part in parts for word, found in part.items()}

    return below(get_command(app), "")


def sections(page: Path) -> dict[str, str]:
    """The text below each heading of level two, code marks taken off the heading."""
    parts = re.split(r"^## (.+)$", page.read_text(encoding="utf-8"), flags=re.M)
    return {title.strip("` "): text for title, text in zip(parts[1::2], parts[2::2], strict=True)}


def test_the_reference_has_every_command_and_option_and_no_other() -> None:
    text = sections(DOCS / "reference" / "cli.md")
    wanted = {f"neuropack {name}".strip(): options for name, options in commands().items()}
    assert {title for title in text if title.startswith("neuropack")} == wanted.keys()
    written = {title: set(re.findall(r"`(--[a-z-]+)", text[title])) for title in wanted}
    assert written == wanted


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_options_in_the_text_exist(page: Path) -> None:
    known = {option for options in commands().values() for option in options} | {"--help"}
    assert set(re.findall(r"`(--[a-z-]+)", page.read_text(encoding="utf-8"))) - known == set()


@pytest.mark.parametrize(
    ("block", "complaint"),
    [
        (Block("bash", "echo well; false", None, 1), "exit 1"),
        (Block("console", "$ echo one\ntwo\n", None, 1), "but the page shows"),
        (Block("console", "$ echo one  # exit 2\n", None, 1), "exit 0 instead of 2"),
    ],
)
def test_a_wrong_block_is_found(block: Block, complaint: str, tmp_path: Path) -> None:
    assert complaint in (run(block, tmp_path, {}) or "")


def test_a_right_block_passes(tmp_path: Path) -> None:
    text = "$ printf 'one\\nsecret 17\\ntwo\\n'\none\n...\ntwo\n$ exit 3  # exit 3\n$ echo a \\\n> b\na b\n"
    assert run(Block("console", text, None, 1), tmp_path, {}) is None


def test_a_failing_python_block_raises(tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        run(Block("python", "assert 1 == 2", None, 1), tmp_path, {})
