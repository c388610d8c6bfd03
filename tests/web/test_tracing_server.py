"""Tracing with a real server that is killed, with two people, and into the release."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from served import Asked
from traced_study import FIRST, N1, SECOND, Server, line, make, neuron

from neuropack.amend import PENDING
from neuropack.build import build
from neuropack.client import Client, ConflictError, ServerError, Session, connect
from neuropack.errors import UsageError
from neuropack.release import open_release
from neuropack.rules import check
from neuropack.study import load_study
from neuropack.trace.session import TracingSession

KNOWN = ("nwb.wavelength-unknown",)  # of an image of the study that is about something else
ROOT = Path(__file__).resolve().parents[2]
START, END = line()[10].tolist(), line()[560].tolist()


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("traced"))


@pytest.fixture
def release(original: Path, tmp_path: Path) -> Path:
    shutil.copytree(original.parent / "study", tmp_path / "study")
    return Path(shutil.copytree(original, tmp_path / "release"))


@pytest.fixture
def server(release: Path) -> Iterator[Server]:
    with Server(release) as one:
        yield one


def clean(release: Path) -> bool:
    issues = [one for one in check(release, level="full").issues if one.rule not in KNOWN]
    assert not issues, issues
    return True


def log_of(release: Path) -> Path:
    (log,) = (release.parent / "release.workspace" / "sessions").glob("*/log.jsonl")
    return log


def test_nothing_that_was_answered_is_lost_when_the_server_is_killed(release: Path) -> None:
    answered: list[int] = []
    server = Server(release)
    stop = threading.Event()

    def trace(name: str) -> None:
        with httpx.Client(base_url=server.url, timeout=10) as http:
            made = http.post("/api/v1/tracing/sessions", json={"release": "release", "stack": FIRST}).json()
            at, revision, node = f"/api/v1/tracing/sessions/{made['id']}/actions", made["revision"], None
            for n in range(1000):
                body: dict[str, Any] = {"action": "start", "at": [1, 1, 1], "name": name}
                if node is not None:
                    body = {"action": "extend", "node": node, "to": [1, 1 + n % 60, 2], "straight": True}
                try:
                    done = http.post(at, json={"revision": revision, **body}).json()
                except httpx.TransportError:
                    return
                revision, node = done["revision"], done["node"]
                answered.append(revision)
                if len(answered) > 60:
                    stop.set()

    people = [threading.Thread(target=trace, args=(f"n{k}",)) for k in range(3)]
    for one in people:
        one.start()
    assert stop.wait(60)
    server.kill()
    for one in people:
        one.join(30)
    with Server(release) as again, connect(again.url) as client:
        session = client.session("release", FIRST)
        assert session.revision >= max(answered)
        assert sorted(session.neurons.values()) == ["n0", "n1", "n2"]
        nodes = sum(one["n_nodes"] for one in session.record["neurons"])
        assert nodes == session.revision  # each action made a node
    assert clean(release)


@pytest.mark.slow
def test_a_server_that_is_told_to_end_saves_the_neurons(release: Path) -> None:
    server = Server(release)
    with connect(server.url) as client:
        client.session("release", FIRST).start(START, "n9")
    assert server.stop() == 0
    assert (log_of(release).parent / "neurons" / "n9.swc").is_file()


def test_two_people_on_one_neuron(server: Server) -> None:
    with connect(server.url) as first, connect(server.url) as second:
        ann, bob = (one.session("release", FIRST) for one in (first, second))
        soma = ann.start(START, "n9", type=1).node or 0
        tip = ann.extend(soma, line()[60].tolist()).node or 0
        with pytest.raises(ConflictError) as told:
            bob.move(tip, [3, 3, 3])  # Bob has seen an empty session
        assert told.value.problem["revision"] == 2
        assert [one["action"] for one in bob.changes()] == ["start", "extend"]
        bob.move(tip, radius_um=2)
        ann.rename(1, "n10")  # which Bob has not touched
        assert [one["action"] for one in ann.changes()] == ["move"]
        with pytest.raises(ConflictError):
            bob.undo()  # that would take Ann's away
        assert bob.changes()[0]["action"] == "rename"
        bob.undo()
        assert ann.neurons == {1: "n9"}


def test_a_client_that_goes_away_frees_the_search(server: Server) -> None:
    with connect(server.url) as client:
        session = client.session("release", FIRST)
        body = {"from": START, "to": END, "color": False}
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{server.url}{session._at}/paths", json=body, timeout=0.001)
        assert session.path(START, END).confidence >= 0


def test_the_client_searches_and_fetches(server: Server, release: Path) -> None:
    with connect(server.url) as client:
        assert [one["id"] for one in client.search("neurons", limit=1)] == [N1]
        assert client.record("neurons", N1)["id"] == N1
        readme = client.download("release", "README.md")
        assert readme == (release / "README.md").read_bytes()
        with pytest.raises(ServerError, match="no such") as told:
            client.record("neurons", "nobody")
        assert told.value.status == 404
    with pytest.raises(ServerError, match="cannot be reached"):
        connect("http://127.0.0.1:9", timeout_s=1)


def test_the_client_asks_for_names_as_they_are_and_tells_what_it_missed() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.raw_path.decode())
        return httpx.Response(200, json={"revision": 2000, "reload": len(asked) < 3, "items": []})

    with Client(httpx.Client(base_url="http://x", transport=httpx.MockTransport(answer))) as client:
        client.download("release", "a b/c#1?.tsv")
        assert asked == ["/files/release/a%20b/c%231%3F.tsv"]
        session = Session(client, {"id": "s", "revision": 0, "neurons": []})
        with pytest.raises(ServerError, match="more was done"):
            session.changes()
        assert session.changes() == []
        assert asked[-1].endswith("since=2000")


@pytest.mark.slow
def test_only_a_curator_commits(release: Path, tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    tokens = {
        role: subprocess.run(
            [sys.executable, "-m", "neuropack", "token", "add", role, "--role", role, "--file", str(file)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()[-1]
        for role in ("view", "annotate", "curate")
    }
    with Server(release, "--tokens", str(file)) as server:
        with pytest.raises(ServerError) as told:
            connect(server.url)
        assert told.value.status == 401
        with connect(server.url, tokens["view"]) as viewer, pytest.raises(ServerError, match="role"):
            viewer.session("release", FIRST)
        with connect(server.url, tokens["annotate"]) as annotator:
            session = annotator.session("release", FIRST)
            session.take_in(N1)
            session.move(3, radius_um=0.9)
            with pytest.raises(ServerError, match="role") as told:
                session.commit([1])
            assert told.value.status == 403
        with connect(server.url, tokens["curate"]) as curator:
            assert curator.session("release", FIRST).commit([1], "a radius")["person"] == "curate"
    swc = (release / open_release(release).metadata["neurons"][0]["morphology"]).read_text()
    assert "annotate: 2 step(s)" in swc
    assert "committed by curate: a radius" in swc


def traced(client: Client) -> tuple[Session, int]:
    """A session with a neuron along the neurite that nobody has traced."""
    session = client.session("release", FIRST)
    node = session.start(START, "n7", type=1, snap=True).node or 0
    session.extend(node, END, type=3, timeout_s=60)  # the first search of a server compiles its kernels
    return session, 1


def test_committed_neurons_are_part_of_a_clean_release(server: Server, release: Path) -> None:
    before = len(open_release(release).neurons[N1])
    with connect(server.url) as client:
        session, k = traced(client)
        session.take_in(N1)
        tip = max(one["id"] for one in session.neuron(2)["nodes"])
        session.delete(node=tip)
        found = session.commit([k, 2], "a new one, and a shorter one")
        assert found["neurons"] == {"1": neuron("n7"), "2": N1}
        assert client.commits()[0]["id"] == found["id"]
        assert {one["id"] for one in client.search("neurons")} == {N1, neuron("n7")}
        assert {one["origin"] for one in session.refresh()["neurons"]} == {N1, neuron("n7")}
        session.move(tip - 1, radius_um=0.9)
        session.commit([2], "again")  # which takes the place of the one before
    assert clean(release)
    after = open_release(release)
    assert set(after.neurons) == {N1, neuron("n7")}
    assert len(after.neurons[N1]) == before - 1
    assert set(after.neurons_ccf) == set(after.neurons)
    rows = {row["neuron_id"]: row for row in after.tables["neurons"]}
    assert rows[neuron("n7")]["soma_hemisphere"] in ("left", "right")
    assert (rows[N1]["provenance"], rows[neuron("n7")]["provenance"]) == ("corrected", "manual")
    steps = [one for one in after.metadata["processings"] if one["activity"] == "tracing"]
    assert {one["id"] for one in steps} == {f"{N1}-tracing", f"{neuron('n7')}-tracing"}
    assert json.loads(steps[0]["parameters"])["paths"]


def test_into_a_stack_that_had_no_neurons(server: Server, release: Path) -> None:
    with connect(server.url) as client:
        session = client.session("release", SECOND)
        node = session.start([1, 5, 5], "new").node or 0
        for n, to in enumerate(([1, 12, 8], [2, 20, 12], [2, 28, 13])):
            node = session.move(session.extend(node, to, straight=True).node or 0, radius_um=1.1 + n / 10).node or 0
        session.commit([1], "in noise", accept=["morphology.image"])
    report = check(release, level="full")
    assert {one.rule for one in report.issues} <= {"morphology.image", "morphology.half-voxel", *KNOWN}


def test_what_the_rules_refuse_changes_nothing(server: Server, release: Path) -> None:
    manifest = (release / "manifest.tsv").read_bytes()
    with connect(server.url) as client:
        session = client.session("release", FIRST)
        node = session.start([2, 10, 10], "n7", type=1).node or 0
        session.extend(node, [2, 10, 30], straight=True, type=1)
        session.act("move", node=1, radius_um=0.0)
        with pytest.raises(ServerError, match="rules") as told:
            session.commit([1])
        assert told.value.status == 422
        rules = {one["rule"] for one in told.value.problem["findings"]}
        assert "morphology.radius" in rules
        with pytest.raises(ServerError, match="rules"):
            session.commit([1], accept=sorted(rules))  # errors cannot be accepted
        with pytest.raises(ServerError) as told:
            session.commit([9])
        assert told.value.status == 404
        taken = session.start([2, 20, 20], "n1").neurons[0]
        with pytest.raises(ServerError, match="neuron of this name"):
            session.commit([taken])
    assert (release / "manifest.tsv").read_bytes() == manifest
    assert clean(release)


@pytest.mark.slow
def test_two_commits_at_once_are_one_after_the_other(server: Server, release: Path) -> None:
    with connect(server.url) as client:
        session, _ = traced(client)
        session.take_in(N1)
        session.move(max(one["id"] for one in session.neuron(2)["nodes"]), radius_um=0.9)
        at = f"{server.url}{session._at}/commits"
        found: list[int] = []

        def commit(k: int) -> None:
            found.append(httpx.post(at, json={"neurons": [k], "message": str(k)}, timeout=300).status_code)

        people = [threading.Thread(target=commit, args=(k,)) for k in (1, 2)]
        for one in people:
            one.start()
        for one in people:
            one.join()
        assert found == [201, 201]
    assert clean(release)
    assert set(open_release(release).neurons) == {N1, neuron("n7")}


def along_the_line(session: TracingSession) -> None:
    """The quick way to a neuron."""
    points = (line()[10:560:10] + 0.5) * [2.0, 0.5, 0.5]
    node = session.start(points[0][::-1].tolist(), "n7", type=1, radius=1.5).made[-1]
    for n, point in enumerate(points[1:]):
        node = session.extend(node, point[::-1].tolist(), how="straight", type=3).made[-1]
        session.move(node, radius=0.6 + n % 3 / 10)


KILL = """
import os, sys
sys.path.insert(0, {tests!r})
from pathlib import Path
import neuropack.amend as amend, neuropack.mend.traced as traced, neuropack.web.tracing.commits as commits
from served import Asked
from traced_study import FIRST
where = {where!r}
n = 0
def dies(*a, **k): os._exit(9)
if where == "before": traced.commit = dies
if where == "staging":
    real = amend.sync
    def sync(path):
        global n
        n += 1
        if n > 3: os._exit(9)
        real(path)
    amend.sync = sync
