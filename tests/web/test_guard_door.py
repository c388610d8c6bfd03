"""What is refused at the door: foreign names and pages, long bodies, too many requests; and the audit log."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import pytest
from fastapi import Depends, Request
from pydantic import BaseModel
from served import Asked, make_release

from neuropack.errors import OutputError, UsageError
from neuropack.web import tokens
from neuropack.web.guard import Person, needs, note
from neuropack.web.limits import Rate

JSON = {"content-type": "application/json"}


class Step(BaseModel):
    """What the door of a test takes."""

    text: str


def change(request: Request, step: Step, person: Annotated[Person, Depends(needs("annotate"))]) -> dict[str, Any]:
    """Something that changes something."""
    note(request, action="extend", neuron=3)
    return {"length": len(step.text), "person": person.name}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_release(tmp_path_factory.mktemp("releases") / "small")


@pytest.fixture
def door(root: Path, tmp_path: Path) -> Callable[..., Asked]:
    def made(**settings: Any) -> Asked:
        ask = Asked(root, **{"edit": True, "workspace": tmp_path / "work", **settings})
        ask.app.add_api_route("/api/v1/change", change, methods=["POST"])
        return ask

    return made


def post(ask: Asked, text: str = "a", path: str = "/api/v1/change", **headers: str) -> Any:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return ask("POST", path, content=json.dumps({"text": text}), headers={**JSON, **given})


def test_a_server_answers_to_its_own_names_alone(door: Callable[..., Asked]) -> None:
    ask = door(names=("atlas.example.org",))
    for name in ("127.0.0.1", "localhost:8000", "[::1]:8000", "192.168.0.7:80", "Atlas.Example.org", "localhost."):
        assert ask.get("/healthz", host=name).status_code == 200, name
    for name in ("evil.example", "localhost.evil.example", "127.0.0.1.evil.example:8000", "", "]", "a b", "[::1"):
        answer = ask.get("/healthz", host=name)
        assert answer.status_code == 421, name
        assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"origin": "http://127.0.0.1"}, 200),
        ({"origin": "http://127.0.0.1", "sec_fetch_site": "same-origin"}, 200),
        ({"sec_fetch_site": "none"}, 200),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "http://127.0.0.1:81"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": ""}, 403),
        ({"sec_fetch_site": "cross-site"}, 403),
        ({"sec_fetch_site": "same-site"}, 403),
        ({"origin": "http://127.0.0.1", "sec_fetch_site": "cross-site"}, 403),
        ({"origin": "https://friend.example"}, 403),  # may read, and shows no token by itself
    ],
)
def test_pages_of_other_servers_change_nothing(
    door: Callable[..., Asked], headers: dict[str, str], status: int
) -> None:
    assert post(door(cors=("https://friend.example",)), **headers).status_code == status


def test_a_page_that_may_read_and_shows_a_token_may_change(door: Callable[..., Asked], tmp_path: Path) -> None:
    token = tokens.add(tmp_path / "t.json", "Ada", "annotate")
    ask = door(cors=("https://friend.example",), tokens=tmp_path / "t.json")
    friend = {"origin": "https://friend.example", "sec_fetch_site": "cross-site"}
    assert post(ask, **friend, authorization=f"Bearer {token}").json()["person"] == "Ada"
    assert post(ask, **friend, cookie=f"neuropack={token}").status_code == 403
    assert post(ask, origin="https://evil.example", authorization=f"Bearer {token}").status_code == 403


def test_other_pages_read_only_where_they_may(door: Callable[..., Asked]) -> None:
    allowed = "access-control-allow-origin"
    assert allowed not in door().get("/healthz", origin="https://friend.example").headers
    ask = door(cors=("https://friend.example",))
    answer = ask.get("/files/letters.txt", origin="https://friend.example")
    assert answer.headers[allowed] == "https://friend.example"
    assert "access-control-allow-credentials" not in answer.headers
    assert "Origin" in answer.headers["vary"]
    assert allowed not in ask.get("/healthz", origin="https://evil.example").headers
    asked = {"origin": "https://friend.example", "access-control-request-method": "GET"}
    before = ask("OPTIONS", "/files/letters.txt", headers=asked)
    assert before.status_code == 204
    assert "Range" in before.headers["access-control-allow-headers"]
    assert door(cors=("*",)).get("/healthz", origin="https://any.example").headers[allowed] == "*"


@pytest.mark.parametrize("said", [True, False], ids=["length", "chunks"])
def test_a_body_that_is_too_long_is_not_read(door: Callable[..., Asked], said: bool) -> None:
    ask, sent = door(body_limit=1000), 0

    async def pieces() -> Any:
        nonlocal sent
        for _ in range(1000):
            sent += 100
            yield b" " * 100

    answer = ask("POST", "/api/v1/change", content=b" " * 1001 if said else pieces(), headers=JSON)
    assert answer.status_code == 413
    assert answer.headers["content-type"] == "application/problem+json"
    assert sent < 2000
    assert post(ask, "a" * 900).status_code == 200


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b'{"text": "a"}', "application/json; charset=utf-8", 200),
        (b'{"text": "a"}', "application/merge-patch+json", 200),
        (b'{"text": "a"}', "text/plain", 415),
        (b"text=a", "application/x-www-form-urlencoded", 415),
        (b'{"text": "a"}', "", 415),
        (b'{"text": ', "application/json", 422),
        (b'{"text": 3}', "application/json", 422),
        (b"[" * 100_000, "application/json", 400),
        (b"\xff\xfe", "application/json", 422),
        (b'{"\\ud800": 1}', "application/json", 422),
        (b"", "application/json", 422),
    ],
)
def test_bodies(door: Callable[..., Asked], content: bytes, kind: str, status: int) -> None:
    answer = door()("POST", "/api/v1/change", content=content, headers={"content-type": kind} if kind else {})
    assert answer.status_code == status, answer.text
    assert status == 200 or answer.headers["content-type"] == "application/problem+json"


def test_a_bucket_is_filled_again() -> None:
    now = 0.0
    rate = Rate(2.0, lambda: now)
    assert [rate.wait("a") for _ in range(21)] == [0.0] * 20 + [0.5]
    assert rate.wait("b") == 0.0
    now = 0.5
    assert rate.wait("a") == 0.0
    assert rate.wait("a") == 0.5
    assert all(Rate(0).wait("a") == 0 for _ in range(1000))
    for n in range(20_000):
        rate.wait(str(n))
    assert len(rate._buckets) == 10_000


def test_too_many_requests_have_to_wait(door: Callable[..., Asked], tmp_path: Path) -> None:
    ask = door(rate=0.5)
    answers = [ask.get("/healthz") for _ in range(6)]
    assert [one.status_code for one in answers] == [200] * 5 + [429]
    assert int(answers[-1].headers["retry-after"]) >= 1
    given = [tokens.add(tmp_path / "t.json", name, "view") for name in ("Ada", "Bob")]
    ask = door(rate=0.5, tokens=tmp_path / "t.json")
    for token, status in ((given[0], 200), (given[0], 429), (given[1], 200)):
        for _ in range(5):
            answer = ask.get("/api/v1/tables", authorization=f"Bearer {token}")
        assert answer.status_code == status


def test_who_guesses_tokens_has_to_wait(door: Callable[..., Asked], tmp_path: Path) -> None:
    token = tokens.add(tmp_path / "t.json", "Ada", "view")
    ask = door(tokens=tmp_path / "t.json")
    found = [ask.get("/", authorization=f"Bearer np_{n}").status_code for n in range(15)]
    assert found[:10] == [401] * 10
    assert 429 in found
    assert ask.get("/api/v1/tables", authorization=f"Bearer {token}").status_code == 200


def test_headers_keep_pages_from_what_they_never_do(door: Callable[..., Asked]) -> None:
    ask = door()
    for path in ("/healthz", "/nothing", "/api/v1/neurons", "/login"):
        headers = ask.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        policy = headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
    assert "'wasm-unsafe-eval'" in ask.get("/neuroglancer/").headers["content-security-policy"]
    assert "server" not in headers


def test_what_changes_something_is_written_down(door: Callable[..., Asked], tmp_path: Path) -> None:
    token = tokens.add(tmp_path / "t.json", "Ada", "annotate")
    viewer = tokens.add(tmp_path / "t.json", "Bob", "view")
    ask = door(tokens=tmp_path / "t.json")
    post(ask, authorization=f"Bearer {token}")
    post(ask, authorization=f"Bearer {viewer}")
    post(ask, authorization="Bearer np_wrong")
    ask.get("/api/v1/tables", authorization=f"Bearer {token}")
    file = tmp_path / "work" / "small" / "audit.jsonl"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [(one["person"], one["status"]) for one in lines] == [("Ada", 200), ("Bob", 403), (None, 401)]
    assert lines[0]["action"] == "extend"
    assert lines[0]["path"] == "/api/v1/change"
    assert lines[0]["time"].endswith("+00:00")
    assert token not in file.read_text()
    ask.site.close()
    post(door(tokens=tmp_path / "t.json"), authorization=f"Bearer {token}")
    assert len(file.read_text().splitlines()) == 4  # lines are only added


def test_what_is_to_be_saved_is_saved_at_the_end(door: Callable[..., Asked]) -> None:
    site, saved = door().site, []
    site.at_end += [lambda: saved.append("first"), lambda: saved.append("second")]
    site.close()
    site.close()
    assert saved == ["second", "first"]


def test_an_audit_log_that_cannot_be_written_stops_the_start(root: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="audit log"):
        Asked(root, edit=True, audit=tmp_path / "file" / "audit.jsonl")


@pytest.mark.parametrize("place", ["small/work", ".", "small/.."])
def test_a_workspace_does_not_lie_in_a_release_nor_it_in_one(tmp_path: Path, place: str) -> None:
    root = make_release(tmp_path / "small")
    with pytest.raises(UsageError, match="workspace"):
        Asked(root, edit=True, workspace=tmp_path / place)
    assert not (root / "work").exists()


def test_a_token_becomes_a_cookie(door: Callable[..., Asked], tmp_path: Path) -> None:
    token = tokens.add(tmp_path / "t.json", "Ada", "view")
    ask = door(tokens=tmp_path / "t.json")
    page = ask.get("/search?q=a", accept="text/html")
    assert page.status_code == 303
    assert page.headers["location"] == "/login?next=/search%3Fq%3Da"
    assert ask.get("/api/v1/tables", accept="text/html").status_code == 401
    form = ask.get(page.headers["location"])
    assert 'name="next" value="/search?q=a"' in form.text
    answer = ask("POST", "/login", data={"token": token, "next": "/search?q=a"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/search?q=a")
    cookie = answer.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))
    sent = cookie.partition(";")[0]
    assert ask.get("/api/v1/me", cookie=sent).json() == {"name": "Ada", "role": "view", "edit": True}
    by_json = ask("POST", "/login", json={"token": token})
    assert by_json.json() == {"name": "Ada", "role": "view"}
    assert 'neuropack=""' in ask("POST", "/logout", headers={"cookie": sent}).headers["set-cookie"]
    assert ask("POST", "/login", data={"token": "wrong"}).status_code == 401
    for body in ("[]", "{", '{"token": 3}', '{"token": "np_x"}', "[" * 100_000):
        assert ask("POST", "/login", content=body, headers=JSON).status_code in (401, 422)
    assert (
        ask("POST", "/login", json={"token": token}, headers={"origin": "http://evil.example"}).status_code == 403
    )
    assert door().get("/api/v1/me").json()["role"] == "curate"


@pytest.mark.parametrize("next_", ["//evil.example", "https://evil.example", "/\\evil.example", "/a\r\nX: 1", "x"])
def test_logging_in_leads_nowhere_else(door: Callable[..., Asked], tmp_path: Path, next_: str) -> None:
    token = tokens.add(tmp_path / "t.json", "Ada", "view")
    answer = door(tokens=tmp_path / "t.json")("POST", "/login", data={"token": token, "next": next_})
    assert answer.headers["location"] == "/"


def test_a_form_cannot_be_broken_out_of(door: Callable[..., Asked]) -> None:
    assert "<script>" not in door().get("/login?next=/%22%3E%3Cscript%3E").text


def test_nobody_is_let_in_when_the_file_of_tokens_is_gone(door: Callable[..., Asked], tmp_path: Path) -> None:
    token = tokens.add(tmp_path / "t.json", "Ada", "view")
    ask = door(tokens=tmp_path / "t.json")
    (tmp_path / "t.json").unlink()
    assert ask.get("/api/v1/tables", authorization=f"Bearer {token}").status_code == 503


def test_what_a_watcher_asks(door: Callable[..., Asked], tmp_path: Path) -> None:
    token = tokens.add(tmp_path / "t.json", "Ada", "view")
    ask = door(tokens=tmp_path / "t.json")
    assert ask.get("/healthz").json() == {"status": "ok"}
    assert ask.get("/readyz").json() == {"status": "ok"}
    assert ask.get("/metrics").status_code == 401
    for n in range(50):  # addresses that are not there do not become names in the metrics
        ask.get(f"/nothing/{n}", authorization=f"Bearer {token}")
    text = ask.get("/metrics", authorization=f"Bearer {token}").text
    assert 'neuropack_requests_total{method="GET",route="/healthz",status="200"} 1.0' in text
    assert 'route="none",status="404"} 50.0' in text
    assert "process_resident_memory_bytes" in text


def test_a_server_whose_release_is_away_is_not_ready(tmp_path: Path) -> None:
    root = make_release(tmp_path / "small")
    ask = Asked(root)
    root.rename(tmp_path / "moved")
    assert ask.get("/readyz").status_code == 503
    assert ask.get("/healthz").status_code == 200
