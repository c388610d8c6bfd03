"""A simulated dataset: a study folder with raw images and their truth, and the release that is built from it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import neuropack
from neuropack import resources
from neuropack.build import BuildResult, build
from neuropack.build.simulated_benchmarks import benchmarks_of, by_subject, splits_of
from neuropack.build.simulated_truth import Simulated, truth_files
from neuropack.build.splits import splits_files
from neuropack.convert import convert
from neuropack.engine import Progress
from neuropack.errors import OutputError, UsageError
from neuropack.manifest import sha256_of
from neuropack.schema import schema_version
from neuropack.simulate.placing import load_neuron, swc_files
from neuropack.simulate.settings import Simulation
from neuropack.simulate.trees import DIGITS
from neuropack.skeleton import Skeleton
from neuropack.swc import write_swc
from neuropack.table import tsv_text
from neuropack.whole import published

SETTINGS, STUDY, RELEASE = "simulation.json", "study.yaml", "release"
_FWHM = 2.3548  # full width at half maximum of a Gaussian, in standard deviations
_MOST_NEURONS = 12_000  # what study.yaml, which names each, can hold
_FIRST = datetime(2026, 1, 15, 9, 0, tzinfo=UTC)


@dataclass(frozen=True)
class SimulatedRelease:
    """What `simulate_release` made.

    Attributes:
        folder: holds all of it.
        release: the release, below it.
        stacks: the stacks with their truth.
        built: what the build did.
    """

    folder: Path
    release: Path
    stacks: tuple[Simulated, ...]
    built: BuildResult

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        status = {one["id"]: one["status"] for one in self.built.to_dict()["stacks"]}
        return {
            "folder": str(self.folder),
            "study": str(self.folder / STUDY),
            "release": str(self.release),
            "simulated": True,
            "stacks": [
                {
                    "id": one.stack_id,
                    "subject": one.subject,
                    "split": one.split,
                    "neurons": len(one.made.skeletons),
                    "shape": list(one.made.volume.shape),
                    "status": status[one.stack_id],
                }
                for one in self.stacks
            ],
            "files": self.built.files,
            "bytes": self.built.bytes,
        }


def simulate_release(
    folder: Path,
    simulation: Simulation,
    seed: int = 0,
    *,
    swc: Sequence[Path] = (),
    memory: int | None = None,
    progress: Progress | None = None,
) -> SimulatedRelease:
    """Simulate a dataset and build its release; the same call goes on after an interruption.

    Images are written block by block: memory does not grow with their size. The arguments fix every voxel, whatever
    the memory and the number of threads.

    Args:
        folder: new, or that of an earlier call with the same arguments.
        simulation: what is simulated.
        seed: 0 or more.
        swc: SWC files, or folders of them, whose neurons are put into the stacks in place of such as grow.
        memory: bytes that writing may use.
        progress: called as the work goes on.

    Raises:
        UsageError: the folder holds something else; the simulation makes no stack, or more than a study can hold.
        InputError: an SWC file cannot be read.
        OutputError: something cannot be written.
    """
    if seed < 0:
        raise UsageError("a seed is 0 or more", found=str(seed))
    simulation.check()
    if (count := simulation.subjects * simulation.stacks * simulation.neurons) > _MOST_NEURONS:
        raise UsageError(
            "a study has no room for so many neurons",
            expected=f"at most {_MOST_NEURONS} in all stacks together",
            found=str(count),
            fix="simulate fewer neurons, or several datasets",
        )
    files = list(dict.fromkeys(path for given in swc for path in swc_files(given)))
    neurons = [load_neuron(path) for path in files]
    stacks = tuple(_stacks(simulation, seed, files, neurons))
    record = _record(simulation, seed, files)
    _begin(folder, record, _study(simulation, seed, stacks, with_swc=bool(files)))
    for one in stacks:
        _write(one, folder, memory, progress)
    truth = truth_files(folder, record, stacks)
    truth |= splits_files({one.subject: one.split for one in stacks})  # those of the benchmarks, if there are any
    release = folder / RELEASE
    built = build(folder / STUDY, release, memory=memory, progress=progress, benchmark=truth)
    return SimulatedRelease(folder, release, stacks, built)


def _stacks(
    simulation: Simulation, seed: int, files: Sequence[Path], neurons: Sequence[Skeleton]
) -> Iterator[Simulated]:
    width = max(2, len(str(simulation.subjects)))
    for i in range(simulation.subjects):
        for k in range(simulation.stacks):
            subject, chunk = f"S{i + 1:0{width}d}", f"{k + 1:02d}"
            name = f"{subject}_{chunk}"
            made, chosen = simulation.make(seed, i, k, neurons, f"{name} (simulated)")
            sources = tuple(files[c].name if c is not None else None for c in chosen)
            yield Simulated(subject, chunk, i, simulation, made, sources)


def _record(simulation: Simulation, seed: int, files: Sequence[Path]) -> bytes:
    """All that decides the voxels, as JSON."""
    said = {
        "simulated": True,
        "note": "Everything here is simulated: no animal was used and no microscope was switched on.",
        "generator": f"neuropack {neuropack.__version__}",
        "seed": seed,
        "swc": [{"name": f.name, "sha256": sha256_of(f).sha256} for f in files],
        "settings": asdict(simulation),
    }
    return (json.dumps(said, indent=2, ensure_ascii=False) + "\n").encode()


def _begin(folder: Path, record: bytes, study: str) -> None:
    """Write what the dataset is made from, or find that it is there already.

    Raises:
        UsageError: the folder holds something else.
    """
    settings, path = folder / SETTINGS, folder / STUDY
    try:
        if settings.is_file():
            if settings.read_bytes() == record and (not path.exists() or path.read_bytes() == study.encode()):
                _publish(path, study.encode())
                return
            found = "a simulation of other settings, another seed or another neuropack, or a study that was edited"
        elif folder.is_dir() and any(folder.iterdir()):
            found = ", ".join(sorted(p.name for p in folder.iterdir())[:5])
        else:
            found = ""
    except OSError as error:
        raise OutputError(f"cannot be read: {error.strerror}", file=error.filename or folder) from error
    if found:
        raise UsageError(
            "the folder holds something else",
            file=folder,
            expected="a new or empty folder, or the same simulation",
            found=found,
            fix="name another folder",
        )
    _publish(settings, record)
    _publish(path, study.encode())


def _publish(path: Path, data: bytes) -> None:
    if not path.exists():
        with published(path) as fresh:
            fresh.write_bytes(data)


def _write(one: Simulated, folder: Path, memory: int | None, progress: Progress | None) -> None:
    """Write the files of a stack that are missing."""
    for i, skeleton in enumerate(one.made.skeletons):
        if not (path := folder / one.skeleton(i)).exists():
            with published(path) as fresh:
                write_swc(fresh, skeleton, _comments(one, i), decimals=DIGITS)
    if any(soma is not None for soma in one.somata):
        _publish(folder / one.somata_file, _somata(one).encode())
    for file, volume, labels in ((one.raw, one.made.volume, False), (one.labels, one.made.labels, True)):
        record = {"simulation": {"stack": one.name}}
        source = replace(volume, path=folder / SETTINGS, made_by=record, format="simulated by neuropack")
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        tell = partial(_tell, progress, f"simulating {one.name}{' labels' if labels else ''}") if progress else None
        convert(source, [folder / file], labels=labels, memory=memory, progress=tell)


def _tell(progress: Progress, what: str, stage: str, done: int, total: int) -> None:
    progress(f"{what}: {stage}", done, total)


def _comments(one: Simulated, row: int) -> list[str]:
    names = [f.name for f in one.simulation.fluorophores]
    copies = zip(names, one.made.copies[row].tolist(), strict=True)
    said = [f"SIMULATED by neuropack {neuropack.__version__}"]
    if one.sources[row] is not None:
        said.append(f"course from {one.sources[row]}, turned, scaled and cut")
    return [*said, f"label {row + 1}; copies: " + ", ".join(f"{name} {n}" for name, n in copies)]


def _somata(one: Simulated) -> str:
    rows = [
        {
            "point_id": f"soma{i + 1:03d}",
            **{f"{axis}_um": round(float(v), DIGITS) for axis, v in zip("xyz", soma, strict=True)},
            "neuron_id": one.neuron(i),
            "class": "soma",
        }
        for i, soma in enumerate(one.somata)
        if soma is not None
    ]
    return tsv_text(["point_id", "x_um", "y_um", "z_um", "neuron_id", "class"], rows)


def _study(simulation: Simulation, seed: int, stacks: Sequence[Simulated], *, with_swc: bool) -> str:
    """The text of study.yaml."""
    import jinja2

    environment = jinja2.Environment(  # YAML, not HTML: values that need it are quoted as JSON
        loader=jinja2.FileSystemLoader(resources.folder("templates") / "simulate"),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701
    )
    word = "".join(c if c.isascii() and c.isalnum() else "-" for c in simulation.name).strip("-") or "own"
    sigma = simulation.optics.sigma_um(simulation.fluorophores[0].emission_nm)
    subjects = [
        {
            "id": group[0].subject,
            "sex": "FM"[i % 2],
            "stacks": [_described(one, _FIRST + timedelta(days=i, hours=one.number)) for one in group],
        }
        for i, group in enumerate(by_subject(stacks))
    ]
    source = "SWC files, turned, scaled and cut" if with_swc else "random branching trees"
    channels = len(simulation.fluorophores)
    return environment.get_template("study.yaml.j2").render(
        s=simulation,
        id=f"simulated-{word}-{seed}",
        seed=seed,
        swc=with_swc,
        schema_version=schema_version(),
        neuropack_version=neuropack.__version__,
        psf_fwhm_um=[round(_FWHM * v, 3) for v in sigma],
        abstract=f"SIMULATED DATA. {len(stacks)} stacks of neurons ({source}) in {channels} "
        f"channel{'s' if channels > 1 else ''}, computed by neuropack {neuropack.__version__} from the settings "
        f"{simulation.name} and the seed {seed}, with the labels, skeletons, somata, colours and channel shifts "
        f"that the pixels were made from. No animal was used. {simulation.description}".strip(),
        collection=f"Neurons ({source}) are drawn as tapered tubes, coloured by Poisson copy numbers, seen through "
        "a model of a confocal microscope, and counted with noise.",
        subjects=subjects,
        splits=splits_of(stacks),
        benchmarks=benchmarks_of(stacks),
    )


def _described(one: Simulated, start: datetime) -> dict[str, Any]:
    return {
        "file": one.raw,
        "chunk": one.chunk,
        "start": start.isoformat(),
        "labels": one.labels,
        "skeletons": one.skeletons,
        "somata": one.somata_file if any(soma is not None for soma in one.somata) else None,
        "neurons": [one.neuron(i) for i in range(len(one.made.skeletons))],
    }
