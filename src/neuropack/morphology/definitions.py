"""What each feature is: one table, from which the reference of the manual is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Unit = Literal["", "um", "um2", "um3", "deg", "nat"]

LM: Final = "L-Measure"
NM: Final = "NeuroMorpho.Org"
_NO_CABLE = "no neurites"
_NO_RADII = "no neurites, or radii that are negative or all 0"
_NO_PAIRS = "no fork with two daughters"


@dataclass(frozen=True)
class Definition:
    """A feature.

    Attributes:
        name: its key.
        unit: "" of a number without one.
        text: how it is defined.
        source: who defined it so, or first.
        undefined: when it is None; "" where it never is.
        whole: a whole number.
    """

    name: str
    unit: Unit
    text: str
    source: str
    undefined: str = ""
    whole: bool = False


def _count(name: str, text: str, source: str) -> Definition:
    return Definition(name, "", text, source, whole=True)


def _extents(names: tuple[str, str, str], texts: tuple[str, str, str], source: str) -> tuple[Definition, ...]:
    return tuple(Definition(name, "um", text, source, _NO_CABLE) for name, text in zip(names, texts, strict=True))


_COUNTS = (
    _count("n_nodes", "Samples of the skeleton, soma and all.", "neuropack"),
    _count("n_trees", "Roots of the skeleton. All features are over all trees.", "neuropack"),
    _count("n_stems", "Branches that leave the soma, or the root of a tree without one.", f"{LM}, N_stems"),
    _count("n_bifurcations", "Forks: samples of neurites with two daughters or more.", f"{LM}, N_bifs"),
    _count("n_multifurcations", "Of these the forks with three daughters or more.", "neuropack"),
    _count("n_branches", "Branches: from soma, root or fork to the next fork or tip.", f"{LM}, N_branch"),
    _count("n_tips", "Ends: samples of neurites without a daughter.", f"{LM}, N_tips"),
)
_SOMA = (
    Definition(
        "soma_surface_um2",
        "um2",
        "Surface of the soma: a sphere where it is one sample, or an outline; else truncated cones between its "
        "samples, without the discs at their ends.",
        f"{LM}, Soma_Surface; outline: {NM}",
        "no soma, or a radius that is not positive",
    ),
    Definition(
        "soma_volume_um3",
        "um3",
        "Volume of the same sphere or cones.",
        "neuropack, after the surface",
        "no soma, or a radius that is not positive",
    ),
)
_EXTENTS = (
    *_extents(
        ("width_um", "height_um", "depth_um"),
        (
            "Extent of all neurites along x, from the least to the greatest.",
            "The same along y.",
            "The same along z.",
        ),
        f"{NM}, without the trimming",
    ),
    *_extents(
        ("width_95_um", "height_95_um", "depth_95_um"),
        (
            "Extent along x of the middle 95 % of samples, so that one far branch does not set it.",
            "The same along y.",
            "The same along z.",
        ),
        f"{LM}, Width, Height, Depth",
    ),
    *_extents(
        ("extent_pca1_um", "extent_pca2_um", "extent_pca3_um"),
        (
            "Longest of the extents along the principal axes of the cable, whichever way the neuron is turned.",
            "The second of them.",
            "The shortest of them.",
        ),
        "principal axes of the cable itself, not of its samples",
    ),
)
_LENGTHS = (
    Definition(
        "total_length_um",
        "um",
        "Length of all neurites: of all edges but those between two samples of the soma. The edge from the soma to "
        "the first sample of a stem is in it.",
        f"{LM}, Length",
    ),
    Definition("axon_length_um", "um", "Of this the edges whose outer sample is axon (type 2).", "SWC"),
    Definition("dendrite_length_um", "um", "Of this basal and apical dendrites (types 3 and 4).", "SWC"),
    Definition("basal_length_um", "um", "Of this basal dendrites, or any, where a file knows one type (3).", "SWC"),
    Definition("apical_length_um", "um", "Of this apical dendrites (type 4).", "SWC"),
    Definition("other_length_um", "um", "Of this all other types.", "SWC"),
    Definition(
        "soma_link_length_um",
        "um",
        "Of the total length the edges from the soma to the first sample of a stem. Programs that begin a stem at "
        "that sample (NeuroM, MorphIO) have a total length that is less by this.",
        "neuropack",
    ),
    Definition(
        "total_surface_um2",
        "um2",
        "Lateral surface of all neurites, an edge being a truncated cone; the one from the soma is a cylinder.",
        f"{LM}, Surface, which takes cylinders",
        _NO_RADII,
    ),
    Definition(
        "total_volume_um3",
        "um3",
        "Volume of the same cones.",
        f"{LM}, Volume, which takes cylinders",
        _NO_RADII,
    ),
    Definition(
        "mean_diameter_um",
        "um",
        "Mean diameter along the cable: of each micrometre, not of each sample.",
        f"{LM}, Diameter, which takes samples",
        f"{_NO_RADII}, or no length",
    ),
)
_DISTANCES = (
    Definition(
        "max_euclidean_distance_um",
        "um",
        "Greatest straight distance of a neurite's sample from the origin.",
        f"{LM}, EucDistance",
        _NO_CABLE,
    ),
    Definition(
        "mean_euclidean_distance_um",
        "um",
        "Mean straight distance of the cable: of the middles of edges, weighted by their length.",
        f"{LM}, EucDistance, which takes samples",
        f"{_NO_CABLE}, or no length",
    ),
    Definition(
        "max_path_distance_um",
        "um",
        "Longest way along the neurites from where a tree begins to a tip.",
        f"{LM}, PathDistance",
        _NO_CABLE,
    ),
    Definition(
        "mean_path_distance_um",
        "um",
        "Mean way along the neurites, of all of the cable.",
        f"{LM}, PathDistance, which takes samples",
        f"{_NO_CABLE}, or no length",
    ),
)
_SHAPE = (
    Definition(
        "max_branch_order",
        "",
        "Most forks between the origin and a branch; stems have 0.",
        f"{LM}, Branch_Order",
        _NO_CABLE,
        whole=True,
    ),
    Definition(
        "max_strahler_order",
        "",
        "Highest Horton-Strahler order: tips have 1, and a branch is one higher than its daughters where two of "
        "them share the highest order.",
        "Strahler 1952",
        _NO_CABLE,
        whole=True,
    ),
    Definition(
        "mean_contraction",
        "",
        "Mean over branches of straight distance between the ends by length along the branch; 1 is straight.",
        f"{LM}, Contraction",
        "no branch that has a length",
    ),
    Definition(
        "mean_fragmentation",
        "",
        "Mean over branches of the number of edges that have a length.",
        f"{LM}, Fragmentation",
        _NO_CABLE,
    ),
    Definition(
        "mean_partition_asymmetry",
        "",
        "Mean over forks with two daughters of |a - b| / (a + b - 2), a and b being the tips of the daughters; 0 "
        "where both lead to one tip.",
        f"{LM}, Partition_asymmetry; van Pelt et al. 1992",
        _NO_PAIRS,
    ),
    Definition(
        "mean_bifurcation_angle_local_deg",
        "deg",
        "Mean over forks with two daughters of the angle between the first samples of these that are elsewhere "
        "than the fork.",
        f"{LM}, Bif_ampl_local",
        _NO_PAIRS,
    ),
    Definition(
        "mean_bifurcation_angle_remote_deg",
        "deg",
        "The same between the ends of the two daughters.",
        f"{LM}, Bif_ampl_remote",
        _NO_PAIRS,
    ),
    Definition(
        "mean_taper_burke",
        "",
        "Mean over branches of the loss of diameter in each micrometre, from the first own sample to the last; "
        "positive where branches get thinner.",
        f"{LM}, Taper_1; Burke et al. 1992",
        f"{_NO_RADII}, or no branch of two own samples apart",
    ),
    Definition(
        "mean_taper_hillman",
        "",
        "Mean over the same branches of the loss of diameter by the diameter of the first own sample.",
        f"{LM}, Taper_2; Hillman 1979",
        "as the one above, or a first diameter of 0 everywhere",
    ),
    Definition(
        "mean_rall_power",
        "",
        "Mean over forks with two daughters of the exponent p in D^p = a^p + b^p, D being the diameter of the "
        "fork, a and b those of the daughters' first samples. Left out are forks without such a p, and those where "
        "it is above 5 or a diameter is 0.",
        f"{LM}, Rall_Power",
        f"{_NO_RADII}, or no such fork",
    ),
    Definition(
        "mean_rall_ratio",
        "",
        "Mean over forks with two daughters of (a^1.5 + b^1.5) / D^1.5, where none of the three diameters is 0; 1 "
        "follows Rall's law.",
        f"{LM}, Pk_classic; Rall 1959",
        f"{_NO_RADII}, or no such fork",
    ),
    Definition(
        "mean_fractal_dimension",
        "",
        "Mean over branches of the slope of log(way) on log(straight distance), both from where the branch leaves, "
        "of its samples; 1 is straight. Left out are branches whose samples are all as far away.",
        f"{LM}, Fractal_Dim; Marks & Burke 2007",
        "no such branch",
    ),
)
_SPACE = (
    Definition("sholl_step_um", "um", "Distance of the spheres of the Sholl analysis, as asked for.", "neuropack"),
    _count("sholl_max_crossings", "Most crossings of one sphere; 0 where none is reached.", "Sholl 1953"),
    Definition(
        "sholl_radius_of_max_um",
        "um",
        "Radius of that sphere, of several the smallest.",
        "Sholl 1953",
        "no sphere is crossed",
    ),
    Definition(
        "convex_hull_volume_um3",
        "um3",
        "Volume of the convex hull of the neurites' samples.",
        "Qhull",
        "fewer than four samples, or all in a plane",
    ),
    Definition(
        "convex_hull_area_um2",
        "um2",
        "Surface of the convex hull.",
        "Qhull",
        "fewer than four samples, or all in a plane",
    ),
    Definition(
        "persistence_longest_bar_um",
        "um",
        "Longest bar of the persistence diagram of the way from the origin.",
        "Kanari et al. 2018",
        _NO_CABLE,
    ),
    Definition(
        "persistence_mean_bar_um",
        "um",
        "Mean length of its bars; a bar for each tip.",
        "Kanari et al. 2018",
        _NO_CABLE,
    ),
    Definition(
        "persistence_entropy",
        "nat",
        "Shannon entropy of the bars' parts of all cable: high where many bars have similar lengths.",
        "Kanari et al. 2018; Chintakunta et al. 2015",
        f"{_NO_CABLE}, or no length",
    ),
)

DEFINITIONS: Final = (*_COUNTS, *_SOMA, *_EXTENTS, *_LENGTHS, *_DISTANCES, *_SHAPE, *_SPACE)
"""All features, in the order of every table."""

FEATURES: Final = tuple(one.name for one in DEFINITIONS)
"""Their keys."""

SUMMARY_COLUMNS: Final = (
    "n_stems",
    "n_bifurcations",
    "n_tips",
    "total_length_um",
    "axon_length_um",
    "dendrite_length_um",
    "max_path_distance_um",
    "max_euclidean_distance_um",
    "max_branch_order",
    "mean_contraction",
    "soma_surface_um2",
)
"""What a table of neurons shows of each."""


def markdown() -> str:
    """The table of all features, as it stands in the reference of the manual."""
    lines = ["| feature | unit | definition | source | null where |", "|---|---|---|---|---|"]
    lines += [
        f"| `{one.name}` | {one.unit or 'whole number' * one.whole} | {one.text.replace('|', chr(92) + '|')} "
        f"| {one.source} | {one.undefined} |"
        for one in DEFINITIONS
    ]
    return "\n".join(lines) + "\n"
