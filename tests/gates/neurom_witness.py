"""What NeuroM says of trees. Runs in its own environment; `neurom_compare.py` compares it with what we say.

python neurom_witness.py FOLDER OUT

Where NeuroM has a feature, it is asked; where it has none, its sections are measured by the textbook, one by one.
"""

import json
import logging
import math
import sys
import warnings
from pathlib import Path

import morphio
import neurom
import numpy as np
from neurom import NeuriteType, features
from neurom.core.morphology import Section, iter_sections
from neurom.core.types import NeuriteIter
from neurom.morphmath import convex_hull
from scipy.optimize import brentq

XYZ, R = slice(0, 3), 3
STEP_UM = 10.0
_SINGLE = Section.points.fget
Section.points = property(lambda self: _SINGLE(self).astype(np.float64))  # it computes in single precision else


def mean(values):
    """The mean, None of nothing."""
    values = [v for v in values if not math.isnan(v)]
    return float(np.mean(values)) if values else None


def origin_of(m):
    """Mean of the soma's samples, or the beginning of the longest tree."""
    if len(m.soma.points):
        return m.soma.points[:, XYZ].astype(np.float64).mean(axis=0)
    return max(m.neurites, key=lambda n: n.length).root_node.points[0, XYZ]


def own_points(section, soma):
    """The samples that belong to a branch alone: a stem of a soma begins with one of its own."""
    return section.points if soma and section.parent is None else section.points[1:]


def taper(points):
    """Loss of diameter by length and by the first diameter, of a branch's own samples."""
    way = np.linalg.norm(np.diff(points[:, XYZ], axis=0), axis=1).sum()
    if way == 0:
        return math.nan, math.nan
    first, last = 2 * points[0, R], 2 * points[-1, R]
    return (first - last) / way, (first - last) / first if first else math.nan


def fractal(points):
    """Slope of log(way) on log(straight distance) from the beginning of a section."""
    steps = np.linalg.norm(np.diff(points[:, XYZ], axis=0), axis=1)
    straight = np.linalg.norm(points[1:, XYZ] - points[0, XYZ], axis=1)
    there = (straight > 0) & (steps > 0)  # two samples at one place are one
    x, y = np.log(straight[there]), np.log(np.cumsum(steps)[there])
    if len(x) < 2 or np.ptp(x) < 1e-6:
        return math.nan
    return float(np.polyfit(x, y, 1)[0])


def rall(section):
    """Rall's power and ratio at a fork of two."""
    d = section.points[-1, R]
    a, b = (child.points[1, R] for child in section.children)
    if min(a, b, d) <= 0:
        return math.nan, math.nan
    power = math.nan
    if max(a, b) < d and (a / d) ** 5 + (b / d) ** 5 <= 1:
        power = brentq(lambda p: (a / d) ** p + (b / d) ** p - 1, 0, 5, xtol=1e-14)
    return power, (a**1.5 + b**1.5) / d**1.5


def asymmetry(section):
    """L-Measure's partition asymmetry, by counting tips."""
    a, b = (sum(1 for _ in child.ileaf()) for child in section.children)
    return abs(a - b) / (a + b - 2) if a + b > 2 else 0.0


