"""A tracing session: neurons that people and programs trace, every step of which is kept and can be undone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from neuropack import __version__
from neuropack.errors import OutputError, UsageError
from neuropack.locks import only_one
from neuropack.progress import Progress
from neuropack.skeleton import Skeleton
from neuropack.trace import edits
from neuropack.trace.finding import Finder, How, inside, piece_to, same_stack, stack_record
from neuropack.trace.history import History, Step
from neuropack.trace.log import Log
from neuropack.trace.save import Look, NeuronFiles, swc_comments
from neuropack.trace.tree import Change, Edit, Made, Node, Tree
from neuropack.volume import Volume

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

LOG = "log.jsonl"
NEURONS = "neurons"
_AUTOSAVE_S = 5.0


class ConflictError(UsageError):
    """Somebody else changed the session in the meantime: look at what it is now, and decide again.

    Attributes:
        revision: of the session now.
    """

    def __init__(self, what: str, revision: int, found: str) -> None:
        super().__init__(
            what, expected=f"revision {revision}, the newest", found=found, fix="get the changes, then try again"
        )
        self.revision = revision


class TracingSession:
    """Neurons in a folder: its log, and each neuron as an SWC file.

    Each operation is on the disk before it counts, so that nothing is lost when the program is killed; opening the
    folder again gives the same neurons, the same identifiers and the same steps to undo. Any thread may call any
    method. A search does not hold up others: it is looked for first, and its end is refused if the node that it
    starts from has been changed in the meantime.

    Args:
        folder: of the session; it is made where it is not there.
        volume: the image that is traced, its voxel size known: points must lie in it.
        finder: searches for paths in it, as `neuropack.trace.PathFinder`; without one, lines are straight.
        person: who traces, for the log.
        autosave_s: seconds after a change in which the SWC files follow it; None: only when `save` or `close` is
            called.

    Attributes:
        notes: what a person should know of the opening, such as that a torn line was cut off.

    Raises:
        OutputError: another session is at work in the folder, or it cannot be written.
        InputError: its log is damaged, or of another image.
        UsageError: the voxel size of the image is not known.
    """

    def __init__(
        self,
        folder: Path | str,
        volume: Volume | None = None,
        finder: Finder | None = None,
        *,
        person: str | None = None,
        autosave_s: float | None = _AUTOSAVE_S,
    ) -> None:
        self.folder, self.finder, self.person = Path(folder), finder, person
        self.notes: list[str] = []
        self._lock, self._closed = threading.RLock(), False
        self._local = threading.local()
        stack = stack_record(volume) if volume is not None else None
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot be written: {error.strerror}", file=self.folder) from error
        with ExitStack() as opened:
            opened.enter_context(only_one(self.folder))
            self._log = Log(self.folder / LOG, {"made_by": f"neuropack {__version__}", "stack": stack})
            opened.callback(self._log.close)
            self.stack = same_stack(self._log.head.get("stack"), stack, self.folder)
            self._history = History(self._log, person)
            self._tree = self._history.tree
            self._files = NeuronFiles(self.folder / NEURONS, self.neurons, self._looks, autosave_s)
            if self._log.cut_off:
                self.notes.append(
                    f"{self._log.path}: {self._log.cut_off} bytes of an operation that was never finished were cut"
                    f" off; all {self._history.revision} before it are there"
                )
            self._opened = opened.pop_all()

    # ---- what is there

    @property
    def revision(self) -> int:
        """How many operations were done, undo and redo among them."""
        with self._lock:
            return self._history.revision

    @property
    def autosave_problem(self) -> OutputError | None:
        """Why the SWC files could not be saved by themselves, until they are; the log is whole."""
        return self._files.problem

    @property
    def neurons(self) -> dict[int, str]:
        """The names of the neurons, by identifier."""
        with self._lock:
            return {k: one.name for k, one in sorted(self._tree.neurons.items())}

    def __len__(self) -> int:
        with self._lock:
            return len(self._tree.nodes)

    def skeleton(self, neuron: int) -> Skeleton:
        """A neuron as it is now, with the identifiers of the session."""
        with self._lock:
            return self._tree.skeleton(neuron)

    def node(self, node: int) -> dict[str, Any]:
        """A node: type, x, y, z, radius, parent, neuron, confidence, made."""
        with self._lock:
            return self._tree.node(node).to_dict()

    def __contains__(self, node: int) -> bool:
        with self._lock:
            return node in self._tree.nodes

    def children(self, node: int) -> list[int]:
        """The nodes right below one."""
        with self._lock:
            self._tree.node(node)
            return self._tree.children(node)

    def state(self) -> dict[str, Any]:
        """All that a browser needs to begin with; `changes` tells what comes after."""
        with self._lock:
            return {
                "revision": self._history.revision,
                "stack": self.stack,
                "neurons": {str(k): one._asdict() for k, one in sorted(self._tree.neurons.items())},
                "nodes": {str(k): node.to_dict() for k, node in sorted(self._tree.nodes.items())},
                "can_undo": self._history.can_undo,
                "can_redo": self._history.can_redo,
            }

    def changes(self, since: int) -> list[Change] | None:
        """What was done after a revision, oldest first; None where that is too long ago: take `state` then.

        Raises:
            UsageError: there is no such revision yet.
        """
        with self._lock:
            return self._history.changes(since)

    @property
    def standing(self) -> list[Change]:
        """The operations that were not taken back, oldest first: what the neurons are made of."""
        with self._lock:
            return list(self._history.standing)

    def acted(self, action: str) -> Change | None:
        """What was done as the ``action`` that `signed` named; None where nothing was, ever."""
        with self._lock:
            return self._history.acted(action)

    @contextmanager
    def signed(self, **said: Any) -> Iterator[None]:
        """Have the log say more of what this thread does inside of the ``with``, in JSON.

        Args:
            said: ``person`` in place of that of the session; ``action``, a name by which `acted` finds the change,
                also after a restart; and whatever else is to be known of it, such as settings.
        """
        before = getattr(self._local, "said", {})
        self._local.said = {**before, **{key: value for key, value in said.items() if value is not None}}
        try:
            yield
        finally:
            self._local.said = before

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Have nobody else change the session inside of the ``with``: to look at it first, and act on what is seen.

        Search for paths before: others wait.
        """
        with self._lock:
            yield

    def changed(
        self,
        since: int,
        *,
        nodes: Iterable[int] = (),
        children: Iterable[int] = (),
        below: Iterable[int] = (),
        above: Iterable[int] = (),
        neurons: Iterable[int] = (),
        trees: Iterable[int] = (),
    ) -> list[Change] | None:
        """What was done after a revision to some nodes and neurons: what one who knows only that has not seen.

        Args:
            since: a revision.
            nodes: these nodes.
            children: which nodes hang right below these.
            below, above: these, and all nodes below or above them.
            neurons: name and root of these.
            trees: all of these.

        Returns:
            Oldest first; None where it is too long ago to say.

        Raises:
            UsageError: there is no such revision yet.
        """
        with self._lock:
            done = self._history.changes(since)
            if not done:
                return done
            tree, parents, named, whole = self._tree, set(children), set(neurons), set(trees)
            wanted = {*nodes, *below, *above}
            for many, of in ((tree.below, below), (tree.above, above)):
                wanted |= {k for one in of if one in tree.nodes for k in many(one)}
            return [one for one in done if one.concerns(wanted, parents, named) or one.touched & whole]

    # ---- operations: each gives the Change that it made

    def start(
        self,
        xyz: Sequence[float],
        name: str | None = None,
        *,
        type: int = 0,
        radius: float = 1.0,
        revision: int | None = None,
    ) -> Change:
        """Start a neuron at a point.

        Args:
            xyz: x, y, z, micrometre in the frame ``stack``.
            name: of the neuron; None: one that is free.
            type: SWC type of the node; 1 is a soma.
            radius: micrometre.
            revision: the one that the caller has seen; None: whatever it is.

        Raises:
            UsageError: the point lies outside of the image, the name is taken, ...
            ConflictError: the session is at another revision.
        """
        point = inside(self.stack, xyz)
        return self._do("start", lambda t: edits.start(t, point, name, type, radius), revision)

    def extend(
        self,
        node: int,
        xyz: Sequence[float],
        *,
        how: How | None = None,
        type: int | None = None,
        finder: Finder | None = None,
        cancel: Any = None,
        progress: Progress | None = None,
        revision: int | None = None,
    ) -> Change:
        """Go on from the end of a branch, or from a lone root, to a point.

        Args:
            node: that has no children.
            xyz: x, y, z, micrometre.
            how: path: search for the way; straight: a line, which is marked as such. None: a path where there is a
                finder.
            type: of the new nodes; None: that of the node, and 0 below a soma.
            finder: searches in place of that of the session.
            cancel, progress: for the search.
            revision: as `start`.

        Raises:
            UsageError: the node has children (then it is a `branch`), there is no finder, and as `start`.
            ConflictError: as `start`; or the node was changed while the path was searched for.
        """
        return self._grow("extend", node, xyz, how, type, finder, cancel, progress, revision)

    def branch(
        self,
        node: int,
        xyz: Sequence[float],
        *,
        how: How | None = None,
        type: int | None = None,
        finder: Finder | None = None,
        cancel: Any = None,
        progress: Progress | None = None,
        revision: int | None = None,
    ) -> Change:
        """Leave any node, to a point. All else as `extend`."""
        return self._grow("branch", node, xyz, how, type, finder, cancel, progress, revision)

    def join(
        self,
        node: int,
        other: int,
        *,
        how: How | None = None,
        finder: Finder | None = None,
        cancel: Any = None,
        progress: Progress | None = None,
        revision: int | None = None,
    ) -> Change:
        """Join two neurons: that of `other` is turned round to hang there, and becomes part of that of `node`.

        Raises:
            UsageError: both are of one neuron.
            ConflictError: as `extend`.
        """
        with self._lock:
            self._see(revision)
            at, there = edits.two_neurons(self._tree, node, other)
        piece = piece_to(finder or self.finder, self.stack, at.xyz, there.xyz, at.radius, how, cancel, progress)

        def edit(tree: Tree) -> Edit:
            for k, seen in ((node, at), (other, there)):
                self._see_unchanged(k, seen)
            return edits.join(tree, node, other, piece)

        return self._do("join", edit, None)

    def reroot(self, node: int, *, revision: int | None = None) -> Change:
        """Make a node the root of its neuron."""
        return self._do("reroot", lambda t: edits.reroot(t, node), revision)

    def split(self, node: int, name: str | None = None, *, revision: int | None = None) -> Change:
        """Make a node and all below it a neuron of their own."""
        return self._do("split", lambda t: edits.split(t, node, name), revision)

    def delete_node(self, node: int, *, revision: int | None = None) -> Change:
        """Delete a node; its children hang at its parent.

        Raises:
            UsageError: it is a root with several branches.
        """
        return self._do("delete node", lambda t: edits.delete_node(t, node), revision)

    def delete_branch(self, node: int, *, revision: int | None = None) -> Change:
        """Delete a node and all below it."""
        return self._do("delete branch", lambda t: edits.delete_branch(t, node), revision)

    def delete_neuron(self, neuron: int, *, revision: int | None = None) -> Change:
        """Delete a neuron."""
        return self._do("delete neuron", lambda t: edits.delete_neuron(t, neuron), revision)

    def rename(self, neuron: int, name: str, *, revision: int | None = None) -> Change:
        """Give a neuron another name."""
        return self._do("rename", lambda t: edits.rename(t, neuron, name), revision)

    def set_type(self, node: int, type: int, *, below: bool = False, revision: int | None = None) -> Change:
        """Give a node, or it and all below it, another SWC type."""
        return self._do("set type", lambda t: edits.set_type(t, node, type, below=below), revision)

    def move(
        self,
        node: int,
        xyz: Sequence[float] | None = None,
        *,
        radius: float | None = None,
        revision: int | None = None,
    ) -> Change:
        """Put a node at another place, or give it another radius; it is marked as made by hand."""
        point = inside(self.stack, xyz) if xyz is not None else None
        return self._do("move", lambda t: edits.move(t, node, point, radius), revision)

    def add(
        self,
        skeleton: Skeleton,
        name: str,
        *,
        made: Made = "manual",
        confidence: npt.NDArray[np.float64] | None = None,
        revision: int | None = None,
    ) -> Change:
        """Add the trees of a skeleton, each as a neuron with new identifiers, such as a trace made elsewhere.

        Args:
            skeleton: in the frame ``stack``.
            name: of its first tree; a number goes behind it for the others.
            made: how its nodes were made.
            confidence: 0 to 1 for each node (n,); None: 1.
            revision: as `start`.
        """
        return self._do("add", lambda t: edits.add(t, skeleton, name, made, confidence), revision)

    def undo(self, *, revision: int | None = None) -> Change:
        """Take the last operation back that is not yet taken back.

        Raises:
            UsageError: there is none.
        """
        return self._step("undo", revision)

    def redo(self, *, revision: int | None = None) -> Change:
        """Do the last operation again that was taken back.

        Raises:
            UsageError: there is none, or something else was done since.
        """
        return self._step("redo", revision)

    # ---- the folder

    def save(self) -> list[Path]:
        """Bring the SWC files up to date, each written whole or not at all; those that were written.

        Raises:
            OutputError: one cannot be written; the log holds all of it nevertheless.
        """
        return self._files.save()

    def close(self) -> None:
        """Save, and let go of the folder.

        Raises:
            OutputError: an SWC file cannot be written; the folder is let go of nevertheless.
        """
        with self._lock:
            if self._closed:
                return
            self._closed = True
        try:
            self._files.close()
        finally:
            self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # ---- inside

    def _see(self, revision: int | None) -> None:
        if self._closed:
            raise UsageError("the session is closed", file=self.folder, fix="open the folder again")
        if revision is not None and revision != self._history.revision:
            raise ConflictError("the session has changed", self._history.revision, f"revision {revision}")

    def _see_unchanged(self, node: int, seen: Node, *, end: bool = False) -> None:
        """Refuse to go on from a node that is another now, or no end of a branch any more."""
        if self._tree.nodes.get(node) != seen or (end and self._tree.children(node)):
            what, found = "a node was changed while the path was searched for", f"node {node} is another"
            raise ConflictError(what, self._history.revision, found)

    def _do(self, operation: str, edit: Callable[[Tree], Edit], revision: int | None) -> Change:
        with self._lock:
            self._see(revision)
            return self._done(self._history.do(operation, edit(self._tree), self._said))

    def _step(self, operation: Step, revision: int | None) -> Change:
        with self._lock:
            self._see(revision)
            return self._done(self._history.step(operation, self._said))

    def _done(self, change: Change) -> Change:
        """Have the files of the neurons follow that a change touched."""
        self._files.touch(change.touched)
        return change

    @property
    def _said(self) -> dict[str, Any]:
        found: dict[str, Any] = getattr(self._local, "said", {})
        return found

    def _looks(self, neurons: set[int]) -> dict[int, Look | None]:
        """Neurons as they are now, for their files; None where one is gone."""
        with self._lock:
            return {k: self._look(k) for k in sorted(neurons)}

    def _look(self, neuron: int) -> Look | None:
        if neuron not in self._tree.neurons:
            return None
        tree = self._tree.skeleton(neuron)
        nodes = [self._tree.nodes[k] for k in tree.id.tolist()]
        name = self._tree.neurons[neuron].name
        return Look(name, tree, swc_comments(name, nodes, self._history.revision, self.stack, self.person))

    def _grow(
        self,
        operation: str,
        node: int,
        xyz: Sequence[float],
        how: How | None,
        type_: int | None,
        finder: Finder | None,
        cancel: Any,
        progress: Progress | None,
        revision: int | None,
    ) -> Change:
        """A piece of neurite behind a node. All that can be refused is, before the way is searched for."""
        point, ends = inside(self.stack, xyz), operation == "extend"
        if type_ is not None:
            edits.checked_type(type_)
        with self._lock:
            self._see(revision)
            at = self._tree.node(node)
            if ends and self._tree.children(node):
                fix = "use branch to leave it sideways"
                raise UsageError("the node is not the end of a branch", found=f"node {node}", fix=fix)
        piece = piece_to(finder or self.finder, self.stack, at.xyz, point, at.radius, how, cancel, progress)

        def edit(tree: Tree) -> Edit:
            self._see_unchanged(node, at, end=ends)
            return edits.grow(tree, node, piece, type_)

        return self._do(operation, edit, None)
