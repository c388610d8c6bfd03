"""A client of ``neuropack serve``: search, records, and tracing, from Python. It needs httpx (the extra web)."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from neuropack.errors import NeuropackError, UsageError
from neuropack.skeleton import Skeleton

if TYPE_CHECKING:
    import httpx

Zyx = Sequence[float]
Record = dict[str, Any]
_TRIES = 4
_MOST_WAIT_S = 30.0


class ServerError(NeuropackError):
    """The server refused a request, or cannot be reached.

    Attributes:
        status: of HTTP; 0 where there was no answer.
        problem: what the server said, as RFC 9457 has it.
    """

    def __init__(self, url: str, status: int, problem: Record) -> None:
        title = str(problem.get("title", f"the server answered {status}"))
        super().__init__(title, where=url, found=str(problem.get("detail") or "") or None)
        self.status, self.problem = status, problem


class ConflictError(ServerError):
    """Somebody else changed what an action touches: `Session.changes` says what."""


@dataclass(frozen=True)
class Path:
    """A path that was found.

    Attributes:
        points: z, y, x in voxels, whose centres lie at whole numbers.
        radius_um: at each.
        confidence: 0 to 1.
        length_um: of the path.
        notes: what a person must know of it.
    """

    points: list[list[float]]
    radius_um: list[float]
    confidence: float
    length_um: float
    notes: list[str]


@dataclass(frozen=True)
class Done:
    """What an action did.

    Attributes:
        revision: of the session after it.
        neurons: that are new or changed.
        removed: neurons that are gone.
        node: where to go on: the end of a path, the new or moved node.
        repeated: the server had done it already.
    """

    revision: int
    neurons: list[int]
    removed: list[int]
    node: int | None
    repeated: bool = False


def connect(url: str, token: str | None = None, *, timeout_s: float = 120.0) -> Client:
    """A client of a server.

    Args:
        url: such as ``http://127.0.0.1:8000``.
        token: where the server needs one.
        timeout_s: seconds that an answer may take.

    Raises:
        UsageError: httpx is not installed.
        ServerError: the server cannot be reached, or does not know the token.
    """
    try:
        import httpx
    except ImportError as error:
        raise UsageError("httpx is not installed", fix="pip install 'neuropack[web]'") from error
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    client = Client(httpx.Client(base_url=url.rstrip("/"), headers=headers, timeout=timeout_s))
    try:
        client.releases()
    except BaseException:
        client.close()
        raise
    return client


class Client:
    """A connection to a server; see `connect`."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def releases(self) -> list[Record]:
        """The releases that are served."""
        found: list[Record] = self.get("/api/v1/releases")["items"]
        return found

    def search(self, table: str = "neurons", *, limit: int = 100, **filters: Any) -> Iterator[Record]:
        """The rows of a table that fit, page by page.

        Args:
            table: neurons, stacks, specimens, subjects, regions, annotations, files or releases.
            limit: rows of a page.
            filters: as the API takes them, such as ``region="VISp"``; see ``/api/v1/openapi.json``.

        Raises:
            ServerError: there is no such table or filter.
        """
        asked = {key: value for key, value in filters.items() if value is not None} | {"limit": limit}
        cursor: str | None = None
        while True:
            page = self.get(f"/api/v1/{table}", **asked, **({"cursor": cursor} if cursor else {}))
            yield from page["items"]
            cursor = page.get("next")
            if not cursor:
                return

    def record(self, table: str, id: str) -> Record:
        """One row of a table by its identifier."""
        return self.get(f"/api/v1/{table}/{id}")

    def download(self, release: str, path: str) -> bytes:
        """A file of a release, whole."""
        return self._ask("GET", f"/files/{release}/{path}").content

    def session(self, release: str, stack: str) -> Session:
        """The tracing session of a stack; the server opens it where nobody has."""
        return Session(self, self.post("/api/v1/tracing/sessions", {"release": release, "stack": stack}))

    def commits(self) -> list[Record]:
        """What was committed, the newest first."""
        found: list[Record] = self.get("/api/v1/tracing/commits")["items"]
        return found

    def get(self, path: str, **parameters: Any) -> Record:
        """The answer of the API to GET, as JSON."""
        found: Record = self._ask("GET", path, params=parameters).json()
        return found

    def post(self, path: str, body: Record) -> Record:
        """The answer of the API to POST, as JSON."""
        found: Record = self._ask("POST", path, json=body).json()
        return found

    def _ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        """An answer. One that is lost, or a server that is busy, is asked again: actions are not done twice."""
        import httpx

        for left in reversed(range(_TRIES)):
            try:
                answer = self._http.request(method, path, **more)
            except httpx.TransportError as error:
                if not left:
                    what = {"title": "the server cannot be reached", "detail": str(error)}
                    raise ServerError(str(self._http.base_url), 0, what) from error
                time.sleep(0.2)
                continue
            if answer.status_code in (429, 503) and left:
                time.sleep(min(_wait(answer), _MOST_WAIT_S))
                continue
            if answer.is_success:
                return answer
            kind = ConflictError if answer.status_code == 409 else ServerError
            raise kind(str(answer.url), answer.status_code, _problem(answer))
        raise AssertionError("unreachable")


