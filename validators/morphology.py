"""Skeletons that are fit to publish: trees, steps, somata and radii, beside each other, on labels and image.

What is wrong is looked for in neuropack.morphology.quality*, which ``neuropack annotations check`` goes by as well;
each rule here gives one kind of it its words. A mistake is told once, by the rule of its cause.
"""

from __future__ import annotations

from collections.abc import Iterator

from neuropack.release import MORPHOLOGY, NEURONS
from neuropack.rules import Finding, ReleaseFiles, Where, rule
from neuropack.rules.skeletons import SkeletonScan
from neuropack.table import MISSING

AGAIN = "; then build the release again"
RENAME = "correct the name in the study, or remove what nothing belongs to, and build the release again"


def _tell(found: SkeletonScan, kind: str) -> Iterator[Finding]:
    for where, flaw in found.of(kind):
        yield Finding(where, flaw.expected, flaw.found, flaw.fix + AGAIN)


@rule(id="morphology.repeated-id", level="error", reads="text")
def repeated_id(release: ReleaseFiles) -> Iterator[Finding]:
    """Each node of a skeleton has an id of its own.

    Of two rows with one id nobody knows which is the parent of those below, and each program takes another.

    Number the rows anew in the program that traced the neuron, or with neuropack annotations convert --repair.
    """
    yield from _tell(release.skeleton_flaws, "repeated-id")


@rule(id="morphology.parent", level="error", reads="text")
def parent(release: ReleaseFiles) -> Iterator[Finding]:
    """The parent of every node is there.

    A neurite whose parent was removed hangs on nothing: programs drop it, or connect it to whatever they like.

    Connect it in the program that traced the neuron, or with neuropack annotations convert --repair.
    """
    yield from _tell(release.skeleton_flaws, "parent")


@rule(id="morphology.cycle", level="error", reads="text")
def cycle(release: ReleaseFiles) -> Iterator[Finding]:
    """No node of a skeleton is its own ancestor.

    A ring has no root, and whoever walks up a tree to its root walks for ever.

    Cut the ring in the program that traced the neuron, or with neuropack annotations convert --repair cycles.
    """
    yield from _tell(release.skeleton_flaws, "cycle")


@rule(id="morphology.jump", level="warning", reads="text")
def jump(release: ReleaseFiles) -> Iterator[Finding]:
    """No edge of a skeleton is far longer than all others and than the neurite is thick.

    A click in the wrong place, or two pieces that were joined, makes a straight line through the tissue, which
    counts as a neurite in every length. Coarse or uneven sampling is no jump.

    Trace the neurite between the two nodes, or cut the edge, and build the release again.
    """
    yield from _tell(release.skeleton_flaws, "jump")


@rule(id="morphology.zero-length", level="warning", reads="text")
def zero_length(release: ReleaseFiles) -> Iterator[Finding]:
    """No two nodes of an edge lie at the same place, but for the first one of a stem, at the centre of its soma.

    Directions and angles are not defined there, and programs divide by the length.

    Remove the second of the two nodes, and build the release again.
    """
    yield from _tell(release.skeleton_flaws, "zero-length")


@rule(id="morphology.several-somata", level="error", reads="text")
def several_somata(release: ReleaseFiles) -> Iterator[Finding]:
    """A skeleton has one soma at most. Nodes of type soma that hang together, such as a contour, are one.

    A neuron has one soma: a file with two holds two neurons, or nodes of a wrong type.

    Split the file, or correct the type of the nodes, and build the release again.
    """
    yield from _tell(release.skeleton_flaws, "several-somata")


@rule(id="morphology.disconnected", level="warning", reads="text")
def disconnected(release: ReleaseFiles) -> Iterator[Finding]:
    """Every part of a skeleton with a soma is connected to it.

    Path lengths and branch orders are counted from the soma; a part that hangs on nothing is left out of them.

    Connect the part where it leaves the neuron, or take it out, and build the release again.
    """
    yield from _tell(release.skeleton_flaws, "disconnected")


@rule(id="morphology.several-trees", level="info", reads="text")
def several_trees(release: ReleaseFiles) -> Iterator[Finding]:
    """A skeleton without a soma is one tree.

    Several are fine where pieces of dendrites were traced in a stack that does not show the soma; whoever counts
    neurons by files should know.

    Nothing, if pieces were traced; else connect them, or give each neuron a file.
    """
    yield from _tell(release.skeleton_flaws, "several-trees")


@rule(id="morphology.radius", level="error", reads="text")
def radius(release: ReleaseFiles) -> Iterator[Finding]:
    """Every radius is above 0, but for a tip, where a neurite may taper to a point.

    Surface, volume and conductance are worked out from radii; 0 or -1 for "not measured" is taken for a number.

    Measure the radius, or take it from the neighbours, and build the release again.
    """
    yield from _tell(release.skeleton_flaws, "radius")


@rule(id="morphology.radius-constant", level="warning", reads="text")
def radius_constant(release: ReleaseFiles) -> Iterator[Finding]:
    """The radii of a skeleton were measured: they are not the same everywhere.

    A program that does not measure radii writes 1 or 0.5 for all of them, and a reader takes it for a diameter.

    Measure the radii, or say in the metadata that they are no measurements.
    """
    yield from _tell(release.skeleton_flaws, "radius-constant")


@rule(id="morphology.duplicate", level="warning", reads="text")
def duplicate(release: ReleaseFiles) -> Iterator[Finding]:
    """No neuron of a stack is there twice.

    Two tracings of one neuron count as two cells in every statistic. What a second annotator traced belongs beside
    the neuron, not among the neurons.

    Keep one of the two, or state the other as the work of a second annotator, and build the release again.
    """
    yield from _tell(release.skeleton_flaws, "duplicate")


