"""Why something does not lie in the CCF where it should: one cause for each neuron, the first that explains it.

Axes in a wrong order also put somata into wrong regions and nodes outside of the volume. So the causes are tried
in an order, the most specific first, and whoever has one is asked nothing more: direction, unit, axes, mapping,
extent, hemisphere, region. The rules in validators/spaces.py give each its words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from neuropack.errors import NeuropackError
from neuropack.issue import Where
from neuropack.rules.spaces import Placed, Registered, placed, registrations
from neuropack.skeleton import Skeleton
from neuropack.space.annotation import hemisphere, right_of_midline
from neuropack.space.directions import Direction, direction
from neuropack.space.frames import EXTENT_UM, MIDLINE_UM
from neuropack.space.label_checks import year_of
from neuropack.space.orders import STATED, Order, exact_order
from neuropack.space.plausibility import (
    FEWEST,
    Fit,
    accused,
    accused_by_brain,
    accused_by_lengths,
    beyond_doubt,
    fitting_brain,
    fitting_lengths,
    fitting_orders,
    kin,
    looks_like_mm,
    sample_along,
)
from neuropack.space.transforms import Points, Transform

if TYPE_CHECKING:
    from neuropack.rules.release_files import ReleaseFiles
    from neuropack.space.atlas import Atlas

Kind = Literal["direction", "unit", "axes", "mapping", "extent", "hemisphere", "region"]
MAPPED_WITHIN_UM: Final = 0.1
"""SWC files have thousandths; a field that is turned round point by point has less."""
SOMA_WITHIN_UM: Final = 5.0
"""The mapped centre of the nodes of a soma is not the centre of the mapped nodes; less than a soma's radius."""
MIDLINE_WITHIN_UM: Final = 100.0
"""A registration is no better than this: so near to the midline nobody can tell the side."""
_BEHIND_UM = 5000.0  # the spinal cord goes on behind the volume
_SIDES_FLIPPED = 0.9
_COMMON = 0.5


@dataclass(frozen=True)
class Cause:
    """What explains where something lies.

    Attributes:
        kind: which rule tells it.
        what: the mistake; those with the same are told as one.
        where: the place.
        expected, found: in words.
    """

    kind: Kind
    what: str
    where: Where
    expected: str
    found: str


@dataclass(eq=False)
class SpaceScan:
    """What lies in the CCF, and why it should not.

    Attributes:
        registrations: those of the metadata.
        placed: everything with coordinates in the CCF.
        directions: how the landmarks of a registration fit, by its stack.
        causes: by number in `placed`.
        unchecked: why regions were not judged; None where they were, or where none is stated.
    """

    registrations: list[Registered]
    placed: list[Placed]
    directions: dict[str, Direction] = field(default_factory=dict)
    causes: dict[int, Cause] = field(default_factory=dict)
    unchecked: str | None = None

    def of(self, kind: Kind) -> list[tuple[Cause, list[Placed]]]:
        """The causes of a kind, each with all that it explains, in the order of the release."""
        groups: dict[str, tuple[Cause, list[Placed]]] = {}
        for number, cause in sorted(self.causes.items()):
            if cause.kind == kind:
                groups.setdefault(cause.what, (cause, []))[1].append(self.placed[number])
        return list(groups.values())


def scan(release: ReleaseFiles) -> SpaceScan:
    """Judge everything in the CCF."""
    found = SpaceScan(registrations(release), placed(release))
    turned = set()
    for one in found.registrations:
        if one.transform is not None:
            found.directions[one.stack] = _direction(one.transform, one.moving, one.fixed)
            if found.directions[one.stack].exchanged:
                turned.add(one.stack)
    with np.errstate(all="ignore"):  # a release may hold any number
        judge = _Judge(release, found, turned)
        judge.one_by_one()
        judge.together()
        judge.rest()
    found.causes = {n: c for n, c in found.causes.items() if found.placed[n].stack not in turned}
    return found


def _direction(transform: Transform, moving: Points, fixed: Points) -> Direction:
    try:
        with np.errstate(all="ignore"):
            return direction(transform, moving, fixed)
    except NeuropackError:
        return Direction(float("nan"), None)