@dataclass
class Session:
    """Tracing in one stack, with everybody else who traces there.

    Places are z, y, x in voxels, whose centres lie at whole numbers. Each action goes by what this client has seen:
    where somebody else changed what it touches, it is refused with `ConflictError`; `changes` shows what they did.

    Attributes:
        client: the connection.
        record: the session as the server showed it last; `refresh` gets it anew.
        revision: the newest one that this client has seen.
        neurons: the names of the neurons as they are now, by identifier.
    """

    client: Client
    record: Record
    revision: int = field(init=False)
    _news: list[Record] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self.revision = int(self.record["revision"])
        self._at = f"/api/v1/tracing/sessions/{self.record['id']}"

    def refresh(self) -> Record:
        """Get the session anew, with all that others did."""
        self.record = self.client.get(self._at)
        self.revision = int(self.record["revision"])
        return self.record

    @property
    def neurons(self) -> dict[int, str]:
        """The names of the neurons as they are now, by identifier."""
        return {int(one["id"]): str(one["name"]) for one in self.refresh()["neurons"]}

    def neuron(self, neuron: int) -> Record:
        """A neuron with its nodes."""
        return self.client.get(f"{self._at}/neurons/{neuron}")

    def skeleton(self, neuron: int) -> Skeleton:
        """A neuron as a skeleton, micrometre of the stack."""
        import numpy as np

        nodes = self.neuron(neuron)["nodes"]
        size = np.array(self.record["voxel_size_um"])
        zyx = (np.array([one["zyx"] for one in nodes]).reshape(-1, 3) + 0.5) * size
        return Skeleton(
            id=np.array([one["id"] for one in nodes], np.int64),
            type=np.array([one["type"] for one in nodes], np.int64),
            xyz=zyx[:, ::-1].copy(),
            radius=np.array([one["radius_um"] for one in nodes], np.float64),
            parent=np.array([-1 if one["parent"] is None else one["parent"] for one in nodes], np.int64),
        )

    def changes(self) -> list[Record]:
        """What others did since this client looked last; it has seen that then."""
        self._follow()
        news, self._news = self._news, []
        return news

    def _follow(self, mine: int = 0) -> None:
        found = self.client.get(f"{self._at}/changes", since=self.revision)
        self.revision = int(found["revision"])
        self._news += [one for one in found["items"] if one["revision"] != mine]

    def path(self, start: Zyx, end: Zyx, *, color: bool | None = None, timeout_s: float = 30.0) -> Path:
        """The way along a neurite from one place to another; nothing is changed.

        Args:
            start, end: z, y, x in voxels.
            color: keep to the colour at the start; None: where the image has several channels.
            timeout_s: seconds that the search may take.

        Raises:
            ServerError: none was found; its `problem` has the ``reason``.
        """
        body = {"from": list(start), "to": list(end), "color": color, "timeout_s": timeout_s}
        return Path(**self.client.post(f"{self._at}/paths", body))

    def act(self, action: str, **what: Any) -> Done:
        """Do an action of the API by its name; the methods below are short for it.

        Raises:
            ConflictError: somebody else changed what it touches.
            ServerError: it cannot be done.
        """
        said = {key: list(v) if isinstance(v, tuple) else v for key, v in what.items() if v is not None}
        body = {"action": action, "revision": self.revision, "action_id": uuid.uuid4().hex, **said}
        done = Done(**self.client.post(f"{self._at}/actions", body))
        if done.revision == self.revision + 1:
            self.revision = done.revision
        elif done.revision > self.revision:  # others did something in between, and the server found no conflict
            self._follow(done.revision)
        return done

    def start(self, at: Zyx, name: str | None = None, *, type: int | None = None, snap: bool = False) -> Done:
        """Start a neuron at a place; ``snap`` moves it to the middle of the neurite there."""
        return self.act("start", at=tuple(at), name=name, type=type, snap=snap or None)

    def extend(
        self,
        node: int,
        to: Zyx,
        *,
        color: bool | None = None,
        type: int | None = None,
        straight: bool = False,
        timeout_s: float | None = None,
    ) -> Done:
        """Go on from a node, along a path or in a straight line; off an inner node this makes a branch."""
        more = {"color": color, "type": type, "straight": straight or None, "timeout_s": timeout_s}
        return self.act("extend", node=node, to=tuple(to), **more)

    def join(self, node: int, other: int, *, straight: bool = False) -> Done:
        """Make the neuron of another node part of this one's."""
        return self.act("join", node=node, other=other, straight=straight or None)

    def move(self, node: int, to: Zyx | None = None, *, radius_um: float | None = None) -> Done:
        """Put a node elsewhere, or give it another radius."""
        return self.act("move", node=node, to=None if to is None else tuple(to), radius_um=radius_um)

    def delete(self, *, node: int | None = None, branch: int | None = None, neuron: int | None = None) -> Done:
        """Delete a node, a node with all below it, or a neuron."""
        return self.act("delete", node=node, branch=branch, neuron=neuron)

    def rename(self, neuron: int, name: str) -> Done:
        """Give a neuron another name."""
        return self.act("rename", neuron=neuron, name=name)

    def set_type(self, node: int, type: int, *, below: bool = False) -> Done:
        """Give a node, or it and all below it, another SWC type."""
        return self.act("type", node=node, type=type, below=below)

    def reroot(self, node: int) -> Done:
        """Make a node the root of its neuron."""
        return self.act("reroot", node=node)

    def split(self, node: int, name: str | None = None) -> Done:
        """Make a node and all below it a neuron of their own."""
        return self.act("split", node=node, name=name)

    def take_in(self, neuron: str) -> Done:
        """Take a neuron of the release in, to correct it."""
        return self.act("import", neuron=neuron)

    def undo(self) -> Done:
        """Take the last action back, whoever did it."""
        return self.act("undo")

    def redo(self) -> Done:
        """Do the last action again that was taken back."""
        return self.act("redo")

    def commit(self, neurons: Sequence[int], message: str = "", *, accept: Sequence[str] = ()) -> Record:
        """Make neurons part of the release; it needs the role curate.

        Args:
            neurons: of the session.
            message: what is committed, and why.
            accept: rules whose warnings stand.

        Raises:
            ServerError: the rules have something to say; its `problem` has the ``findings``.
        """
        body = {"neurons": list(neurons), "message": message, "accept": list(accept), "action_id": uuid.uuid4().hex}
        return self.client.post(f"{self._at}/commits", body)


def _wait(answer: httpx.Response) -> float:
    try:
        return max(0.0, float(answer.headers.get("Retry-After", 1)))
    except ValueError:
        return 1.0


def _problem(answer: httpx.Response) -> Record:
    try:
        found = answer.json()
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {}