@rule(id="morphology.shared-path", level="warning", reads="text")
def shared_path(release: ReleaseFiles) -> Iterator[Finding]:
    """No two neurons of a stack run inside each other for long. That they touch or cross is no finding.

    Where two neurites meet, a tracing easily goes on along the other neuron: from there on one path is counted for
    both.

    Look at the path in the image, give it to the neuron that it belongs to, and build the release again.
    """
    yield from _tell(release.skeleton_flaws, "shared-path")


@rule(id="morphology.labels", level="error", reads="bytes")
def labels(release: ReleaseFiles) -> Iterator[Finding]:
    """The label that is said to be a neuron lies where the skeleton of the neuron does.

    With labels and names exchanged, or one of the two shifted, everything that is learned from the pair is wrong.

    Correct the label map, or unit and origin of skeleton and labels, in the study and build the release again.
    """
    yield from _tell(release.skeleton_pixels, "labels")


@rule(id="morphology.image", level="warning", reads="bytes")
def image(release: ReleaseFiles) -> Iterator[Finding]:
    """A tracing lies on something bright in its image, not beside it.

    A wrong origin, an exchanged or mirrored axis, or another image leaves a tracing inside the stack but beside its
    neuron. The brightness around a sample of its nodes, averaged, shows where the neuron is; where other axes fit
    clearly better, they are named.

    Correct unit, origin or order of the axes in the study, or name the right image, and build the release again.
    """
    yield from _tell(release.skeleton_pixels, "image")


@rule(id="morphology.half-voxel", level="info", reads="bytes")
def half_voxel(release: ReleaseFiles) -> Iterator[Finding]:
    """A tracing counts from the corner of the first voxel, as the image shows it.

    Most programs count voxels from their centres. Written as micrometre, all positions are then half a voxel off
    along every axis, too little to be seen by eye.

    Say origin: centre in the study, and build the release again.
    """
    yield from _tell(release.skeleton_pixels, "half-voxel")


@rule(id="morphology.references", level="error", reads="text")
def references(release: ReleaseFiles) -> Iterator[Finding]:
    """Neurons of neurons.tsv, of the metadata and of the NWB files are the same, and every skeleton is of one.

    A name that leads nowhere loses the morphology of a neuron, or the neuron of a morphology.

    Correct the name in the study and build the release again.
    """
    known = {str(r.get("id")): r.get("morphology") for _, r in release.records("neurons")}
    if release.metadata is None:
        return
    named = {str(r.get("path")) for _, r in release.records("annotations")} | {str(m) for m in known.values() if m}
    listed: set[str] = set()
    table = release.table(NEURONS)
    for i, row in enumerate(table.rows if table is not None else ()):
        where = table.where(i) if table is not None else Where(NEURONS)
        neuron = row.get("neuron_id", MISSING)
        listed.add(neuron)
        said = {column: row.get(column, MISSING) for column in ("swc", "swc_ccf")}
        files = {column: f"{MORPHOLOGY}/{name}" for column, name in said.items() if name not in ("", MISSING)}
        named |= set(files.values())
        if neuron not in known:
            yield Finding(where, "a neuron of the metadata", f"{neuron!r}", RENAME)
            continue
        yield from _files(release, where, neuron, files, known[neuron])
    if table is not None and release.metadata is not None:
        for i, record in release.records("neurons"):
            if record.get("morphology") and str(record.get("id")) not in listed:
                where = release.metadata.where("neurons", i, "id")
                yield Finding(where, f"a row of {NEURONS}", f"{record.get('id')!r} has none", RENAME)
    yield from _nwb(release, known)
    for name in release.files:
        if name.startswith(f"{MORPHOLOGY}/") and name.endswith(".swc") and name not in named:
            yield Finding(name, "a neuron or an annotation that names it", "nothing names it", RENAME)


def _files(
    release: ReleaseFiles, where: Where, neuron: str, files: dict[str, str], morphology: object
) -> Iterator[Finding]:
    for column, name in files.items():
        if name not in release.files and name not in release.manifest_paths:  # files.missing tells
            yield Finding(where, f"a skeleton of the release in column {column}", f"{name} is not there", RENAME)
        elif column == "swc" and isinstance(morphology, str) and morphology in release.files and name != morphology:
            yield Finding(where, f"{morphology}, as the metadata have it for {neuron}", name, RENAME)


def _nwb(release: ReleaseFiles, known: dict[str, object]) -> Iterator[Finding]:
    """The tables of NWB files that name neurons; of a mark an empty name means that it is of none."""
    for nwb in release.nwb_files:
        for path, rows in nwb.neurons:
            unknown: dict[str, list[int]] = {}
            for i, (neuron, file) in enumerate(rows):
                if neuron not in known and (neuron or path.endswith("/neurons")):
                    unknown.setdefault(neuron, []).append(i)
                elif file and file not in release.files and file not in release.manifest_paths:
                    where = Where(nwb.name, f"{path}/morphology")
                    yield Finding(where, "a skeleton of the release", f"row {i}: {file} is not there", RENAME)
            for neuron, at in unknown.items():
                more = f" and {len(at) - 1} more rows" if len(at) > 1 else ""
                where = Where(nwb.name, f"{path}/neuron_id")
                yield Finding(where, "a neuron of the metadata", f"row {at[0]}{more}: {neuron!r}", RENAME)
