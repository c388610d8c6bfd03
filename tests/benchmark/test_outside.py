"""Methods that are commands: what they are handed, what they may write, and how they fail."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import pytest
import tubes

from neuropack.benchmark.contest import Wanted
from neuropack.benchmark.method_files import outside_listed
from neuropack.benchmark.outside import outside_of
from neuropack.benchmark.run import benchmark
from neuropack.errors import InputError, NeuropackError, UsageError

WRITES_LABELS = """
import json, sys
import numpy as np
request = json.load(open(sys.argv[1]))
labels = np.zeros(request["shape"][1:], np.uint8)
labels[2:4, 3:5, 4:20] = int(request["settings"].get("value", 1))
np.save(request["output"] + "/labels.npy", labels)
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tubes.folder(tmp_path_factory.mktemp("data") / "tubes")


def method(folder: Path, code: str, more: str = "", arguments: str = '"{request}"') -> Path:
    """A file of a method that is a script."""
    (folder / "script.py").write_text(code, encoding="utf-8")
    path = folder / "mine.yaml"
    path.write_text(f"name: mine\ncommand: [{sys.executable}, script.py, {arguments}]\n{more}", encoding="utf-8")
    return path


def run(data: Path, path: Path | str, task: str = "foreground") -> dict[str, object]:
    (row,) = benchmark(Wanted((data,), task, (str(path),))).rows
    return row


def test_a_command_takes_part(data: Path, tmp_path: Path) -> None:
    row = run(data, method(tmp_path, WRITES_LABELS, "about: a script\ntasks: [foreground]\n"))
    assert (row["f1"], row["method"]) == (1, "mine")
    assert isinstance(row["memory_bytes"], int)
    assert row["memory_bytes"] < 80e6  # a small Python with NumPy, and not the one that runs the tests
    assert row["about"] == {"command": [sys.executable, "script.py", "{request}"], "about": "a script"}


def test_what_a_command_is_handed(data: Path, tmp_path: Path) -> None:
    code = f"""
import json, pathlib, sys
image, output, task, value = sys.argv[1:]
assert pathlib.Path(image, "zarr.json").is_file() and not any(pathlib.Path(output).iterdir())
pathlib.Path({str(tmp_path / "said.json")!r}).write_text(json.dumps([task, value, str(pathlib.Path().absolute())]))
pathlib.Path(output, "somata.tsv").write_text("x_um\\ty_um\\tz_um\\n6\\t2\\t3\\n")
"""
    settings = "settings: [{value: 0.5}]\n"
    path = method(tmp_path, code, settings, '"{image}", "{output}", "{task}", "{value}"')
    assert run(data, path, "somata")["f1"] == 1
    assert json.loads((tmp_path / "said.json").read_text()) == ["somata", "0.5", str(tmp_path)]


def test_a_command_of_the_line_gets_image_and_output(data: Path, tmp_path: Path) -> None:
    code = "import pathlib, sys; pathlib.Path(sys.argv[2], 'skeletons').mkdir()"
    row = run(data, f"mine={shlex.join([sys.executable, '-c', code])}", "tracing")
    assert (row["recall"], row["precision"], row["unfound"]) == (0, None, 1)


@pytest.mark.parametrize(
    ("code", "task", "words"),
    [
        ("import sys; print('no GPU here'); sys.exit(3)", "foreground", ["exit status 3", "no GPU here"]),
        ("", "foreground", ["the method wrote no result", "labels.ome.zarr", "the result of mine for tube 0"]),
        ("", "tracing", ["the method wrote no result", "skeletons"]),
        ("", "somata", ["the method wrote no result", "somata.tsv"]),
        (WRITES_LABELS.replace("shape\"][1:]", "shape\"][2:]").replace("2:4, ", ""), "foreground", ["shape"]),
        (WRITES_LABELS.replace("np.uint8", "np.float32"), "foreground", ["float32"]),
        (WRITES_LABELS.replace("int(request", "-int(request").replace("uint8", "int8"), "foreground", ["negative"]),
        (WRITES_LABELS + "np.save(request['output'] + '/labels.npy', 3)", "foreground", ["labels.npy"]),
        (
            WRITES_LABELS + "open(request['output'] + '/labels.tif', 'w').close()",
            "foreground",
            ["more than one result", "labels.tif, labels.npy"],
        ),
        ("import json,sys;open(json.load(open(sys.argv[1]))['output']+'/somata.tsv','w').write('a\\n1\\n')",
         "somata", ["somata.tsv"]),
    ],
)  # fmt: skip
def test_a_command_that_fails_or_writes_nonsense_ends_the_benchmark(
    data: Path, tmp_path: Path, code: str, task: str, words: list[str]
) -> None:
    with pytest.raises(NeuropackError) as caught:
        run(data, method(tmp_path, code), task)
    assert [word for word in words if word not in str(caught.value)] == []


def test_a_command_that_never_ends_is_ended(data: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"took longer than 0\.2 s"):
        run(data, method(tmp_path, "import time; print('hm'); time.sleep(60)", "timeout_s: 0.2\n"))


