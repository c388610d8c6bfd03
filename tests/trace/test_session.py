"""Tracing sessions: what operations do, that nothing is lost, and that any of it can be taken back."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neuropack.errors import InputError, NeuropackError, OutputError, UsageError
from neuropack.skeleton import Skeleton
from neuropack.swc import read_swc
from neuropack.trace.session import ConflictError, TracingSession
from neuropack.volume import Volume, from_array

VOXEL = (2.0, 0.5, 0.5)


@dataclass
class Line:
    """A path as a finder gives it."""

    xyz: npt.NDArray[np.float64]
    radius_um: npt.NDArray[np.float64]
    confidence: float


class Straight:
    """A finder that finds three points on a line, and remembers what it was asked."""

    def __init__(self, before: Callable[[], None] | None = None) -> None:
        self.asked: list[tuple[Any, Any]] = []
        self.before = before

    def find(self, start_zyx: Any, end_zyx: Any, *, cancel: Any = None, progress: Any = None) -> Line:
        self.asked.append((start_zyx, end_zyx))
        if self.before:
            self.before()
        ends = [(np.array(p) + 0.5)[::-1] * VOXEL[::-1] for p in (start_zyx, end_zyx)]
        return Line(np.linspace(*ends, 3), np.array([0.5, 0.6, 0.7]), 0.9)


def image() -> Volume:
    return from_array(np.zeros((10, 40, 40), np.uint8), "ZYX", path="image.tif", voxel_size_um=VOXEL)


@pytest.fixture
def session(tmp_path: Path) -> Iterator[TracingSession]:
    with TracingSession(tmp_path / "s", image(), Straight(), person="Jane", autosave_s=None) as made:
        yield made


def rows(session: TracingSession) -> dict[str, Any]:
    """The state without what undoing moves: revision and what can be undone."""
    state = session.state()
    return {"neurons": state["neurons"], "nodes": state["nodes"]}


def test_a_path_is_asked_for_in_voxels_and_hangs_at_the_node(session: TracingSession) -> None:
    (root,) = session.start((1.25, 2.25, 3.0), "axon", type=1, radius=4).made
    change = session.extend(root, (6.25, 2.25, 7.0))
    assert isinstance(session.finder, Straight)
    assert session.finder.asked == [((1.0, 4.0, 2.0), (3.0, 4.0, 12.0))]
    tree = session.skeleton(1)
    assert tree.xyz.tolist() == [[1.25, 2.25, 3], [3.75, 2.25, 5], [6.25, 2.25, 7]]
    assert tree.parent.tolist() == [-1, 1, 2] and tree.type.tolist() == [1, 0, 0]
    assert tree.radius.tolist() == [4, 0.6, 0.7]
    assert change.to_dict()["nodes"]["3"]["confidence"] == 0.9
    assert change.to_dict()["nodes"]["3"]["made"] == "path"


def test_a_straight_line_is_marked_as_such(session: TracingSession) -> None:
    (root,) = session.start((1, 1, 1)).made
    (end,) = session.extend(root, (5, 5, 5), how="straight").made
    assert session.node(end)["made"] == "straight" and session.node(end)["confidence"] == 0
    session.save()
    text = (session.folder / "neurons" / "neuron-1.swc").read_text(encoding="utf-8")
    assert "1 node(s) at the end of a straight line" in text and "last saved by Jane" in text


def test_extend_goes_on_from_ends_and_branch_from_anywhere(session: TracingSession) -> None:
    (root,) = session.start((1, 1, 1)).made
    session.extend(root, (5, 5, 5))
    with pytest.raises(UsageError, match="not the end of a branch"):
        session.extend(root, (8, 8, 8))
    session.branch(root, (8, 8, 8))
    assert len(session.children(root)) == 2


def test_join_turns_the_other_tree_round_and_what_made_an_edge_stays_with_it(session: TracingSession) -> None:
    (a,) = session.start((1, 1, 1), "a").made
    (b,) = session.start((9, 1, 1), "b").made
    (c,) = session.extend(b, (7, 1, 1), how="straight").made
    (d,) = session.branch(b, (9, 4, 1), how="straight").made
    change = session.join(a, c, how="straight")
    assert session.neurons == {1: "a"}
    assert [session.node(k)["parent"] for k in (a, c, b, d)] == [-1, a, c, b]
    assert [session.node(k)["made"] for k in (c, b, d)] == ["straight", "straight", "straight"]
    assert [session.node(k)["confidence"] for k in (c, b)] == [0, 0]
    assert change.to_dict()["deleted_neurons"] == [2]
    with pytest.raises(UsageError, match="would make a ring"):
        session.join(a, d)
    session.undo()
    assert session.neurons == {1: "a", 2: "b"} and session.node(b)["made"] == "manual"


def test_a_path_between_joined_trees_keeps_both_ends(session: TracingSession) -> None:
    (a,), (b,) = session.start((1, 1, 1), "a").made, session.start((9, 1, 1), "b").made
    (middle,) = session.join(a, b).made
    assert session.node(middle)["parent"] == a and session.node(b)["parent"] == middle
    assert session.node(b)["made"] == "path"
    assert session.node(b)["x"] == 9


def test_split_and_reroot(session: TracingSession) -> None:
    (a,) = session.start((1, 1, 1), "a").made
    b, c = session.extend(a, (9, 1, 1)).made
    session.split(c, "tail")
    assert session.neurons == {1: "a", 2: "tail"} and session.node(c)["neuron"] == 2
    with pytest.raises(UsageError, match="root of its neuron"):
        session.split(c)
    session.reroot(b)
    assert [session.node(k)["parent"] for k in (a, b)] == [b, -1]
    assert session.node(a)["made"] == "path"


def test_delete(session: TracingSession) -> None:
    (a,) = session.start((1, 1, 1)).made
    b, c = session.extend(a, (9, 1, 1)).made
    (d,) = session.branch(b, (5, 5, 1), how="straight").made
    session.delete_node(b)
    assert session.node(c)["parent"] == a and session.node(d)["parent"] == a
    with pytest.raises(UsageError, match="would fall apart"):
        session.delete_node(a)
    session.delete_branch(d)
    session.delete_node(a)
    assert session.state()["neurons"]["1"]["root"] == c
    session.delete_node(c)
    assert len(session) == 0 and session.neurons == {}
    with pytest.raises(UsageError, match="no such node"):
        session.delete_branch(c)


def test_identifiers_never_come_twice(session: TracingSession) -> None:
    (a,) = session.start((1, 1, 1)).made
    session.undo()
    (b,) = session.start((1, 1, 1)).made
    assert b > a
    session.delete_neuron(2)
    session.close()
    with TracingSession(session.folder, image()) as again:
        assert again.start((1, 1, 1)).made == [b + 1]
        again.start((1, 1, 1))
        again.undo()
        again.undo()
        again.redo()  # the first of the two
        assert again.start((1, 1, 1)).made == [b + 3]


def test_what_was_undone_is_gone_once_something_else_is_done(session: TracingSession) -> None:
    session.start((1, 1, 1), "a")
    session.undo()
    session.start((2, 2, 2), "b")
    with pytest.raises(UsageError, match="nothing to redo"):
        session.redo()
    assert session.neurons == {2: "b"}


def test_relabel_and_move(session: TracingSession) -> None:
    (a,) = session.start((1, 1, 1)).made
    b, c = session.extend(a, (9, 1, 1)).made
    session.set_type(b, 2, below=True)
    assert [session.node(k)["type"] for k in (a, b, c)] == [0, 2, 2]
    session.move(c, (9, 2, 1), radius=3)
    assert session.node(c) | {"x": 0} == {
        **{"type": 2, "x": 0, "y": 2.0, "z": 1.0, "radius": 3.0, "parent": b, "neuron": 1},
        **{"confidence": 1.0, "made": "manual"},
    }
    session.save()
    session.rename(1, "long-axon")
    session.start((2, 2, 2), "other")
    with pytest.raises(UsageError, match="another neuron has this name"):
        session.rename(1, "OTHER")
    session.save()
    assert sorted(p.name for p in (session.folder / "neurons").iterdir()) == ["long-axon.swc", "other.swc"]


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "a b", "x" * 101, "\N{GREEK SMALL LETTER MU}"])
def test_names_that_no_file_should_have(session: TracingSession, name: str) -> None:
    with pytest.raises(UsageError, match="no name for a neuron"):
        session.start((1, 1, 1), name)


@pytest.mark.parametrize("xyz", [(1, 1, 21), (-0.1, 1, 1), (np.nan, 1, 1), (1, 1), "abc"])
def test_places_that_are_none(session: TracingSession, xyz: Any) -> None:
    with pytest.raises(UsageError):
        session.start(xyz)
    assert session.revision == 0


def test_a_stale_revision_is_refused(session: TracingSession) -> None:
    session.start((1, 1, 1), revision=0)
    with pytest.raises(ConflictError) as caught:
        session.start((2, 1, 1), revision=0)
    assert caught.value.revision == 1 and len(session) == 1


def test_changes_tell_all_that_happened(session: TracingSession) -> None:
    mirror: dict[str, Any] = {}
    seen = session.revision
    (a,) = session.start((1, 1, 1)).made
    session.extend(a, (9, 1, 1))
    session.delete_branch(2)
    session.undo()
    for change in session.changes(seen) or []:
        told = json.loads(json.dumps(change.to_dict()))
        mirror.update(told["nodes"])
        for gone in told["deleted_nodes"]:
            del mirror[str(gone)]
        assert told["revision"] == seen + 1
        seen += 1
    assert mirror == session.state()["nodes"]
    with pytest.raises(UsageError, match="no such revision"):
        session.changes(99)


def test_a_node_that_changes_during_a_search_is_a_conflict(tmp_path: Path) -> None:
    finder = Straight()
    with TracingSession(tmp_path / "s", image(), finder, autosave_s=None) as session:
        (a,) = session.start((1, 1, 1)).made
        other = threading.Thread(target=lambda: session.move(a, (2, 2, 2)))

        def meanwhile() -> None:  # another thread is not held up by the search
            other.start()
            other.join(10)

        finder.before = meanwhile
        with pytest.raises(ConflictError, match="changed while"):
            session.extend(a, (9, 1, 1))
        assert not other.is_alive() and len(session) == 1


def test_many_threads_lose_nothing(session: TracingSession) -> None:
    (root,) = session.start((10, 10, 10)).made

    def work(n: int) -> None:
        for i in range(10):
            session.branch(root, (n + 1, i + 1, 5), how="straight")

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(session) == 41 and session.revision == 41
    before = rows(session)
    session.close()
    with TracingSession(session.folder) as again:
        assert rows(again) == before


def test_a_second_session_is_told_of_the_first(session: TracingSession) -> None:
    with pytest.raises(OutputError, match="another neuropack"):
        TracingSession(session.folder)
    thread = threading.Thread(target=session.close)  # a thread may end what another one began
    thread.start()
    thread.join()
    TracingSession(session.folder).close()


def test_another_image_is_refused(session: TracingSession) -> None:
    session.start((1, 1, 1))
    session.close()
    other = from_array(np.zeros((10, 40, 41), np.uint8), "ZYX", path="other.tif", voxel_size_um=VOXEL)
    with pytest.raises(InputError, match="another image"):
        TracingSession(session.folder, other)
    again = TracingSession(session.folder)  # the lock was let go of, and the log knows the image
    with again, pytest.raises(UsageError, match="outside of the image"):
        again.start((500, 1, 1))


def test_an_image_without_voxel_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="voxel size"):
        TracingSession(tmp_path / "s", from_array(np.zeros((4, 4, 4), np.uint8), "ZYX"))


def test_every_way_to_tear_the_last_line(tmp_path: Path) -> None:
    with TracingSession(tmp_path / "s", image(), autosave_s=None) as session:
        session.start((1, 1, 1))
        session.start((2, 2, 2))
        before = rows(session)
        session.rename(1, "torn")
    log = tmp_path / "s" / "log.jsonl"
    data = log.read_bytes()
    start = data.rstrip(b"\n").rfind(b"\n") + 1
    for end in range(start + 1, len(data)):
        log.write_bytes(data[:end])
        with TracingSession(tmp_path / "s", image(), autosave_s=None) as again:
            assert rows(again) == before and again.revision == 2
            assert "cut off" in again.notes[0]
        assert log.read_bytes() == data[:start]
    log.write_bytes(data[:start] + b"\0" * 100)  # what a power cut leaves
    with TracingSession(tmp_path / "s", image()) as again:
        assert rows(again) == before
        again.rename(1, "whole")
    with TracingSession(tmp_path / "s", image()) as again:
        assert again.neurons[1] == "whole" and again.notes == []


def test_a_log_that_was_torn_before_its_first_line_was_whole_begins_anew(tmp_path: Path) -> None:
    TracingSession(tmp_path / "s").close()
    log = tmp_path / "s" / "log.jsonl"
    for end in (0, 5, 50):
        log.write_bytes(log.read_bytes()[:end])
        TracingSession(tmp_path / "s").close()
        assert log.read_bytes().startswith(b'{"format"') and log.read_bytes().endswith(b"}\n")


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda lines: [lines[0], b"rubbish", *lines[2:]], "line 2"),
        (lambda lines: [lines[0], *lines[2:]], "a line of the log is missing"),
        (lambda lines: [lines[0], lines[1].replace(b'"manual"', b'"magic"'), *lines[2:]], "no operation"),
        (lambda lines: [lines[0], lines[1].replace(b'"start"', b'"undo"'), *lines[2:]], "does not fit"),
        (lambda lines: [b"not a log at all", *lines[1:]], "line 1"),
        (lambda lines: [lines[0], b'{"a":' * 100_000 + b"1" + b"}" * 100_000, *lines[2:]], "line 2"),
        (lambda lines: [lines[0].replace(b'"image.tif"', b"7"), *lines[1:]], "is damaged"),
        (lambda lines: [lines[0].replace(b'"size_zyx":[10,', b'"size_zyx":['), *lines[1:]], "is damaged"),
        # numbers and names that are none: a name would be written where it leads
        (lambda lines: [lines[0], lines[1].replace(b"[0,1.0,", b"[0,NaN,"), *lines[2:]], "no operation"),
        (lambda lines: [lines[0], lines[1].replace(b"[0,1.0,", b"[-3,1.0,"), *lines[2:]], "no operation"),
        (lambda lines: [lines[0], lines[1].replace(b",-1,1,", b",Infinity,1,"), *lines[2:]], "no operation"),
        (lambda lines: [lines[0], lines[1].replace(b'"1":[0,', b'"-1":[0,'), *lines[2:]], "no operation"),
        (lambda lines: [lines[0], lines[1].replace(b"neuron-1", b"../../up"), *lines[2:]], "no operation"),
        # rows that are no trees: a ring, no parent, a root below another node, two of one name, no neuron
        (lambda lines: [lines[0], lines[1].replace(b",-1,1,", b",1,1,"), *lines[2:]], "whose root is none"),
        (lambda lines: [*lines[:2], lines[2].replace(b",-1,2,", b",9,2,")], "whose root is none"),
        (lambda lines: [*lines[:2], lines[2].replace(b",-1,2,", b",1,2,")], "below neuron 1 that is of neuron 2"),
        (lambda lines: [*lines[:2], lines[2].replace(b"neuron-2", b"Neuron-1")], "two neurons of one name"),
        (lambda lines: [*lines[:2], lines[2].replace(b'{"2":["neuron-2",2]}', b"{}")], "hang at no neuron"),
        (lambda lines: [b"my diary"], "no tracing log"),
        (lambda lines: [lines[0].replace(b'"version":1', b'"version":9'), *lines[1:]], "another version"),
    ],
)
def test_a_spoilt_log_is_refused_and_left_as_it_is(
    tmp_path: Path, spoil: Callable[[list[bytes]], list[bytes]], complaint: str
) -> None:
    with TracingSession(tmp_path / "s", image(), autosave_s=None) as session:
        session.start((1, 1, 1))
        session.start((2, 2, 2))
    log = tmp_path / "s" / "log.jsonl"
    whole = log.read_bytes()
    log.write_bytes(b"\n".join(spoil(whole.splitlines())) + b"\n")
    before = log.read_bytes()
    assert before != whole
    with pytest.raises(InputError, match=complaint):
        TracingSession(tmp_path / "s")
    assert log.read_bytes() == before


def test_what_cannot_be_logged_is_not_done(session: TracingSession, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    session.start((1, 1, 1))
    before, log = rows(session), (session.folder / "log.jsonl").read_bytes()

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="No space left"):
        session.start((2, 2, 2))
    monkeypatch.undo()
    assert rows(session) == before and (session.folder / "log.jsonl").read_bytes() == log
    session.start((2, 2, 2))
    assert session.revision == 2


def test_what_is_interrupted_is_not_done(session: TracingSession, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    def interrupted(handle: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        session.start((1, 1, 1), "lost")
    monkeypatch.undo()
    session.start((2, 2, 2), "kept")  # of the same revision: two lines of one would spoil the log
    session.close()
    with TracingSession(session.folder) as again:
        assert list(again.neurons.values()) == ["kept"]


def test_a_file_that_cannot_go_goes_later(session: TracingSession, monkeypatch: pytest.MonkeyPatch) -> None:
    session.start((1, 1, 1), "old")
    session.save()
    real = Path.unlink

    def busy(path: Path, missing_ok: bool = False) -> None:
        if path.name == "old.swc":
            raise PermissionError(13, "in use")
        real(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", busy)
    session.rename(1, "new")
    with pytest.raises(OutputError, match=r"old\.swc: cannot be removed"):
        session.save()
    monkeypatch.undo()
    session.save()
    assert [p.name for p in (session.folder / "neurons").iterdir()] == ["new.swc"]


def test_a_name_in_capitals_is_the_same_file_on_some_systems(
    session: TracingSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    session.start((1, 1, 1), "axon")
    session.save()
    session.rename(1, "Axon")

    def one_file(path: Path, other: Path) -> bool:
        return path.name.casefold() == other.name.casefold()

    monkeypatch.setattr(Path, "samefile", one_file)  # as where capital letters do not count
    session.save()
    monkeypatch.undo()
    assert "axon.swc" in [p.name for p in (session.folder / "neurons").iterdir()]
    session.rename(1, "AXON")
    session.save()  # here they do
    assert [p.name for p in (session.folder / "neurons").iterdir() if p.name != "axon.swc"] == ["AXON.swc"]


def test_a_session_that_was_closed_writes_no_more(session: TracingSession, monkeypatch: pytest.MonkeyPatch) -> None:
    session.start((1, 1, 1), "a")
    (session.folder / "neurons").write_text("in the way")
    with pytest.raises(OutputError):
        session.close()
    (session.folder / "neurons").unlink()
    assert session.save() == []
    with TracingSession(session.folder):
        pass  # brings it up to date
    assert [p.name for p in (session.folder / "neurons").iterdir()] == ["a.swc"]


class Between:
    """A lock that lets somebody else in when it is let go of for the first time."""

    def __init__(self, lock: Any, then: Callable[[], object]) -> None:
        self.lock, self.then = lock, [then]

    def __enter__(self) -> None:
        self.lock.acquire()

    def __exit__(self, *exc: object) -> None:
        self.lock.release()
        if self.then:
            thread = threading.Thread(target=self.then.pop())
            thread.start()
            thread.join(10)


def test_a_path_begins_at_the_node_of_the_revision_that_was_seen(session: TracingSession) -> None:
    (a,) = session.start((1, 1, 1)).made
    session._lock = Between(session._lock, lambda: session.move(a, (9, 9, 9)))  # type: ignore[assignment]
    with pytest.raises(ConflictError, match="changed while"):
        session.branch(a, (5, 5, 5), how="straight", revision=1)
    assert len(session) == 1


def test_a_session_in_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "s").mkdir()
    monkeypatch.chdir(tmp_path / "s")
    with TracingSession(".", image()) as session, pytest.raises(OutputError, match="another neuropack"):
        session.start((1, 1, 1), "a")
        TracingSession(tmp_path / "s")
    assert (tmp_path / "s" / "neurons" / "a.swc").exists()


def test_files_follow_by_themselves(tmp_path: Path) -> None:
    import time

    with TracingSession(tmp_path / "s", image(), autosave_s=0.01) as session:
        session.start((1, 1, 1), "a")
        path = tmp_path / "s" / "neurons" / "a.swc"
        for _ in range(500):
            if path.exists():
                break
            time.sleep(0.01)
        assert path.exists()
        session.delete_neuron(1)
    assert not path.exists()


def test_a_skeleton_is_added_with_its_confidence(session: TracingSession) -> None:
    made = Skeleton(
        id=np.array([7, 3, 9, 4]),
        type=np.array([1, 2, 0, 0]),
        xyz=np.arange(12.0).reshape(4, 3),
        radius=np.ones(4),
        parent=np.array([-1, 7, -1, 9]),
    )
    session.start((1, 1, 1), "traced-2")
    session.add(made, "traced", made="automatic", confidence=np.array([1, 0.5, 1, 0.25]))
    assert session.neurons == {1: "traced-2", 2: "traced", 3: "traced-3"}
    tree = session.skeleton(3)
    assert tree.xyz.tolist() == made.xyz[2:].tolist() and session.node(int(tree.id[1]))["confidence"] == 0.25
    session.save()
    text = (session.folder / "neurons" / "traced.swc").read_text(encoding="utf-8")
    assert "2 node(s) by automatic tracing; confidence 0.75 in the mean, 0.50 at least" in text


def chain(ids: list[int], parents: list[int]) -> Skeleton:
    n = len(ids)
    return Skeleton(np.array(ids), np.zeros(n, np.int64), np.ones((n, 3)), np.ones(n), np.array(parents))


@pytest.mark.parametrize(
    ("skeleton", "options", "complaint"),
    [
        (chain([1, 2, 3], [-1, 3, 2]), {}, "no skeleton"),  # a ring
        (chain([1, 2], [-1, 7]), {}, "no skeleton"),
        (chain([1, 1], [-1, -1]), {}, "no skeleton"),
        (chain([1], [-1]), {"made": "magic"}, "no such way"),  # the log would not be read again
        (chain([1], [-1]), {"confidence": np.array([np.nan])}, "no confidence"),
        (chain([1, 2], [-1, 1]), {"confidence": np.array([0.5])}, "no confidence"),
    ],
)
def test_what_cannot_be_added(
    session: TracingSession, skeleton: Skeleton, options: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(UsageError, match=complaint):
        session.add(skeleton, "traced", **options)
    assert session.revision == 0


def test_the_longest_name_has_room_for_a_number(session: TracingSession) -> None:
    session.add(chain([1, 2], [-1, -1]), "x" * 100)
    assert list(session.neurons.values()) == ["x" * 100, "x" * 98 + "-2"]
    with pytest.raises(UsageError, match="no type of a node"):
        session.set_type(1, 2**70)
    session.close()
    with TracingSession(session.folder) as again:
        assert len(again) == 2


NUMBER = st.integers(0, 10**6)
STEPS = st.lists(st.tuples(st.sampled_from((*range(13), 12, 12, 12)), NUMBER, NUMBER), max_size=25)


def act(session: TracingSession, what: int, a: int, b: int) -> None:
    """One operation on whatever is there; those that are refused are no operation."""
    state = session.state()
    nodes, neurons = [int(k) for k in state["nodes"]], [int(k) for k in state["neurons"]]
    node, other = (nodes[n % len(nodes)] if nodes else 0 for n in (a, b))
    neuron = neurons[a % len(neurons)] if neurons else 0
    place = (1 + a % 18, 1 + b % 18, 1 + (a + b) % 18)
    how: Any = "path" if a % 2 else "straight"
    operations: list[Callable[[], object]] = [
        lambda: session.start(place, type=b % 4),
        lambda: session.extend(node, place, how=how),
        lambda: session.branch(node, place, how=how),
        lambda: session.join(node, other, how=how),
        lambda: session.delete_node(node),
        lambda: session.delete_branch(node),
        lambda: session.delete_neuron(neuron),
        lambda: session.rename(neuron, f"n{b}"),
        lambda: session.set_type(node, b % 8, below=bool(a % 2)),
        lambda: session.move(node, place),
        lambda: session.split(node),
        lambda: session.reroot(node),
        lambda: session.undo() if a % 2 else session.redo(),
    ]
    try:
        operations[what]()
    except UsageError:
        assert rows(session) == {"neurons": state["neurons"], "nodes": state["nodes"]}


def see_trees_are_whole(session: TracingSession) -> None:
    """Each neuron is one tree of its own nodes."""
    seen = 0
    for k in session.neurons:
        tree = session.skeleton(k)
        assert (tree.parent < 0).sum() == 1 and len(set(tree.id.tolist())) == len(tree)
        assert {session.node(n)["neuron"] for n in tree.id.tolist()} == {k}
        seen += len(tree)
    assert seen == len(session)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_any_sequence_is_replayed_undone_and_done_again(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, int, int]]
) -> None:
    folder = tmp_path_factory.mktemp("any")
    with TracingSession(folder, image(), Straight(), autosave_s=None) as session:
        ever: set[int] = set()
        for step in steps:
            before = session.revision
            act(session, *step)
            see_trees_are_whole(session)
            for change in session.changes(before) or []:
                if change.undoes is None:
                    assert not ever & set(change.made)  # an identifier never comes twice
                    ever |= set(change.made)
        end = session.state()
        for k in session.neurons:
            session.save()
            tree, again = session.skeleton(k), read_swc(folder / "neurons" / f"{session.neurons[k]}.swc")
            for name in ("id", "type", "xyz", "radius", "parent"):
                assert np.array_equal(getattr(tree, name), getattr(again, name))
    with TracingSession(folder, image(), Straight(), autosave_s=None) as session:
        assert session.state() == end
        redone = session.state()["can_redo"]
        while redone:  # to the far end first
            session.redo()
            redone = session.state()["can_redo"]
        last = rows(session)
        undone = 0
        while session.state()["can_undo"]:
            session.undo()
            see_trees_are_whole(session)
            undone += 1
        assert rows(session) == {"neurons": {}, "nodes": {}}
        for _ in range(undone):
            session.redo()
        assert rows(session) == last
        with pytest.raises(NeuropackError, match="nothing to redo"):
            session.redo()


# ---- for servers: who did it, what a person has not seen, what was done already


def test_steps_are_signed_and_found_again(tmp_path: Path) -> None:
    with TracingSession(tmp_path / "s", person="nobody") as session:
        with session.signed(person="Ann", action="one", settings={"color": True}):
            session.start((1, 1, 1))
        session.start((2, 2, 2))
        assert session.acted("one") == session.standing[0]
        assert session.acted("two") is None
    with TracingSession(tmp_path / "s") as again:
        first, second = again.standing
        assert (first.said["person"], second.said["person"]) == ("Ann", "nobody")
        assert first.said["settings"] == {"color": True}
        assert again.acted("one") == first
        again.undo()
        again.undo()
        assert again.standing == []
        assert again.acted("one") == first  # done once is done


def test_what_somebody_has_not_seen_is_told_by_what_it_concerns(tmp_path: Path) -> None:
    with TracingSession(tmp_path / "s") as session:
        a = session.start((1, 1, 1)).made[0]
        b = session.extend(a, (2, 2, 2), how="straight").made[0]
        c = session.extend(b, (3, 3, 3), how="straight").made[0]
        seen = session.revision
        session.move(b, (2, 2, 3))
        session.branch(b, (9, 9, 9), how="straight")
        session.rename(1, "other")

        def concerns(**what: list[int]) -> list[str]:
            return [one.operation for one in session.changed(seen, **what) or []]

        assert concerns(nodes=[c]) == []
        assert concerns(nodes=[b]) == ["move"]
        assert concerns(children=[b]) == ["branch"]
        assert concerns(above=[c]) == ["move"]
        assert concerns(below=[a]) == ["move", "branch"]
        assert concerns(neurons=[1]) == ["rename"]
        assert concerns(trees=[1]) == ["move", "branch", "rename"]
        assert concerns(nodes=[77], trees=[77]) == []
        with session.alone():
            assert c in session


def test_changes_are_told_after_the_folder_was_opened_again(tmp_path: Path) -> None:
    with TracingSession(tmp_path / "s") as session:
        session.start((1, 1, 1))
        session.start((2, 2, 2))
    with TracingSession(tmp_path / "s") as again:
        assert [one.revision for one in again.changes(1) or []] == [2]