class _Judge:
    def __init__(self, release: ReleaseFiles, found: SpaceScan, turned: set[str]) -> None:
        self.release, self.found, self.turned = release, found, turned
        self.transforms = {r.stack: r.transform for r in found.registrations if r.transform is not None}
        self.atlas = self._atlas()

    def _atlas(self) -> Atlas | None:
        """The atlas, where it is the one that the release was made with; else why not."""
        items = self.found.placed
        if not items:
            return None
        hand = self.release.atlas
        if hand.atlas is None:
            self.found.unchecked = str(hand.problem) if hand.problem else "no annotation of the CCF is at hand"
            return None
        stated = [r.record.get("annotation_version") for r in self.found.registrations]
        stated += [version for one in items for _, version in one.versions]
        versions = sorted({v for v in stated if isinstance(v, str)})
        mine = hand.atlas.version.name
        other = [v for v in versions if mine is not None and year_of(v) != year_of(mine)]
        odd = [id for one in items for _, id in one.regions if id not in hand.atlas.structures]
        if hand.source != "release" and (other or odd):
            told = f"is that of {mine}" if other else f"has no structure {odd[0]}"
            said = f", the release says {other[0]}" if other else ""
            self.found.unchecked = f"the annotation at hand {told}{said}"
            return None
        return hand.atlas

    # ---------------------------------------------------------------- one neuron, nothing but its own files

    def one_by_one(self) -> None:
        for n, one in enumerate(self.found.placed):
            self.release.note("coordinates in the CCF", n, len(self.found.placed))
            if one.stack in self.turned:
                continue
            cause = self._unit(one) or self._mapped(one) or self._soma(one) or self._by_lengths(one)
            if cause is not None:
                self.found.causes[n] = cause

    def _unit(self, one: Placed) -> Cause | None:
        points = one.points(self.release)
        if not looks_like_mm(points):
            return None
        seen = f"no coordinate beyond {np.abs(points).max():g}"
        return Cause("unit", "mm", one.where, "micrometre: the brain is 13200 long", seen)

    def _mapped(self, one: Placed) -> Cause | None:
        """The nodes in the CCF against those in the stack, mapped."""
        transform, there = self.transforms.get(one.stack), one.skeleton(self.release)
        here = self.release.skeleton(one.swc) if one.swc is not None else None
        if transform is None or there is None or not isinstance(here, Skeleton):
            return None
        expected = f"the nodes of {one.swc}, mapped by the transform of {one.stack}"
        if len(here) != len(there) or not np.array_equal(here.id, there.id):
            seen = f"{len(there)} nodes against {len(here)}, or others"
            return Cause("mapping", one.name + " nodes", one.where, expected, seen)
        try:
            wanted = transform(here.xyz)
        except NeuropackError as error:
            return Cause(
                "mapping", one.name + " unmapped", one.where, expected, f"it cannot be mapped: {error.what}"
            )
        off = np.linalg.norm(there.xyz - wanted, axis=1)
        if not (off > MAPPED_WITHIN_UM).any():
            return None
        cause = Cause("mapping", one.name, one.where, expected, _shift(there.xyz - wanted))
        order = exact_order(there.xyz, wanted, MAPPED_WITHIN_UM)
        if order is not None:
            cause = _in_order(one, order, f"{order}: so do all {len(there)} nodes agree with the stack's, mapped")
        elif _mapped_back(transform, here.xyz, there.xyz):
            seen = "they are mapped by the inverse: the transform of images was used for points, or the other way"
            cause = Cause("direction", f"{one.stack} back", one.where, expected, seen)
        return cause

    def _soma(self, one: Placed) -> Cause | None:
        """The stated positions of the soma against each other, and against the nodes of type soma."""
        skeleton = one.skeleton(self.release)
        true = skeleton.soma() if skeleton is not None else None
        for where, soma in one.somata if true is not None else one.somata[1:]:
            wanted = one.somata[0][1] if true is None else true
            if np.abs(soma - wanted).max() <= SOMA_WITHIN_UM:
                continue
            expected = f"the soma at {_shown(wanted)}, as {one.ccf or 'the table'} has it"
            if np.abs(soma * 1000 - wanted).max() <= SOMA_WITHIN_UM:
                return Cause("unit", "mm", where, expected, _shown(soma))
            order = exact_order(soma[None], wanted[None], SOMA_WITHIN_UM)
            if order is not None:
                return Cause("axes", f"soma {order}", where, expected, f"{_shown(soma)}: {order}")
            return Cause("mapping", one.name + " soma", where, expected, _shown(soma))
        return None

    def _by_lengths(self, one: Placed) -> Cause | None:
        """The regions of its nodes against regions.tsv."""
        skeleton = one.skeleton(self.release)
        if self.atlas is None or skeleton is None or not one.lengths:
            return None
        points = sample_along(skeleton)
        (now,) = fitting_lengths(points, one.lengths, self.atlas.annotation, (STATED,))
        if beyond_doubt(now):
            return None
        fits = fitting_lengths(points, one.lengths, self.atlas.annotation)
        fit = accused_by_lengths(fits, one.lengths)
        if fit is not None:
            return _in_order(one, fit.order, f"{fit}: {_percent(fit, fits)} of the length in the stated regions")
        return None

    # ---------------------------------------------------------------- several neurons, by what is stated of them

    def together(self) -> None:
        left = [n for n, one in enumerate(self.found.placed) if self._open(n) and (one.regions or one.sides)]
        left = [n for n in left if self.found.placed[n].soma(self.release) is not None]
        stacks: dict[str, list[int]] = {}
        for n in left:
            stacks.setdefault(self.found.placed[n].stack, []).append(n)
        few = [n for members in stacks.values() if len(members) < FEWEST for n in members]
        for members in [m for m in stacks.values() if len(m) >= FEWEST] + [few]:
            self._somata(members)

    def _open(self, n: int) -> bool:
        return n not in self.found.causes and self.found.placed[n].stack not in self.turned

    def _somata(self, members: Sequence[int]) -> None:
        if len(members) < FEWEST:
            return
        items = [self.found.placed[n] for n in members]
        points = np.array([one.soma(self.release) for one in items])
        sides = [_side(one) for one in items]
        if self.atlas is not None and any(one.regions for one in items):
            ids = [one.regions[0][1] if one.regions else 0 for one in items]
            fits = fitting_orders(points, ids, self.atlas.annotation, self.atlas.structures, sides)
            if (fit := accused(fits)) is not None:
                told = f"{fit}: {_percent(fit, fits)} of the somata lie where they are stated to"
                for n, one in zip(members, items, strict=True):
                    self.found.causes[n] = _in_order(one, fit.order, told)
                return
        said = np.array([{"left": -1, "right": 1}.get(s or "", 0) for s in sides])
        far = np.abs(points[:, 2] - MIDLINE_UM) > MIDLINE_WITHIN_UM
        against = (said != 0) & far & (right_of_midline(points) != (said > 0))
        if against.sum() >= FEWEST and against.sum() >= _SIDES_FLIPPED * ((said != 0) & far).sum():
            flip = Order((0, 1, 2), (False, False, True))
            told = f"{flip}: {int(against.sum())} of {int((said != 0).sum())} somata lie on the other side"
            for n, one in zip(members, items, strict=True):
                self.found.causes[n] = _in_order(one, flip, told)

    # ---------------------------------------------------------------- what is left, one by one

    def rest(self) -> None:
        for n, one in enumerate(self.found.placed):
            if not self._open(n):
                continue
            cause = self._in_brain(one) or self._extent(one) or self._hemisphere(one) or self._region(one)
            if cause is not None:
                self.found.causes[n] = self._axes_of(one.stack) or cause

    def _axes_of(self, stack: str) -> Cause | None:
        """The wrong order that others of a stack were found in; it explains those too that alone tell little."""
        causes = (c for n, c in sorted(self.found.causes.items()) if self.found.placed[n].stack == stack)
        return next((c for c in causes if c.kind == "axes"), None)

    def _in_brain(self, one: Placed) -> Cause | None:
        points = one.points(self.release)
        if self.atlas is None or len(points) < FEWEST:
            return None
        fits = fitting_brain(points, self.atlas.annotation)
        orders = accused_by_brain(fits)
        if not orders:
            return None
        now = next(fit for fit in fits if fit.order.stated)
        names = "; or ".join(str(fit.order) for fit in orders[:3])
        seen = (
            f"{now.fraction:.0%} of the points lie in the brain, in another order most do: {names} (weak evidence)"
        )
        return Cause("axes", "brain " + names, one.where, "AP, DV, LR", seen)

    def _extent(self, one: Placed) -> Cause | None:
        points = one.points(self.release)
        high = np.array(EXTENT_UM)
        if np.median(points[:, 0]) < high[0]:  # of a neuron that begins in the brain, the cord goes on
            high[0] += _BEHIND_UM
        out = ~((points >= 0) & (points < high)).all(axis=1)
        if not out.any():
            return None
        spans = ", ".join(
            f"{a} {lo:g} to {hi:g}"
            for a, lo, hi in zip(("AP", "DV", "LR"), points.min(axis=0), points.max(axis=0), strict=True)
        )
        expected = "AP 0 to 13200, DV 0 to 8000, LR 0 to 11400 um"
        seen = f"{spans}; {int(out.sum())} of {len(points)} points outside"
        return Cause("extent", one.name, one.where, expected, seen)

    def _hemisphere(self, one: Placed) -> Cause | None:
        soma = one.soma(self.release)
        if soma is None or not abs(soma[2] - MIDLINE_UM) > MIDLINE_WITHIN_UM:
            return None
        (true,) = hemisphere([soma])
        for who, side, where in one.sides:
            if side != true:
                seen = f"{one.name} at LR {soma[2]:g}: {abs(soma[2] - MIDLINE_UM):g} um into the {true} one"
                return Cause("hemisphere", one.name, where, f"{side}, as {who} says", seen)
        return None

    def _region(self, one: Placed) -> Cause | None:
        soma = one.soma(self.release)
        if self.atlas is None or soma is None:
            return None
        for where, id in one.regions:
            if id not in self.atlas.structures:
                expected = f"a structure of {self.release.atlas.source}'s atlas"
                return Cause("region", f"{one.name} {id}", where, expected, f"{one.name} in {id}: no structure")
            if (found := region_against(self.atlas, soma, id)) is not None:
                expected = f"{self.atlas.structures[id].acronym} ({id}) at {_shown(soma)}"
                return Cause("region", one.name, where, expected, f"{one.name}: {found}")
        return self._common(one)

    def _common(self, one: Placed) -> Cause | None:
        """regions.tsv against the skeleton, where the annotation of the look-up is the one at hand."""
        skeleton, hand = one.skeleton(self.release), self.release.atlas
        if self.atlas is None or skeleton is None or not one.lengths or hand.source != "release":
            return None
        (now,) = fitting_lengths(sample_along(skeleton), one.lengths, self.atlas.annotation, (STATED,))
        if now.fraction >= _COMMON:
            return None
        expected = f"the regions of {one.name} in regions.tsv"
        seen = f"{now.fraction:.0%} of the length lies in these"
        return Cause("region", one.name + " lengths", one.where, expected, seen)


