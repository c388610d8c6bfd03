"""Who may do what: tokens, roles, and what is refused."""

from __future__ import annotations

import json
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fastapi import Depends
from served import Asked, make_release

from neuropack.errors import InputError, UsageError
from neuropack.web import tokens
from neuropack.web.guard import Person, needs


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "tokens.json"


def with_doors(ask: Asked) -> Asked:
    """An address for each role, that says who came in."""
    for role in tokens.ROLES:

        def door(person: Person = Depends(needs(role))) -> dict[str, str]:  # noqa: B008 - role is local
            return {"name": person.name, "role": person.role}

        ask.app.add_api_route(f"/door/{role}", door, methods=["GET", "POST"])
    return ask


def test_a_token_is_not_in_the_file_and_the_file_is_for_its_owner_alone(file: Path) -> None:
    token = tokens.add(file, "Ada", "curate")
    assert len(token) > 43
    assert token not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    found = tokens.Tokens(file).find(token)
    assert found is not None
    assert (found.name, found.role, found.expires) == ("Ada", "curate", None)
    assert tokens.Tokens(file).find(token[:-1]) is None
    assert tokens.Tokens(file).find(found.sha256) is None


def test_a_token_ends(file: Path) -> None:
    now = datetime.now(UTC)
    past = tokens.add(file, "past", "view", now - timedelta(seconds=1))
    future = tokens.add(file, "future", "view", now + timedelta(hours=1))
    known = tokens.Tokens(file)
    assert known.find(past) is None
    assert known.find(future) is not None
    tokens.remove(file, "future")
    assert known.find(future) is None  # the file is read again


@pytest.mark.parametrize(("name", "role"), [("Ada", "view"), ("", "view"), ("a\nb", "view"), ("Bob", "admin")])
def test_tokens_that_cannot_be_made(file: Path, name: str, role: str) -> None:
    tokens.add(file, "Ada", "view")
    before = file.read_bytes()
    with pytest.raises(UsageError):
        tokens.add(file, name, role)
    with pytest.raises(UsageError):
        tokens.remove(file, "nobody")
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"tokens": [{}]}',
        '{"tokens": 3}',
        '{"tokens": [{"name": "a", "role": "root", "sha256": "%s", "created": ""}]}' % ("0" * 64),
        '{"tokens": [{"name": "a", "role": "view", "sha256": 3, "created": ""}]}',
        '{"tokens": [{"name": "a", "role": "view", "sha256": "%s", "created": "", "expires": "no"}]}' % ("0" * 64),
        "[" * 100_000,
        " " * (1 << 20) + "{}",
    ],
)
def test_a_file_that_is_none_of_tokens(file: Path, content: str) -> None:
    file.write_text(content)
    with pytest.raises(InputError, match=r"tokens\.json"):
        tokens.Tokens(file)


def test_without_tokens_everybody_views_and_with_edit_is_the_curator(tmp_path: Path) -> None:
    root = make_release(tmp_path / "small")
    ask = with_doors(Asked(root))
    assert ask.get("/door/view").json()["role"] == "view"
    assert ask.get("/door/annotate").status_code == 403
    ask = with_doors(Asked(root, edit=True))
    assert ask.get("/door/curate").json()["role"] == "curate"


def test_roles(tmp_path: Path, file: Path) -> None:
    given = {role: tokens.add(file, f"the {role}r", role) for role in tokens.ROLES}
    root = make_release(tmp_path / "small")
    ask = with_doors(Asked(root, tokens=file, edit=True))
    still = with_doors(Asked(root, tokens=file))
    for n, (role, token) in enumerate(given.items()):
        for m, door in enumerate(tokens.ROLES):
            answer = ask.get(f"/door/{door}", authorization=f"Bearer {token}")
            assert answer.status_code == (200 if m <= n else 403)
            assert answer.json().get("name", f"the {role}r") == f"the {role}r"
            cookie = ask.get(f"/door/{door}", cookie=f"other=1; neuropack={token}")
            assert cookie.status_code == answer.status_code
        assert still.get("/door/annotate", authorization=f"Bearer {token}").status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer np_wrong"},
        {"authorization": "Basic QWRhOng="},
        {"authorization": "Bearer"},
        {"authorization": "Bearer \xff".encode("latin-1").decode("latin-1")},
        {"cookie": "neuropack=wrong"},
        {"cookie": "neuropack"},
        {"cookie": '=;"'},
    ],
)
def test_bad_tokens_are_told_so(tmp_path: Path, file: Path, headers: dict[str, str]) -> None:
    tokens.add(file, "Ada", "view")
    ask = Asked(make_release(tmp_path / "small"), tokens=file)
    for path in ("/api/v1/neurons", "/files/small/letters.txt"):
        answer = ask("GET", path, headers=[(k.encode(), v.encode("latin-1")) for k, v in headers.items()])
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert answer.headers["content-type"] == "application/problem+json"
        assert json.loads(answer.content)["status"] == 401
