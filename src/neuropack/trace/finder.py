"""The path finder: the best way along a neurite between two points of an image of any size."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from neuropack.errors import UsageError
from neuropack.progress import Progress
from neuropack.trace import signal
from neuropack.trace.blocks import Grid, RawUnits, view
from neuropack.trace.candidate import Candidate, Way
from neuropack.trace.corners import redrawn
from neuropack.trace.crossings import false_turns
from neuropack.trace.level import FAR, Level
from neuropack.trace.measure import centre, measured
from neuropack.trace.options import Cost, Options
from neuropack.trace.path import PathError, TracedPath
from neuropack.trace.pooled import pooled
from neuropack.trace.search import Found, Search, Watch, corridor_blocks
from neuropack.trace.smooth import smooth
from neuropack.trace.tubes import tubes
from neuropack.volume import Volume

Floats = npt.NDArray[np.float64]
Point = Sequence[float] | Floats
Cancel = Callable[[], bool]

_PATIENCE = 0.05  # seconds between two looks at the clock while another search runs
_FACTOR = 4  # voxels of the full resolution along the edge of one of the coarser level
_RECALL = 16  # voxels that the direction of a way is taken from
_TUBE = 1.5  # voxels of the finest axis
_BLUR_COLOR = 0.7  # voxels
_DETOURS = 2  # times that another way than one that turns off at a crossing is looked for
_BESIDE = 8  # nodes from such a turn to the place that is shut
_SHUT = 4.0  # voxels of the finest axis: the radius of it
_STEP, _LINE = 32, 128  # voxels between two points of the line that a server is asked for, and how many at most
_NOTHING = np.empty((0, 3))


class PathFinder:
    """Finds paths in one image. Blocks that were read stay in memory for the next search, within bounds.

    One search runs at a time; other threads wait.

    Args:
        volume: an image with a voxel size; it stays open, and is not closed here.
        options: how paths are looked for.

    Raises:
        UsageError: the voxel size or the axes are not known, or there is no such channel or frame.
    """

    def __init__(self, volume: Volume, options: Options | None = None) -> None:
        self.volume, self.options = volume, options or Options()
        volume.require_axes()
        volume.require_voxel_size()
        self._see_options()
        z, y, x = volume.voxel_size_um
        self.voxel_size_um = (z if z is not None else max(y or 1.0, x or 1.0), y or 1.0, x or 1.0)
        chosen = self.options.channel
        self._channels = tuple(range(volume.n_channels)) if chosen is None else (chosen,)
        self._shut = _SHUT * min(self.voxel_size_um)
        self._lock = threading.Lock()
        raw = view(volume, self._channels, self.options.time, self.options.memory)
        self._fine = self._level(raw, self.voxel_size_um, np.ones(3))
        self._raw_view = raw
        self._coarse_level: Level | None = None

    def _see_options(self) -> None:
        o, v = self.options, self.volume
        for name, value, count in (("channel", o.channel or 0, v.n_channels), ("frame", o.time, v.n_times)):
            if not 0 <= value < count:
                raise UsageError(
                    f"has no {name} {value}", file=v.path, expected=f"0 to {count - 1}", found=str(value)
                )
        if o.cost not in get_args(Cost):
            raise UsageError("there is no such cost", expected=" or ".join(get_args(Cost)), found=str(o.cost))
        if o.sigma_um is not None and not (math.isfinite(o.sigma_um) and o.sigma_um >= 0):
            raise UsageError("is no width of a Gaussian", expected="micrometre, 0 or more", found=str(o.sigma_um))

    def _level(self, raw: Volume, size: tuple[float, float, float], factor: Floats) -> Level:
        o = self.options
        if o.filter is not None:
            image = o.filter(raw)
        elif o.cost == "tubeness":
            sigma = _TUBE * min(size) if o.sigma_um is None else max(o.sigma_um, 0.5 * min(size))
            if factor.max() > 1:  # a neurite is thinner than a coarser voxel
                sigma = 0.8 * min(size)
            image = tubes(raw, (sigma / size[0], sigma / size[1], sigma / size[2]))
        else:
            sigma = min(size) * (_BLUR_COLOR if o.color else 1.0) if o.sigma_um is None else o.sigma_um
            if factor.max() > 1:  # a coarser voxel is a mean already
                sigma = 0.6 * min(size)
            image = smooth(raw, (sigma / size[0], sigma / size[1], sigma / size[2]))
        pixels = raw.pixels if isinstance(raw.pixels, RawUnits) else self._fine.raw
        return Level(Grid(image, o.memory), size, factor, pixels)

    def find(
        self, start_zyx: Point, end_zyx: Point, *, cancel: Cancel | None = None, progress: Progress | None = None
    ) -> TracedPath:
        """The best path from one point to another.

        Both ends stay where they are; `snap` moves a point to the middle of a neurite. In a corridor around the
        best way on a coarser level where the points are far from each other, else anywhere.

        Args:
            start_zyx, end_zyx: voxel coordinates, where voxel i has its centre at i.
            cancel: asked again and again; the search ends when it says so (`threading.Event.is_set`).
            progress: told voxels looked at, and how many may be.

        Raises:
            UsageError: a point lies outside of the image, or both lie in one voxel.
            PathError: no path was found; its `reason` says whether it was cancelled, took too long or has no way.
        """
        start, end = self._inside(start_zyx, "start"), self._inside(end_zyx, "end")
        if (np.floor(start + 0.5) == np.floor(end + 0.5)).all():
            raise UsageError(
                "start and end lie in the same voxel",
                file=self.volume.path,
                expected="two points that are apart",
                found=_shown(start),
            )
        o = self.options
        tell = None
        if progress is not None:
            told = progress

            def tell(expanded: int) -> None:
                told("searching", expanded, o.most_expansions)

        watch = Watch(cancel, self._deadline(), o.most_expansions, 0, tell)
        with self._alone(watch):
            return self._find(start, end, watch)

    def snap(self, zyx: Point) -> tuple[Floats, float]:
        """The middle of the neurite at a point, and its radius in micrometre.

        Args:
            zyx: voxel coordinates; it moves by some voxels at most, and stays where nothing is bright.

        Raises:
            UsageError: the point lies outside of the image.
            PathError: it took longer than the options allow.
        """
        point, watch = self._inside(zyx, "point"), Watch(deadline=self._deadline())
        with self._alone(watch):
            model = self._fine.model(point, point, self.options, watch)
            found: tuple[Floats, float] = watch.during(
                lambda: centre(self._fine.grid, model, self.voxel_size_um, point)
            )
            return found

    def _deadline(self) -> float | None:
        seconds = self.options.timeout_s
        return None if seconds is None else time.monotonic() + seconds

    @contextmanager
    def _alone(self, watch: Watch) -> Iterator[None]:
        """Wait until no other search runs; what could not be read by the last one may be there now."""
        watch.look()
        while not self._lock.acquire(timeout=_PATIENCE):
            watch.look()
        try:
            lost = [level for level in (self._fine, self._coarse_level) if level and level.raw.unreadable]
            for level in lost:  # both may be made from the same raw pixels
                level.raw.forget_unreadable()
                level.grid.forget()
            yield
        finally:
            self._lock.release()

    def _find(self, start: Floats, end: Floats, watch: Watch) -> TracedPath:
        far = float(np.linalg.norm((start - end) * np.array(self.voxel_size_um) / min(self.voxel_size_um)))
        if far < FAR:  # the image between the points will be wanted, and one call reads it fastest
            self._fine.load(start, end, watch)
        elif self.volume.distant:  # it is most likely that the way keeps near the line
            count = min(_LINE, math.ceil(far / _STEP))
            self._fine.expect(np.linspace(start, end, count + 1))
        model = self._fine.model(start, end, self.options, watch)
        best = self._candidate(model, start, end, _NOTHING, far, watch)
        known = self._known(best) if best.false_turns else None
        for _ in range(_DETOURS):
            if not best.false_turns:
                break
            better = self._around_turn(best, model, start, end, far, watch, known)
            if better is None:
                break
            best = better
        return best.answer(self.voxel_size_um, model, watch.expanded, tuple(self._fine.raw.unreadable))

    def _known(self, first: Candidate) -> Found | None:
        """What the first search knows, if it takes no more memory than it leaves to the next ones.

        These go back from the end: what the first one found is their estimate of what is left, so they look around
        only in what a way that is hardly dearer may lead through.
        """
        if first.search is None:
            return None
        known = first.search.found(first.price)
        return known if known.memory <= self.options.memory // 2 else None

    def _candidate(
        self,
        model: signal.Model,
        start: Floats,
        end: Floats,
        shut: Floats,
        far: float,
        watch: Watch,
        dearest: float = math.inf,
        known: Found | None = None,
    ) -> Candidate:
        """The best way that keeps off some places, measured.

        Args:
            model: signal and noise.
            start, end: voxels.
            shut: (n, 3) voxels around which nobody may go.
            far: the distance of the ends in voxels of the finest axis.
            watch: ends it.
            dearest: ways of a higher price are not looked for.
            known: what a search found that had nothing shut.
        """
        found = None
        try:
            if far > self.options.coarse_beyond:
                found = self._far(start, end, model, watch, shut, dearest, known)
            if found is None:
                found = self._run(self._fine, model, start, end, watch, shut=shut, dearest=dearest, known=known)
        except PathError as error:
            raise self._explained(error) from error
        if len(shut):  # what is shut pushes the way aside: the best one in a narrow tube around it is not
            radius = np.maximum(self._shut / np.array(self.voxel_size_um), 1.0)
            tube = corridor_blocks(self._fine.grid, found.voxels.astype(np.float64), radius)
            found = self._run(self._fine, model, start, end, watch, shut=_NOTHING, corridor=tube, radius=radius)
        way, price, search = found
        grid, size = self._fine.grid, self.voxel_size_um
        way = redrawn(grid, size, model, way, self.options.memory, watch)

        def look() -> Candidate:
            seen = measured(grid, model, size, way, start, end)
            # where the colour leads, a crossing neurite of another one does not mislead
            turns = [] if model.width else false_turns(grid, model, seen.nodes, seen.contrast)
            return Candidate(seen, price, shut, turns, search)

        made: Candidate = watch.during(look)
        return made

    def _around_turn(
        self,
        best: Candidate,
        model: signal.Model,
        start: Floats,
        end: Floats,
        far: float,
        watch: Watch,
        known: Found | None,
    ) -> Candidate | None:
        """A better way than one that turns off at a crossing: without what is before the turn, or behind it."""
        nodes, turn = best.seen.nodes, best.false_turns[0]
        found = None
        for side in (turn - _BESIDE, turn + _BESIDE):
            node = nodes[min(max(side, 0), len(nodes) - 1)]
            if (
                min(np.linalg.norm((node - e) * np.array(self.voxel_size_um)) for e in (start, end))
                < 2 * self._shut
            ):
                continue
            try:
                shut = np.concatenate([best.shut, node[None]])
                dearest = (found or best).worth(self.voxel_size_um)
                other = self._candidate(model, start, end, shut, far, watch, dearest, known)
            except PathError as error:
                if error.reason != "no way":
                    raise
                continue
            if other.worth(self.voxel_size_um) < (found or best).worth(self.voxel_size_um):
                found = other
        return found

    def _run(
        self,
        level: Level,
        model: signal.Model,
        start: Floats,
        end: Floats,
        watch: Watch,
        *,
        shut: Floats,
        known: Found | None = None,
        **more: Any,
    ) -> Way:
        o = self.options
        if len(shut):
            more |= {"shut": level.down(shut), "shut_um": max(self._shut, 1.5 * min(level.size[1:]))}
        recall = max(4, round(_RECALL / level.factor.max()))
        memory = o.memory if known is None else o.memory - known.memory
        more |= {"turning": o.turning, "recall": recall, "known": known, "work": level.work}
        search = Search(level.grid, level.size, model, memory, **more)
        ends = level.nearest(start), level.nearest(end)
        if known is None:
            voxels, price = search.run(*ends, watch)
        else:
            voxels, price = search.run(*ends[::-1], watch)
            voxels = voxels[::-1]
        return Way(voxels, price, None if "corridor" in more else search)

    def _far(
        self,
        start: Floats,
        end: Floats,
        model: signal.Model,
        watch: Watch,
        shut: Floats,
        dearest: float,
        known: Found | None,
    ) -> Way | None:
        """Anywhere where that takes no long search, which is surest; else in a corridor; None: not so either."""
        try:
            most = self.options.free_expansions
            return self._run(
                self._fine, model, start, end, watch, shut=shut, dearest=dearest, most=most, known=known
            )
        except PathError as error:
            if error.reason != "budget":
                raise
            watch.look()
        return self._through_corridor(start, end, model, watch, shut)

    def _through_corridor(
        self, start: Floats, end: Floats, model: signal.Model, watch: Watch, shut: Floats
    ) -> Way | None:
        """In a tube around the best way on a coarser level, in a wider one next; None: not so either."""
        level = self._coarse()
        if level is None:
            return None
        try:
            way = self._run(level, level.model(start, end, self.options, watch), start, end, watch, shut=shut)
            points = np.concatenate([[start], level.up(way.voxels.astype(np.float64)), [end]])
        except PathError as error:
            if error.reason != "no way":
                raise
            return None
        if self.volume.distant:
            self._fine.expect(points)
        for wider in (1.0, 3.0):
            radius = wider * (2.5 * level.factor + 2)
            blocks = corridor_blocks(self._fine.grid, points, radius)
            try:
                return self._run(self._fine, model, start, end, watch, shut=shut, corridor=blocks, radius=radius)
            except PathError as error:
                if error.reason != "no way":
                    raise
        return None

    def _coarse(self) -> Level | None:
        """A level with voxels of about four fine ones along each fine axis: of the file, or made as it is read."""
        if self._coarse_level is None:
            size = np.array(self.voxel_size_um)
            wanted = np.maximum(1, np.floor(_FACTOR * size.min() / size + 1e-9)).astype(np.int64)
            wanted = np.minimum(wanted, np.maximum(1, np.array(self.volume.size_zyx) // 4))
            if wanted.max() == 1:
                return None
            best = None
            for level in self.volume.levels:
                factor = np.array(self.volume.size_zyx) / np.array(level.size_zyx)
                if 1.5 < factor.max() <= wanted.max() + 0.5 and (factor < wanted + 1).all():
                    best = (level, factor)
            if best is not None:
                raw = view(best[0], self._channels, self.options.time, self.options.memory)
                factor = best[1]
            else:
                raw = pooled(self._raw_view, (int(wanted[0]), int(wanted[1]), int(wanted[2])))
                factor = wanted.astype(np.float64)
            z, y, x = size * factor
            self._coarse_level = self._level(raw, (float(z), float(y), float(x)), factor)
        return self._coarse_level

    def _inside(self, point: Point, name: str) -> Floats:
        """A point that lies in the image.

        Raises:
            UsageError: it does not.
        """
        at = np.asarray(point, np.float64)
        shape = np.array(self.volume.size_zyx)
        if at.shape != (3,) or not np.isfinite(at).all() or (at < -0.5).any() or (at >= shape - 0.5).any():
            raise UsageError(
                f"the {name} lies outside of the image",
                file=self.volume.path,
                expected="z, y, x from 0 to "
                + ", ".join(str(n - 1) for n in shape)
                + " (voxel i has its centre at i)",
                found=_shown(at),
            )
        return at

    def _explained(self, error: PathError) -> PathError:
        """The same, with what could not be read."""
        bad = self._fine.raw.unreadable
        if error.reason != "no way" or not bad:
            return error
        return PathError(error.what, "no way", file=self.volume.path, found=f"unreadable: {bad[0]}", fix=error.fix)


def _shown(point: Floats) -> str:
    return ", ".join(f"{v:g}" for v in np.ravel(point))
