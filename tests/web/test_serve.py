"""The command: what it prints, how it ends, and what it refuses."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from served import Running, make_release

from neuropack.cli import main


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEUROPACK_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_release(tmp_path / "small")


@contextmanager
def serving(*arguments: str | Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A real server, and the address that it prints."""
    line = [sys.executable, "-m", "neuropack", "serve", *map(str, arguments), "--port", "0"]
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        told = iter(process.stdout.readline, "")
        address = next((word for text in told for word in text.split() if word.startswith("http://")), "")
        assert address, process.stderr.read()
        yield process, address.rstrip("/")
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


def test_the_title_of_a_release_does_not_steer_a_terminal(root: Path) -> None:
    document = json.loads((root / "metadata" / "neuropack.json").read_text())
    document["dataset"]["title"] = "\x1b]0;owned\x07\x1b[2J title"
    (root / "metadata" / "neuropack.json").write_text(json.dumps(document))
    line = [sys.executable, "-m", "neuropack", "serve", str(root), "--port", "0"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        process.stdout.read()
    assert first == "small:  ]0;owned  [2J title (1 stacks, 7 neurons)\n"


def test_one_request_without_a_port(root: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert main(["serve", str(root), "--get", "/files/letters.txt"]) == 0
    assert capfdbinary.readouterr() == (b"abcdefghijklmnopqrstuvwxyz", b"200 OK\n")
    assert main(["serve", str(root), "--get", "/api/v1/neurons?limit=1&q=n2"]) == 0
    assert json.loads(capfdbinary.readouterr().out)["total"] == 1
    assert main(["serve", str(root), "--get", "/nothing"]) == 1
    assert capfdbinary.readouterr().err == b"404 Not Found\n"


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_server_ends_well(root: Path, how: signal.Signals) -> None:
    with serving(root) as (process, address):
        assert httpx.get(f"{address}/readyz").json() == {"status": "ok"}
        process.send_signal(how)
        assert process.wait(20) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_what_is_being_sent_is_sent_to_its_end(root: Path) -> None:
    size = 20 << 20
    with (root / "large.bin").open("wb") as file:
        file.truncate(size)
    with serving(root) as (process, address), httpx.stream("GET", f"{address}/files/large.bin") as answer:
        pieces = answer.iter_raw(1 << 16)
        got = len(next(pieces))
        process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        assert process.poll() is None
        got += sum(map(len, pieces))
        assert got == size
        assert process.wait(20) == 0


def test_logs_for_programs(root: Path, tmp_path: Path) -> None:
    with serving(root, "--log-json") as (process, address):
        httpx.get(f"{address}/api/v1/neurons?q=secret")
        process.send_signal(signal.SIGTERM)
        process.wait(20)
        assert process.stderr is not None
        lines = [json.loads(line) for line in process.stderr]
    (asked,) = [one for one in lines if one.get("path") == "/api/v1/neurons"]
    assert {"time", "level", "request", "person", "seconds", "bytes"} <= asked.keys()
    assert (asked["method"], asked["status"]) == ("GET", 200)
    assert "secret" not in json.dumps(asked)


def test_a_port_that_is_taken(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["serve", str(root), "--port", str(port)]) == 2
    said = capsys.readouterr().err
    assert f"port {port}" in said
    assert "--port" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--host", "0.0.0.0", "--edit"], "tokens"),  # noqa: S104 - refused
        (["--host", "no.such.name.invalid"], "--host"),
        (["--tokens", "nowhere.json"], "nowhere.json"),
    ],
)
def test_what_is_refused(
    root: Path, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root.parent)
    assert main(["serve", str(root), "--port", "0", *arguments]) in (2, 3)
    assert said in capsys.readouterr().err


def test_a_folder_that_is_no_release(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", str(tmp_path), "--get", "/"]) == 3
    assert "is not a release" in capsys.readouterr().err


def test_without_the_extra_it_says_what_to_install(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(["serve", str(root), "--get", "/"]) == 2
    assert 'pip install "neuropack[web]"' in capsys.readouterr().err


def test_tokens_from_the_command_line(tmp_path: Path, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = str(tmp_path / "t.json")
    assert main(["token", "add", "Ada", "--role", "annotate", "--file", file, "--expires", "90d"]) == 0
    token = capsys.readouterr().out.strip()
    assert main(["token", "list", "--file", file, "--json"]) == 0
    (listed,) = json.loads(capsys.readouterr().out)
    assert (listed["name"], listed["role"]) == ("Ada", "annotate")
    assert listed["expires"] > listed["created"]
    assert main(["token", "list", "--file", file]) == 0
    assert token not in capsys.readouterr().out
    with Running(root, tokens=Path(file)) as running:
        me = httpx.get(f"{running.url}/api/v1/me", headers={"Authorization": f"Bearer {token}"})
        assert me.json() == {"name": "Ada", "role": "annotate", "edit": False}
        assert main(["token", "remove", "Ada", "--file", file]) == 0
        assert httpx.get(f"{running.url}/api/v1/me", headers=me.request.headers).status_code == 401


@pytest.mark.parametrize("when", ["yesterday", "2001-01-01", "0d", "-1d", "9999999999d", "d", ""])
def test_an_end_that_is_none(tmp_path: Path, when: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["token", "add", "Ada", "--file", str(tmp_path / "t.json"), "--expires", when]) == 2
    assert "--expires" in capsys.readouterr().err
    assert not (tmp_path / "t.json").exists()


def test_who_goes_away_in_the_middle_of_a_file_costs_nothing_more(root: Path) -> None:
    with (root / "large.bin").open("wb") as file:
        file.truncate(1 << 30)
    with Running(root) as running:
        with httpx.stream("GET", f"{running.url}/files/large.bin") as answer:
            next(answer.iter_raw(1 << 16))
        end = time.monotonic() + 10
        while (metrics := httpx.get(f"{running.url}/metrics").text) and time.monotonic() < end:
            if "neuropack_requests_in_progress 1.0" in metrics:  # only that of the metrics themselves
                break
        sent = next(line for line in metrics.splitlines() if line.startswith("neuropack_sent_bytes_total"))
        assert float(sent.split()[1]) < 1 << 29


def test_a_file_that_shrinks_breaks_off_and_is_not_filled_up(root: Path) -> None:
    with (root / "large.bin").open("wb") as file:
        file.truncate(64 << 20)
    with Running(root) as running, httpx.stream("GET", f"{running.url}/files/large.bin") as answer:
        pieces = answer.iter_raw(1 << 16)
        next(pieces)
        os.truncate(root / "large.bin", 0)
        with pytest.raises(httpx.RemoteProtocolError):
            list(pieces)
