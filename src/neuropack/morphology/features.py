"""All features of a neuron's shape, in numbers. `neuropack.morphology.definitions` says what each of them is."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from neuropack.morphology.arbor import Arbor, Floats, Ints, arbor
from neuropack.morphology.branches import Branches, branches, strahler_order
from neuropack.morphology.definitions import DEFINITIONS
from neuropack.morphology.forks import fork_features
from neuropack.morphology.persistence import bars, entropy
from neuropack.morphology.sholl import STEP_UM, Profile, centre, distances, profile
from neuropack.morphology.soma import frusta, soma_surface_volume
from neuropack.skeleton import Skeleton
from neuropack.space.mapping import AXON, DENDRITES

Value = float | int | None
Values = dict[str, Value]
Measured = tuple[Values, Profile, Floats]

_BASAL, _APICAL = DENDRITES
_FLAT = 1e-9  # of the widest spread: thinner is a plane, and its volume an error of rounding


def features(skeleton: Skeleton, sholl_step_um: float = STEP_UM) -> Values:
    """Measure the shape of a neuron.

    Args:
        skeleton: positions and radii in micrometre. All trees count. Straight distances are from its soma, or from
            the root of its longest tree where it has none; ways along neurites are from where their tree begins.
        sholl_step_um: distance of the spheres of the Sholl analysis.

    Returns:
        A value for every key of `FEATURES`, the unit in the key; None where it is not defined.

    Raises:
        InputError: the skeleton is empty, or its parents make no trees.
        UsageError: the step is not a positive number, or makes more than a million spheres.
    """
    return measured(skeleton, sholl_step_um)[0]


def measured(skeleton: Skeleton, sholl_step_um: float = STEP_UM) -> Measured:
    """The features, the Sholl profile and the persistence diagram, which share most of the work.

    Raises:
        InputError, UsageError: as `features`.
    """
    walked = arbor(skeleton)
    found = branches(walked)
    distance = distances(walked, centre(skeleton, walked))
    sholl, diagram = profile(walked, distance, sholl_step_um), bars(found)
    values: dict[str, Value] = {
        **_counts(found),
        **_soma(walked),
        **_extents(walked),
        **_lengths(found),
        **_radii(walked),
        **_distances(walked, distance),
        **_branches(found),
        **fork_features(found, measured_radii(walked)),
        **_sholl(sholl, sholl_step_um),
        **_hull(walked),
        **_persistence(diagram),
    }
    return {one.name: _plain(values, one.name, whole=one.whole) for one in DEFINITIONS}, sholl, diagram


def _plain(values: Mapping[str, Value], name: str, *, whole: bool) -> Value:
    value = values[name]
    if value is None or not math.isfinite(value):
        return None
    return int(value) if whole else float(value)


def _mean(values: Floats) -> float | None:
    return float(values.mean()) if len(values) else None


def _ratio(total: float, weight: float) -> float | None:
    return total / weight if weight > 0 else None


def measured_radii(walked: Arbor) -> bool:
    """Whether the radii of neurites say anything: none is negative, and not all are 0."""
    radii = walked.radius[~walked.origin]
    return bool(len(radii) and radii.min() >= 0 and radii.max() > 0)


def _counts(found: Branches) -> Values:
    children = found.arbor.children()[~found.arbor.origin]
    return {
        "n_nodes": len(found.arbor.up),
        "n_trees": int(np.count_nonzero(found.arbor.up < 0)),
        "n_stems": int(np.count_nonzero(found.stem)),
        "n_bifurcations": int(np.count_nonzero(children >= 2)),
        "n_multifurcations": int(np.count_nonzero(children >= 3)),
        "n_branches": len(found),
        "n_tips": int(np.count_nonzero(children == 0)),
    }


def _soma(walked: Arbor) -> Values:
    surface, volume = soma_surface_volume(walked) or (None, None)
    return {"soma_surface_um2": surface, "soma_volume_um3": volume}


def _extents(walked: Arbor) -> Values:
    names = ("width", "height", "depth")
    keys = (
        *(f"{name}_um" for name in names),
        *(f"{name}_95_um" for name in names),
        *(f"extent_pca{number}_um" for number in (1, 2, 3)),
    )
    points = walked.xyz[walked.cable]
    if not len(points):
        return dict.fromkeys(keys)
    middle = np.percentile(points, (2.5, 97.5), axis=0)
    turned = points @ _axes(walked)
    values = (np.ptp(points, axis=0), middle[1] - middle[0], np.sort(np.ptp(turned, axis=0))[::-1])
    return dict(zip(keys, np.concatenate(values).tolist(), strict=True))


def _axes(walked: Arbor) -> Floats:
    """The principal axes of the cable, in columns. Edges are integrated, so that samples do not count."""
    child = walked.neurite
    first, last = walked.xyz[walked.up[child]], walked.xyz[child]
    weight = walked.length[child]
    if not weight.sum() > 0:
        return np.eye(3)
    middle = (first + last) / 2
    middle = middle - np.average(middle, axis=0, weights=weight)
    step = last - first
    spread = (middle.T * weight) @ middle + (step.T * weight) @ step / 12
    return np.asarray(np.linalg.eigh(spread)[1])


def _lengths(found: Branches) -> Values:
    walked = found.arbor
    kind, length = walked.type[found.samples], walked.length[found.samples]
    axon, dendrite = np.isin(kind, AXON), np.isin(kind, DENDRITES)
    link = walked.soma[walked.up[found.samples]]
    return {
        "total_length_um": float(length.sum()),
        "axon_length_um": float(length[axon].sum()),
        "dendrite_length_um": float(length[dendrite].sum()),
        "basal_length_um": float(length[kind == _BASAL].sum()),
        "apical_length_um": float(length[kind == _APICAL].sum()),
        "other_length_um": float(length[~axon & ~dendrite].sum()),
        "soma_link_length_um": float(length[link].sum()),
    }


def _radii(walked: Arbor) -> Values:
    if not measured_radii(walked):
        return dict.fromkeys(("total_surface_um2", "total_volume_um3", "mean_diameter_um"))
    child = walked.neurite
    up, last, length = walked.up[child], walked.radius[child], walked.length[child]
    first = np.where(walked.soma[up], last, walked.radius[up])  # the soma's radius is not that of a neurite
    surface, volume = frusta(length, first, last)
    return {
        "total_surface_um2": float(surface.sum()),
        "total_volume_um3": float(volume.sum()),
        "mean_diameter_um": _ratio(float(((first + last) * length).sum()), float(length.sum())),
    }


def _distances(walked: Arbor, distance: Floats) -> Values:
    child = walked.neurite
    if not len(child):
        words = ("euclidean", "path")
        return dict.fromkeys(f"{how}_{word}_distance_um" for word in words for how in ("max", "mean"))
    length, path = walked.length[child], walked.path[child]
    total = float(length.sum())
    return {
        "max_euclidean_distance_um": float(distance[walked.cable].max()),
        "mean_euclidean_distance_um": _ratio(float((_middles(walked, child, distance) * length).sum()), total),
        "max_path_distance_um": float(path.max()),
        "mean_path_distance_um": _ratio(float(((path - length / 2) * length).sum()), total),
    }


def _middles(walked: Arbor, child: Ints, distance: Floats) -> Floats:
    """Straight distance of the middle of each edge, from those of its ends (Apollonius' theorem)."""
    ends = distance[child] ** 2 + distance[walked.up[child]] ** 2
    return np.asarray(np.sqrt(np.maximum(ends / 2 - walked.length[child] ** 2 / 4, 0)))


def _branches(found: Branches) -> Values:
    walked = found.arbor
    if not len(found):
        keys = ("max_branch_order", "max_strahler_order", "mean_contraction", "mean_fragmentation")
        return dict.fromkeys((*keys, "mean_fractal_dimension"))
    span = np.linalg.norm(walked.xyz[found.foot] - walked.xyz[found.base], axis=1)
    long = found.length > 0
    return {
        "max_branch_order": int(found.order.max()),
        "max_strahler_order": strahler_order(walked),
        "mean_contraction": _mean(span[long] / found.length[long]),
        "mean_fragmentation": _mean(found.sums(walked.length[found.samples] > 0)),
        "mean_fractal_dimension": _mean(_fractal_dimensions(found)),
    }


def _fractal_dimensions(found: Branches) -> Floats:
    """Slope of log(way) on log(straight distance) of the branches where there is one."""
    walked, at = found.arbor, found.base[found.of]
    straight = np.linalg.norm(walked.xyz[found.samples] - walked.xyz[at], axis=1)
    away = (straight > 0) & (walked.length[found.samples] > 0)  # a place counts once
    of = found.of[away]
    x, y = np.log(straight[away]), np.log(walked.path[found.samples][away] - walked.path[at][away])
    count = np.maximum(np.bincount(of, minlength=len(found)), 1)
    x = x - (np.bincount(of, x, len(found)) / count)[of]
    y = y - (np.bincount(of, y, len(found)) / count)[of]
    spread = np.bincount(of, x * x, len(found))
    known = spread > 1e-12  # relative to 1, for logarithms differ by parts of the distance
    return np.asarray(np.bincount(of, x * y, len(found))[known] / spread[known])


def _sholl(sholl: Profile, step_um: float) -> Values:
    most = int(sholl.crossings.max()) if len(sholl.crossings) else 0
    radius = float(sholl.radii_um[sholl.crossings.argmax()]) if most else None
    return {"sholl_step_um": step_um, "sholl_max_crossings": most, "sholl_radius_of_max_um": radius}


def _hull(walked: Arbor) -> Values:
    from scipy.spatial import ConvexHull, QhullError

    nothing: Values = dict.fromkeys(("convex_hull_volume_um3", "convex_hull_area_um2"))
    points = walked.xyz[walked.cable]
    if len(points) < 4:
        return nothing
    points = points - points.mean(axis=0)
    spread = np.linalg.svd(points, compute_uv=False)
    if spread[2] <= _FLAT * spread[0]:
        return nothing
    try:
        hull = ConvexHull(points)
    except QhullError:  # flat within its own precision
        return nothing
    return {"convex_hull_volume_um3": float(hull.volume), "convex_hull_area_um2": float(hull.area)}


def _persistence(diagram: Floats) -> Values:
    lengths = diagram[:, 1] - diagram[:, 0]
    return {
        "persistence_longest_bar_um": float(lengths.max()) if len(lengths) else None,
        "persistence_mean_bar_um": _mean(lengths),
        "persistence_entropy": entropy(lengths),
    }