def test_a_program_that_is_not_there(data: Path) -> None:
    with pytest.raises(UsageError, match="cannot be run") as caught:
        run(data, "mine=/no/such/program {image} {output}")
    assert "/no/such/program" in str(caught.value)


@pytest.mark.parametrize("text", ["=python", "mine=", "a b=python", "mine='python"])
def test_what_is_no_command(text: str) -> None:
    with pytest.raises(UsageError):
        outside_of(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: a\n", "a method has no command"),
        ("command: [x]\n", "a method has no name"),
        ("name: ../a\ncommand: [x]\n", "mine.yaml:1:7: is no name of a method"),
        ("name: a\ncommand: python 'x\n", "mine.yaml:2:10: the command cannot be cut into words"),
        ("name: a\ncommand: [x, [y]]\n", "mine.yaml:2:14: a word of the command is no text"),
        ("name: a\ncommand: [x, '{colour}']\n", "nothing fills {colour}"),
        ("name: a\ncommand: [x, '{t}']\nsettings: [{t: 1}, {s: 1}]\n", "nothing fills {t}"),
        ("name: a\ncommand: [x]\ntasks: [trace]\n", "did you mean 'tracing'?"),
        ("name: a\ncommand: [x]\nsettings: [1]\n", "settings is no list of mappings"),
        ("name: a\ncommand: [x]\ntimeout_s: -1\n", "timeout_s is no time"),
        ("name: a\ncomand: [x]\n", "did you mean 'command'?"),
        ("name: a\ncommand: [x]\ntasks: tracing\n", "mine.yaml:3:8: tasks is no list"),
        ("name: a\ncommand: [x]\ntasks: []\n", "mine.yaml:3:8: tasks is no list"),
        ("name: a\ncommand: [x]\nsettings: [{image: 1}]\n", "a setting cannot be called 'image'"),
        ("name: a\ncommand: [x]\ntimeout_s: true\n", "timeout_s is no time"),
        ("name: a\ncommand: [x]\ntimeout_s: .inf\n", "timeout_s is no time"),
        ("name: a\ncommand: [x]\nabout: [y]\n", "mine.yaml:3:8: about is no text"),
        ("name: a\ncommand: [x]\ntrained_on: [{seeds: 7}]\n", "did you mean 'seed'?"),
        ("name: a\ncommand: [x]\ntrained_on: [{seed: '7'}]\n", "seed is no whole number"),
        ("name: a\ncommand: [x]\ntrained_on: [{seed: 7, splits: [tset]}]\n", "did you mean 'test'?"),
        ("name: a\ncommand: [x]\ntrained_on: [{seed: 7, subjects: M1}]\n", "subjects is no list"),
        ("name: a\ncommand: [x]\ntrained_on: [{manifest_sha256: 12ab}]\n", "is no SHA-256"),
        ("name: a\ncommand: [x]\ntrained_on: [{release: gone}]\n", "release is not there"),
        ("methods: []\n", "there is no method"),
        ("methods:\n  -\n", "a method is a mapping"),
        ("methods:\n  - {name: a, command: x}\n  - {name: a, command: y}\n", "3:12: two methods have the name 'a'"),
        ("name: a\ncommand: [x\n", "mine.yaml:"),
    ],
)
def test_mistakes_in_a_file_of_methods_have_their_place(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        outside_listed(path)
    assert words in str(caught.value)
    assert f"{path}:" in str(caught.value)


def test_one_mistake_is_told_once_and_several_together(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("- python\n", encoding="utf-8")
    with pytest.raises(InputError, match="1 problem in the file of methods"):
        outside_listed(path)
    path.write_text("name: a b\ncommand: x 'y\ntasks: [trace]\ntimeout_s: 0\n", encoding="utf-8")
    with pytest.raises(InputError, match="4 problems in the file of methods"):
        outside_listed(path)
    path.write_text("name: [\n", encoding="utf-8")
    with pytest.raises(InputError, match="1 problem in the file of methods"):
        outside_listed(path)
    path.write_text("", encoding="utf-8")
    with pytest.raises(InputError, match="is empty") as caught:
        outside_listed(path)
    assert "a file of methods" in str(caught.value)


def test_several_methods_stand_in_one_file(tmp_path: Path) -> None:
    path = tmp_path / "two.yaml"
    path.write_text("methods:\n  - {name: a, command: x -v}\n  - {name: b, command: [y]}\n", encoding="utf-8")
    assert [(one.name, one.command) for one in outside_listed(path)] == [("a", ("x", "-v")), ("b", ("y",))]


def test_traces_in_another_unit_do_not_fill_the_memory(data: Path, tmp_path: Path) -> None:
    code = """
import pathlib, sys
folder = pathlib.Path(sys.argv[2], "skeletons")
folder.mkdir()
(folder / "a.swc").write_text("1 3 0 0 0 1 -1\\n2 3 1e9 0 0 1 1\\n")
"""
    with pytest.raises(UsageError, match="holds too much cable") as caught:
        run(data, f"mine={shlex.join([sys.executable, '-c', code])}", "tracing")
    assert "the result of mine for tube 0" in str(caught.value)