def region_against(atlas: Atlas, soma: Points, id: int) -> str | None:
    """What contradicts a stated region of a point; None where its region, or one within a voxel, agrees."""
    structures, annotation = atlas.structures, atlas.annotation
    roots = {one.id for one in structures if one.parent is None}
    agree = kin(structures, id) | roots
    if id in roots or not annotation.inside(soma[None])[0]:
        return None
    size = annotation.resolution_um
    steps = np.stack(np.meshgrid(*[[-1.0, 0.0, 1.0]] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    if any(int(near) in agree for near in annotation.lookup(soma + steps * size)):
        return None
    found = int(annotation.lookup(soma[None])[0])
    name = (
        structures[found].acronym
        if found in structures
        else "outside of the brain"
        if not found
        else "no structure"
    )
    border = float(annotation.border_um(soma[None])[0])
    return f"{name} ({found}), {border:.0f} um from its border"


def _side(one: Placed) -> str | None:
    """Its hemisphere, where all who state one agree; the specimen's where they do not: no look-up made that."""
    stated = {side for _, side, _ in one.sides}
    if len(stated) == 1:
        return next(iter(stated))
    return next((side for who, side, _ in one.sides if who == "its specimen"), None)


def _mapped_back(transform: Transform, here: Points, there: Points) -> bool:
    try:
        return bool((np.linalg.norm(transform.inverse()(here) - there, axis=1) <= MAPPED_WITHIN_UM).all())
    except NeuropackError:
        return False


def _shift(off: Points) -> str:
    """How nodes are off; a constant shift of half a voxel says corner against centre."""
    mean = off.mean(axis=0)
    far = np.linalg.norm(off, axis=1)
    if (np.abs(off - mean) > MAPPED_WITHIN_UM).any():
        return f"mapped with another transform: {np.median(far):.1f} um off in the median, {far.max():.1f} at most"
    text = f"all shifted by {_shown(mean)}"
    steps = np.unique(np.abs(mean[np.abs(mean) > MAPPED_WITHIN_UM]).round(1))
    half = [size for size in (10.0, 25.0, 50.0, 100.0) if len(steps) == 1 and abs(steps[0] - size / 2) < 0.1]
    return text + (f": half a voxel of {half[0]:g} um, corner against centre" if half else "")


def _in_order(one: Placed, order: Order, told: str) -> Cause:
    return Cause("axes", str(order), one.where, "AP, DV, LR, as the CCF has them", told)


def _percent(fit: Fit, fits: Sequence[Fit]) -> str:
    now = next(f for f in fits if f.order.stated)
    return f"{fit.fraction:.0%}, and {now.fraction:.0%} as it stands,"


def _shown(point: Points) -> str:
    return ", ".join(f"{v:.6g}" for v in point.tolist())