if where == "renaming":
    replace = Path.replace
    def one(self, target):
        global n
        if amend.PENDING in str(self):
            n += 1
            if n > 3: os._exit(9)
        return replace(self, target)
    Path.replace = one
if where == "after": commits.Commits._done = dies
ask = Asked(Path({release!r}), edit=True)
s = ask("POST", "/api/v1/tracing/sessions", json={{"release": "release", "stack": FIRST}}).json()
ask("POST", f"/api/v1/tracing/sessions/{{s['id']}}/commits", json={{"neurons": [1], "message": "m"}})
"""


@pytest.mark.parametrize(
    "where", ["renaming", *(pytest.param(w, marks=pytest.mark.slow) for w in ("before", "staging", "after"))]
)
def test_a_commit_that_is_killed_is_done_or_not(where: str, release: Path, tmp_path: Path) -> None:
    workspace = tmp_path / "release.workspace"
    ask = Asked(release, edit=True)
    made = ask("POST", "/api/v1/tracing/sessions", json={"release": "release", "stack": FIRST}).json()
    ask.site.close()
    with TracingSession(workspace / "sessions" / made["id"]) as session:
        along_the_line(session)
    code = KILL.format(tests=str(Path(__file__).parent), where=where, release=str(release))
    done = subprocess.run([sys.executable, "-c", code], env=os.environ, capture_output=True, text=True, check=False)
    assert done.returncode == 9, done.stderr
    again = Asked(release, edit=True)
    there = where in ("renaming", "after")
    commits = again.get("/api/v1/tracing/commits").json()["items"]
    assert len(commits) == there
    assert (neuron("n7") in open_release(release).neurons) == there
    assert (again.get(f"/api/v1/neurons/{neuron('n7')}").status_code == 200) == there
    assert (workspace / "committed" / FIRST / "n7.swc").is_file() == there
    again.site.close()
    assert clean(release)


@pytest.mark.parametrize("where", ["renaming", pytest.param("study", marks=pytest.mark.slow)])
def test_a_commit_that_fails_near_its_end_is_done_when_it_is_sent_again(
    where: str, release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = Asked(release, edit=True)
    made = ask("POST", "/api/v1/tracing/sessions", json={"release": "release", "stack": FIRST}).json()
    along_the_line(ask.app.state.tracing.get(made["id"]).session)
    replace, n = Path.replace, 0

    def full(self: Path, target: Path) -> Path:
        nonlocal n
        n += PENDING in str(self)
        if n > 3 if where == "renaming" else self.name == "n7.swc.partial":
            raise OSError(28, "No space left on device")
        return replace(self, target)

    def commit() -> Any:
        body = {"neurons": [1], "message": "m", "action_id": "once"}
        return ask("POST", f"/api/v1/tracing/sessions/{made['id']}/commits", json=body)

    with monkeypatch.context() as spoiled:
        spoiled.setattr(Path, "replace", full)
        assert commit().status_code == 500
    assert ask.get("/api/v1/tracing/commits").json()["items"] == []
    again = commit()
    assert (again.status_code, again.json()["neurons"]) == (201, {"1": neuron("n7")}), again.text
    assert [one["id"] for one in ask.get("/api/v1/tracing/commits").json()["items"]] == [again.json()["id"]]
    assert ask.get(f"/api/v1/neurons/{neuron('n7')}").status_code == 200
    assert (tmp_path / "release.workspace" / "committed" / FIRST / "n7.swc").is_file()
    ask.site.close()
    assert clean(release)


def test_a_build_stops_rather_than_lose_what_was_committed(server: Server, release: Path, tmp_path: Path) -> None:
    with connect(server.url) as client:
        session, k = traced(client)
        session.take_in(N1)
        session.move(max(one["id"] for one in session.neuron(2)["nodes"]), radius_um=0.9)
        session.commit([k, 2])
    server.stop()
    study = tmp_path / "study" / "study.yaml"
    with pytest.raises(UsageError, match="committed on a server") as told:
        build(study, release)
    assert "n7.swc" in str(told.value)
    assert "n1.swc" in str(told.value)
    kept = open_release(release).neurons
    said = (tmp_path / "release.workspace" / "committed" / "skeletons.yaml").read_text()
    entries = [one.replace("    -", "              -") for one in said.splitlines() if one.startswith("    -")]
    text = study.read_text().replace(
        "            skeletons: [annotations/*.swc]", "\n".join(["            skeletons:", *entries])
    )
    study.write_text(text)
    assert load_study(study)
    build(study, release)
    assert clean(release)
    again = open_release(release).neurons
    assert set(again) == set(kept)
    assert all(np.array_equal(again[name].xyz, kept[name].xyz) for name in kept)


@pytest.mark.slow
def test_a_neuron_that_a_build_took_away_can_be_committed_again(release: Path, tmp_path: Path) -> None:
    with Server(release) as server, connect(server.url) as client:
        session, k = traced(client)
        session.commit([k])
    build(tmp_path / "study" / "study.yaml", release, prune=True)
    assert set(open_release(release).neurons) == {N1}
    with Server(release) as server, connect(server.url) as client:
        client.session("release", FIRST).commit([1], "again")
    assert set(open_release(release).neurons) == {N1, neuron("n7")}
    assert clean(release)


def test_the_notebook_traces_through_a_server(server: Server) -> None:
    book = json.loads((ROOT / "templates" / "notebooks" / "trace-through-the-server.ipynb").read_text())
    names: dict[str, Any] = {"URL": server.url}
    for cell in book["cells"]:
        if cell["cell_type"] == "code":
            source = "".join(cell["source"])
            if not source.startswith("URL ="):
                exec(compile(source, "notebook", "exec"), names)  # noqa: S102 - ours
    with connect(server.url) as client:
        assert client.session("release", FIRST).neurons


@pytest.mark.slow
def test_the_answer_to_a_dead_server_comes_soon(release: Path) -> None:
    server = Server(release)
    with connect(server.url) as client:
        session = client.session("release", FIRST)
        server.kill()
        begun = time.monotonic()
        with pytest.raises(ServerError, match="cannot be reached"):
            session.start(START)
        assert time.monotonic() - begun < 30
