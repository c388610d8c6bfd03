"""Tracing through the API, in one process: sessions, actions, what is refused, and searches with an end."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import uvicorn
from served import Asked
from traced_study import FIRST, N1, SIZE, line, make

from neuropack.trace.session import TracingSession
from neuropack.web.problems import ProblemError
from neuropack.web.tracing.budget import Budget
from neuropack.web.tracing.paths import Asked as AskedPath
from neuropack.web.tracing.paths import Paths

SESSIONS = "/api/v1/tracing/sessions"
START, END = line()[10].tolist(), line()[500].tolist()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("traced"))


class Tracer:
    """Somebody who traces in the first stack."""

    def __init__(self, ask: Asked) -> None:
        self.ask = ask
        self.record = ask("POST", SESSIONS, json={"release": "release", "stack": FIRST}).json()
        self.at = f"{SESSIONS}/{self.record['id']}"

    def act(self, action: str, revision: int, **what: Any) -> Any:
        return self.ask("POST", f"{self.at}/actions", json={"action": action, "revision": revision, **what})

    def done(self, action: str, **what: Any) -> Any:
        """An action by one who has seen everything."""
        answer = self.act(action, self.now["revision"], **what)
        assert answer.status_code == 200, answer.text
        return answer.json()

    @property
    def now(self) -> Any:
        return self.ask.get(self.at).json()

    def nodes(self, neuron: int) -> Any:
        return self.ask.get(f"{self.at}/neurons/{neuron}").json()["nodes"]


@pytest.fixture
def ask(built: Path, tmp_path: Path) -> Iterator[Asked]:
    made = Asked(built, edit=True, workspace=tmp_path / "workspace")
    yield made
    made.site.close()


@pytest.fixture
def tracer(ask: Asked) -> Tracer:
    return Tracer(ask)


def test_a_stack_has_one_session_that_all_share(ask: Asked) -> None:
    body = {"release": "release", "stack": FIRST}
    first, second = ask("POST", SESSIONS, json=body), ask("POST", SESSIONS, json=body)
    assert (first.status_code, second.status_code) == (201, 200)
    record = first.json()
    assert record == second.json() == ask.get(first.headers["Location"]).json()
    assert (record["shape"], record["voxel_size_um"], record["revision"]) == (list(SIZE), [2.0, 0.5, 0.5], 0)
    assert [one["id"] for one in ask.get(SESSIONS).json()["items"]] == [record["id"]]
    assert ask.get(f"{SESSIONS}/none").status_code == 404
    for wrong in ({"release": "other", "stack": FIRST}, {"release": "release", "stack": "../x"}):
        assert ask("POST", SESSIONS, json=wrong).status_code == 404


def test_a_path_follows_the_neurite_and_changes_nothing(tracer: Tracer, ask: Asked) -> None:
    answer = ask("POST", f"{tracer.at}/paths", json={"from": START, "to": END})
    assert answer.status_code == 200, answer.text
    path = answer.json()
    points = np.array(path["points"])
    assert np.allclose(points[[0, -1]], [START, END])
    off = np.linalg.norm((points[:, None] - line()[None]) * [2.0, 0.5, 0.5], axis=2).min(axis=1)
    assert off.max() < 2.5
    assert len(path["radius_um"]) == len(points)
    assert tracer.now["revision"] == 0


def test_a_neuron_is_traced_corrected_and_read(tracer: Tracer, ask: Asked) -> None:
    soma = tracer.done("start", at=START, name="n7", type=1, radius_um=3)["node"]
    tip = tracer.done("extend", node=soma, to=END, type=3)["node"]
    nodes = {one["id"]: one for one in tracer.nodes(1)}
    assert nodes[tip]["zyx"] == pytest.approx(END)
    assert (nodes[soma]["parent"], nodes[soma]["type"], nodes[tip]["type"]) == (None, 1, 3)
    assert nodes[tip]["made"] == "path"
    inner = nodes[tip]["parent"]
    branch = tracer.done("extend", node=inner, to=[2, 60, 70], straight=True)["node"]
    assert tracer.nodes(1)[-1]["made"] == "straight"
    assert tracer.done("move", node=branch, to=[3, 60, 70])["node"] == branch
    assert tracer.done("type", node=branch, type=2)["neurons"] == [1]
    assert tracer.done("rename", neuron=1, name="n8")["neurons"] == [1]
    two = tracer.done("split", node=branch, name="off")
    assert (two["neurons"], tracer.now["neurons"][1]["name"]) == ([1, 2], "off")
    joined = tracer.done("join", node=inner, other=branch, straight=True)
    assert (joined["neurons"], joined["removed"]) == ([1], [2])
    assert tracer.done("delete", branch=branch)["removed"] == []
    assert tracer.done("undo")["neurons"] == [1]
    assert tracer.done("redo")["neurons"] == [1]
    assert tracer.done("reroot", node=tip)["neurons"] == [1]
    swc = ask.get(f"{tracer.at}/neurons/1.swc")
    assert swc.status_code == 200
    assert "step(s), the last at" in swc.text
    assert tracer.done("delete", neuron=1)["removed"] == [1]
    assert ask.get(f"{tracer.at}/neurons/1").status_code == 404


def test_another_browser_follows(tracer: Tracer, ask: Asked) -> None:
    tracer.done("start", at=START)
    tracer.done("extend", node=1, to=[5, 20, 20], straight=True)
    found = ask.get(f"{tracer.at}/changes?since=1").json()
    (change,) = found["items"]
    assert (found["revision"], found["reload"], change["action"]) == (2, False, "extend")
    assert change["nodes"][0]["zyx"] == pytest.approx([5, 20, 20])
    assert change["person"]
    assert ask.get(f"{tracer.at}/changes?since=9").status_code == 422


@pytest.fixture
def two(tracer: Tracer) -> Tracer:
    """Two neurons of three nodes each: 1, 2, 3 and 4, 5, 6; at revision 6."""
    for at in ([2, 10, 10], [2, 40, 10]):
        node = tracer.done("start", at=at)["node"]
        for x in (30, 50):
            node = tracer.done("extend", node=node, to=[*at[:2], x], straight=True)["node"]
    return tracer


THEIRS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"action": "move", "node": 3, "to": [2, 12, 50]}, {"action": "move", "node": 3, "radius_um": 2}),
    ({"action": "move", "node": 3, "to": [2, 12, 50]}, {"action": "extend", "node": 3, "to": [2, 10, 70]}),
    (
        {"action": "extend", "node": 3, "to": [2, 10, 70], "straight": True},
        {"action": "extend", "node": 3, "to": [2, 20, 70], "straight": True},
    ),
    ({"action": "delete", "branch": 2}, {"action": "type", "node": 3, "type": 2}),
    ({"action": "type", "node": 3, "type": 2}, {"action": "delete", "branch": 2}),
    ({"action": "extend", "node": 3, "to": [2, 10, 70], "straight": True}, {"action": "delete", "neuron": 1}),
    ({"action": "rename", "neuron": 1, "name": "a"}, {"action": "rename", "neuron": 1, "name": "b"}),
    ({"action": "rename", "neuron": 1, "name": "a"}, {"action": "join", "node": 6, "other": 1, "straight": True}),
    ({"action": "move", "node": 2, "to": [2, 12, 30]}, {"action": "reroot", "node": 3}),
    ({"action": "move", "node": 3, "to": [2, 12, 30]}, {"action": "split", "node": 2}),
    ({"action": "rename", "neuron": 2, "name": "a"}, {"action": "undo"}),
]


@pytest.mark.parametrize(("theirs", "mine"), THEIRS, ids=lambda one: one["action"])
def test_nobody_overwrites_what_they_have_not_seen(two: Tracer, theirs: Any, mine: Any) -> None:
    assert two.act(revision=6, **theirs).status_code == 200
    before = two.ask.get(f"{two.at}/changes?since=0").json()
    answer = two.act(revision=6, **mine)
    assert answer.status_code == 409, answer.text
    assert answer.json()["revision"] == 7
    assert [one["revision"] for one in answer.json()["changes"]] == [7]
    assert two.ask.get(f"{two.at}/changes?since=0").json() == before


def test_what_does_not_touch_what_was_changed_is_accepted(two: Tracer) -> None:
    two.done("move", node=3, to=[2, 12, 50])
    for mine in ({"action": "move", "node": 6, "radius_um": 2}, {"action": "move", "node": 2, "radius_um": 2}):
        assert two.act(revision=6, **mine).status_code == 200
    assert two.act("start", 6, at=[9, 9, 9]).status_code == 200
    assert two.act("move", 99, node=6, radius_um=2).status_code == 422  # there is no such revision yet


def test_a_conflict_is_found_after_a_restart_too(two: Tracer, built: Path, tmp_path: Path) -> None:
    two.done("move", node=3, to=[2, 12, 50])
    two.ask.site.close()
    again = Asked(built, edit=True, workspace=tmp_path / "workspace")
    late = Tracer(again)
    assert late.act("move", 6, node=3, radius_um=2).status_code == 409
    assert late.act("move", 6, node=6, radius_um=2).status_code == 200
    again.site.close()


def test_an_action_sent_again_is_not_done_twice(two: Tracer, built: Path, tmp_path: Path) -> None:
    body = {"action_id": "a1", "at": [9, 9, 9]}
    first = two.act("start", 6, **body).json()
    assert two.act("start", 6, **body).json() == {**first, "repeated": True}
    key = {"Idempotency-Key": "a2"}
    move = {"action": "move", "revision": 7, "node": 6, "to": [3, 40, 50]}
    answers = [two.ask("POST", f"{two.at}/actions", json=move, headers=key).json() for _ in "12"]
    assert [one["revision"] for one in answers] == [8, 8]
    assert two.act("start", 8, action_id="a1", at=[9, 9, 10]).status_code == 422  # another one
    two.ask.site.close()
    again = Asked(built, edit=True, workspace=tmp_path / "workspace")
    assert Tracer(again).act("start", 6, **body).json() == {**first, "repeated": True}
    again.site.close()


def test_two_at_once_under_one_name_are_one(two: Tracer) -> None:
    async def both() -> list[Any]:
        body = {"action": "start", "revision": 6, "at": [9, 9, 9], "action_id": "once"}
        return await asyncio.gather(*(two.ask._ask("POST", f"{two.at}/actions", json=body) for _ in range(4)))

    revisions = {one.json()["revision"] for one in asyncio.run(both())}
    assert revisions == {7}


def test_a_neuron_of_the_release_is_taken_in(tracer: Tracer) -> None:
    done = tracer.done("import", neuron=N1)
    (neuron,) = tracer.now["neurons"]
    assert (neuron["name"], neuron["origin"], done["neurons"]) == ("n1", N1, [1])
    assert tracer.act("import", 1, neuron=N1).status_code == 422
    assert tracer.act("import", 1, neuron="other").status_code == 404


@pytest.mark.parametrize(
    "wrong",
    [
        {"action": "start", "at": [0, 0, 9999]},
        {"action": "start", "at": [0, 0]},
        {"action": "start", "at": [0, 0, 1], "name": "../x"},
        {"action": "start", "at": [0, 0, 1], "more": 1},
        {"action": "fly"},
        {"action": "extend", "node": 77, "to": [1, 1, 1]},
        {"action": "extend", "node": 3, "to": [1, 1, 9999]},
        {"action": "move", "node": 3},
        {"action": "delete"},
        {"action": "delete", "node": 1, "neuron": 1},
        {"action": "rename", "neuron": 77, "name": "x"},
        {"action": "join", "node": 1, "other": 3},
        {"action": "redo"},
        {"action": "move", "node": 1e400, "radius_um": 1},
    ],
    ids=json.dumps,
)
def test_what_cannot_be_done_is_told(two: Tracer, wrong: Any) -> None:
    body = json.dumps({"revision": 6, **wrong}).encode()
    answer = two.ask("POST", f"{two.at}/actions", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert two.now["revision"] == 6


def test_without_edit_nothing_is_traced(built: Path, tmp_path: Path) -> None:
    ask = Asked(built, workspace=tmp_path / "workspace")
    assert ask("POST", SESSIONS, json={"release": "release", "stack": FIRST}).status_code == 403
    assert ask.get(SESSIONS).json()["items"] == []
    assert ask.get("/api/v1/tracing/commits").json()["items"] == []
    assert ask.get(f"{SESSIONS}/x").status_code == 403
    ask.site.close()
    assert not (tmp_path / "workspace").exists()


def test_a_second_server_cannot_trace_in_one_workspace(tracer: Tracer, built: Path, tmp_path: Path) -> None:
    other = Asked(built, edit=True, workspace=tmp_path / "workspace")
    answer = other("POST", SESSIONS, json={"release": "release", "stack": FIRST})
    assert answer.status_code == 409
    other.site.close()


def test_a_lock_that_a_dead_server_left_is_in_nobodys_way(built: Path, tmp_path: Path) -> None:
    first = Asked(built, edit=True, workspace=tmp_path / "workspace")
    folder = tmp_path / "workspace" / "release" / "sessions" / Tracer(first).record["id"]
    first.site.close()
    folder.with_name(f".{folder.name}.lock").touch()
    again = Asked(built, edit=True, workspace=tmp_path / "workspace")
    assert Tracer(again).record["revision"] == 0
    again.site.close()


# ---- searches


class Slow:
    """A path finder that takes as long as it is let."""

    def __init__(self) -> None:
        self.running, self.ended = threading.Event(), threading.Event()

    def find(self, start: Any, end: Any, *, cancel: Any) -> Any:
        from neuropack.trace import PathError

        self.running.set()
        while not cancel():
            time.sleep(0.01)
        self.ended.set()
        raise PathError("the search was cancelled", "cancelled")


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Slow:
    made = Slow()
    monkeypatch.setattr(Paths, "_finder", lambda self, asked: made)
    return made


def asked(timeout_s: float, end: float = 9.0) -> AskedPath:
    return AskedPath("key", None, (0.0, 0.0, 0.0), (0.0, 0.0, end), False, timeout_s)  # type: ignore[arg-type]


async def here() -> bool:
    return False


def test_a_search_ends_with_its_time(slow: Slow) -> None:
    paths = Paths(Budget(at_once=1))
    with pytest.raises(ProblemError, match="no path") as told:
        asyncio.run(paths.find(asked(0.1), here))
    assert (told.value.status, told.value.more["reason"]) == (422, "time-out")
    assert slow.ended.wait(2)
    paths.close()


def test_no_search_is_longer_than_the_budget_allows(slow: Slow) -> None:
    paths = Paths(Budget(at_once=1, timeout_s=0.1))
    with pytest.raises(ProblemError) as told:
        asyncio.run(paths.find(asked(600), here))
    assert told.value.more["reason"] == "time-out"
    paths.close()


def test_a_search_ends_when_the_client_goes_away(slow: Slow) -> None:
    paths = Paths(Budget(at_once=1))
    gone = threading.Event()

    async def away() -> bool:
        return gone.is_set()

    async def leave() -> float:
        search = asyncio.ensure_future(paths.find(asked(60), away))
        while not slow.running.is_set():
            await asyncio.sleep(0.005)
        gone.set()
        begun = time.monotonic()
        with pytest.raises(ProblemError, match="gone"):
            await search
        while not slow.ended.is_set():
            await asyncio.sleep(0.005)
        return time.monotonic() - begun

    assert asyncio.run(leave()) < 5  # a fifth of a second where nobody else needs the machine
    assert paths.asked == 0
    paths.close()


def test_a_broken_connection_ends_the_search(tracer: Tracer, slow: Slow) -> None:
    config = uvicorn.Config(tracer.ask.app, log_level="critical", lifespan="off")
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}{tracer.at}/paths"
        thread = threading.Thread(target=lambda: server.run([listening]))
        thread.start()
        while not server.started:
            time.sleep(0.01)
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(url, json={"from": START, "to": END, "timeout_s": 60}, timeout=0.5)
        assert slow.running.is_set()
        assert slow.ended.wait(5)  # a fifth of a second where nobody else needs the machine
        server.should_exit = True
        thread.join(30)


def test_more_searches_than_there_is_room_for_are_sent_back(slow: Slow) -> None:
    paths = Paths(Budget(at_once=1, waiting=1, timeout_s=1.0))

    async def three() -> list[Any]:
        return await asyncio.gather(
            *(paths.find(asked(1, 5.0 + n), here) for n in range(3)), return_exceptions=True
        )

    found = asyncio.run(three())
    assert sorted(one.status for one in found) == [422, 422, 503]
    busy = next(one for one in found if one.status == 503)
    assert busy.headers["Retry-After"] == "2"
    paths.close()


def test_path_finders_that_nobody_needs_go(tracer: Tracer, ask: Asked) -> None:
    paths = ask.app.state.tracing.paths
    paths.budget = Budget(finders=1)
    for color in (True, False):
        ask("POST", f"{tracer.at}/paths", json={"from": START, "to": line()[60].tolist(), "color": color})
    assert paths.warm == 1


def test_where_there_is_no_way_the_answer_says_so(tracer: Tracer, ask: Asked) -> None:
    ask.app.state.tracing.paths.budget = Budget(most_expansions=10)
    answer = ask("POST", f"{tracer.at}/paths", json={"from": START, "to": END, "color": False})
    assert (answer.status_code, answer.json()["reason"]) == (422, "budget")
    same = ask("POST", f"{tracer.at}/paths", json={"from": START, "to": START})
    assert same.status_code == 422


def test_the_log_says_who_and_how(tracer: Tracer, ask: Asked, tmp_path: Path) -> None:
    tracer.done("start", at=START, snap=True)
    tracer.done("extend", node=1, to=END)
    ask.site.close()
    folder = tmp_path / "workspace" / "release" / "sessions" / tracer.record["id"]
    lines = [json.loads(one) for one in (folder / "log.jsonl").read_text().splitlines()[1:]]
    assert all(one["person"] and one["at"] for one in lines)
    assert lines[1]["settings"]["color"] is True
    with TracingSession(folder) as session:
        assert len(session) > 10
    shutil.rmtree(folder)