def said(m):
    """The features of a morphology by our keys."""

    def get(name, **options):
        return features.get(name, m, **options)

    origin, soma = origin_of(m), bool(len(m.soma.points))
    sections = list(iter_sections(m, neurite_order=NeuriteIter.FileOrder))
    forks = [s for s in sections if len(s.children) == 2]
    lengths = np.array(get("segment_lengths"))
    diameters = 2 * np.array(get("segment_radii"))
    points = np.vstack([s.points[:, XYZ] for s in sections])
    far = np.linalg.norm(points - origin, axis=1).max()
    hull = convex_hull(points)
    radii = STEP_UM * np.arange(1, math.floor(far / STEP_UM) + 1)
    crossings = get("sholl_crossings", center=origin, radii=radii) if len(radii) else [0]
    tapers = [taper(own_points(s, soma)) for s in sections]
    ralls = [rall(s) for s in forks]
    binary = get("number_of_forking_points") == get("number_of_bifurcations")
    uneven = get("partition_asymmetry", method="uylings") if binary else [asymmetry(s) for s in forks]
    ends = np.array(get("segment_path_lengths"))
    return {
        "n_stems": get("number_of_neurites"),
        "n_bifurcations": get("number_of_forking_points"),
        "n_multifurcations": get("number_of_forking_points") - get("number_of_bifurcations"),
        "n_branches": get("number_of_sections"),
        "n_tips": get("number_of_leaves"),
        "soma_surface_um2": float(get("soma_surface_area")) if soma else None,
        "soma_volume_um3": float(get("soma_volume")) if soma else None,
        "width_um": get("total_width"),
        "height_um": get("total_height"),
        "depth_um": get("total_depth"),
        "total_length_um": get("total_length"),
        "axon_length_um": get("total_length", neurite_type=NeuriteType.axon),
        "basal_length_um": get("total_length", neurite_type=NeuriteType.basal_dendrite),
        "apical_length_um": get("total_length", neurite_type=NeuriteType.apical_dendrite),
        "total_surface_um2": sum(get("total_area_per_neurite")),
        "total_volume_um3": sum(get("total_volume_per_neurite")),
        "mean_diameter_um": float((diameters * lengths).sum() / lengths.sum()),
        "max_euclidean_distance_um": float(far),
        "mean_euclidean_distance_um": float(
            (np.concatenate([get_radial(n, origin) for n in m.neurites]) * lengths).sum() / lengths.sum()
        ),
        "max_path_distance_um": max(get("section_path_distances")),
        "mean_path_distance_um": float(((ends - lengths / 2) * lengths).sum() / lengths.sum()),
        "max_branch_order": max(get("section_branch_orders")),
        "max_strahler_order": max(get("section_strahler_orders")),
        "mean_contraction": mean(1 / np.array(get("section_tortuosity"))),
        "mean_fragmentation": mean(np.count_nonzero(np.array(s_lengths(s))) for s in sections),
        "mean_partition_asymmetry": mean(uneven),
        "mean_bifurcation_angle_local_deg": mean(np.degrees(get("local_bifurcation_angles"))),
        "mean_bifurcation_angle_remote_deg": mean(np.degrees(get("remote_bifurcation_angles"))),
        "mean_taper_burke": mean(t[0] for t in tapers),
        "mean_taper_hillman": mean(t[1] for t in tapers),
        "mean_rall_power": mean(r[0] for r in ralls),
        "mean_rall_ratio": mean(r[1] for r in ralls),
        "mean_fractal_dimension": mean(fractal(s.points) for s in sections),
        "sholl_max_crossings": int(max(crossings)),
        "sholl_radius_of_max_um": float(radii[int(np.argmax(crossings))]) if max(crossings) else None,
        "convex_hull_volume_um3": None if hull is None else float(hull.volume),
        "convex_hull_area_um2": None if hull is None else float(hull.area),
    }


def s_lengths(section):
    """Lengths of the segments of a section."""
    return features.section.segment_lengths(section)


def get_radial(neurite, origin):
    """Straight distances of the middles of segments."""
    return np.array(features.neurite.segment_radial_distances(neurite, origin=origin))


def main(folder, out):
    """Write what is said of every SWC file of a folder."""
    logging.disable(logging.CRITICAL)  # a flat tree has no hull, which it says with a traceback
    morphio.set_maximum_warnings(0)
    warnings.simplefilter("ignore")
    found = {path.name: said(neurom.load_morphology(path)) for path in sorted(folder.glob("*.swc"))}
    out.write_text(json.dumps(found, default=lambda v: v.item()), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
