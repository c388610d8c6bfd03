"""An outside method of ``neuropack benchmark``: MONAI's U-Nets, trained as its users do on releases.

It knows nothing of neuropack: it reads OME-Zarr with zarr, in the environment of requirements-monai.txt. Each
channel is normalised over its image (mean 0, standard deviation 1), and the network sees the mean and the largest
of them: it takes any number of channels. Images are held in memory.

    python tests/benchmarks/opponents/train.py monai OUT RELEASE... --voxels 200e6
    neuropack benchmark --data RELEASE --task foreground --methods otsu,OUT/method.yaml
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import platform
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import monai
import numpy as np
import torch
import zarr
from monai.inferers import sliding_window_inference
from monai.losses import DiceCELoss
from monai.networks.nets import BasicUNet, DynUNet
from monai.transforms import (
    Compose,
    FgBgToIndicesd,
    NormalizeIntensity,
    RandCropByPosNegLabeld,
    RandFlipd,
    RandGaussianNoised,
    RandRotate90d,
    RandScaleIntensityd,
    RandShiftIntensityd,
    SpatialPadd,
)

WEIGHTS, RECORD, METHOD = "weights.pt", "training.json", "method.yaml"
KEYS = ("image", "label")
HALF = 0.5
KERNEL = 3
FEATURES = {"basicunet": [32, 32, 64, 128, 256, 32], "dynunet": [32, 64, 128, 256, 320]}  # by level
CONNECTED = np.ones((3, 3, 3), bool)  # of objects: voxels that touch by a corner


def network(kind: str, features: list[int]) -> torch.nn.Module:
    """A network from two channels to one logit: MONAI's BasicUNet, or its DynUNet with the shape of nnU-Net's.

    The latter halves planes before it halves stacks, as nnU-Net plans it where voxels are longer along z.
    """
    if kind == "dynunet":
        strides = [1, (1, 2, 2), *[2] * (len(features) - 2)]
        kernels = [(1, 3, 3), *[3] * (len(features) - 1)]
        model: torch.nn.Module = DynUNet(3, 2, 1, kernels, strides, strides[1:], features, norm_name="instance")
    else:
        model = BasicUNet(3, 2, 1, features, norm=("batch", {"affine": True}))
    return model.to(memory_format=torch.channels_last_3d)  # the same values, sooner


def level(path: Path) -> np.ndarray:
    """All voxels of an OME-Zarr image (version 0.5) at full resolution, as c, z, y, x."""
    group = zarr.open_group(path, mode="r")
    scales = dict(group.attrs)["ome"]["multiscales"][0]
    axes = [axis["name"] for axis in scales["axes"]]
    voxels = np.asarray(group[scales["datasets"][0]["path"]][...])
    for position, name in enumerate("czyx"):
        if name not in axes:
            voxels = np.expand_dims(voxels, position)
    return voxels


def seen(image: np.ndarray) -> torch.Tensor:
    """What the network sees of an image c, z, y, x: mean and maximum of its normalised channels."""
    normal = torch.as_tensor(np.asarray(NormalizeIntensity(channel_wise=True)(image.astype(np.float32))))
    return torch.stack((normal.mean(0), normal.amax(0)))


def stacks(release: Path, split: str) -> Iterator[dict[str, Any]]:
    """Images with their foreground, of the subjects of a split."""
    with (release / "derivatives/benchmark/splits.tsv").open(encoding="utf-8", newline="") as table:
        rows = csv.DictReader(table, delimiter="\t")
        subjects = {row["participant_id"].removeprefix("sub-") for row in rows if row["split"] == split}
    document = json.loads((release / "metadata/neuropack.json").read_text(encoding="utf-8"))
    labels = {one["image_stack"]: one["path"] for one in document["annotations"] if one["kind"] == "labels"}
    for one in document["image_stacks"]:
        if one["subject"] in subjects and one["id"] in labels:
            mask = level(release / labels[one["id"]]) > 0
            yield {"image": seen(level(release / one["path"])), "label": torch.as_tensor(mask.astype(np.float32))}


def augmented(patch: list[int]) -> Compose:
    """From a stack to a patch of it: on a neurite in half of the cases, turned, and of other brightness."""
    around = {"spatial_size": patch, "pos": 1, "neg": 1, "num_samples": 1}
    indices = {"fg_indices_key": "label_fg_indices", "bg_indices_key": "label_bg_indices"}
    return Compose(
        [
            RandCropByPosNegLabeld(KEYS, "label", **around, **indices),
            *(RandFlipd(KEYS, prob=0.5, spatial_axis=axis) for axis in range(3)),
            RandRotate90d(KEYS, prob=0.5, max_k=3, spatial_axes=(1, 2)),
            RandScaleIntensityd("image", factors=0.3, prob=0.5),
            RandShiftIntensityd("image", offsets=0.1, prob=0.5),
            RandGaussianNoised("image", prob=0.3, std=0.1),
        ]
    )


def predicted(model: torch.nn.Module, image: torch.Tensor, patch: list[int], device: str) -> np.ndarray:
    """Probabilities of foreground z, y, x of what the network sees of an image."""
    model.eval()
    with torch.inference_mode():
        logits = sliding_window_inference(
            image[None], patch, 4, model, overlap=0.25, mode="gaussian", sw_device=device, device="cpu"
        )
    return torch.sigmoid(logits[0, 0]).float().numpy()


def dice(mask: np.ndarray, truth: np.ndarray) -> float:
    """Dice of two masks; 1 where both are empty."""
    both = int(mask.sum()) + int(truth.sum())
    return 2 * int((mask & truth).sum()) / both if both else 1.0


def train(args: argparse.Namespace) -> None:
    """Train a network and write its weights, what they were made from, and the file of methods."""
    monai.utils.set_determinism(args.seed)
    order = np.random.default_rng(args.seed)
    prepare = Compose([SpatialPadd(KEYS, args.patch), FgBgToIndicesd("label")])
    training = [prepare(one) for release in args.releases for one in stacks(release, "train")]
    validation = [one for release in args.releases for one in stacks(release, "validation")]
    if not training:
        sys.exit("no release has a subject in the split train")
    voxels = args.batch * int(np.prod(args.patch))
    steps = args.steps or max(1, round(args.voxels / voxels))
    features = args.features or FEATURES[args.network]
    planes = args.patch[0] // (16 if args.network == "basicunet" else 2 ** (len(features) - 2))
    if args.mixed and args.device == "cpu" and planes < KERNEL:
        # PyTorch 2.13: gradients of such a level are of memory that nobody wrote, now and then NaN
        sys.exit(
            f"--mixed on a CPU needs {KERNEL} planes at the coarsest level, and here are {planes}: longer --patch"
        )
    model = network(args.network, features).to(args.device)
    loss = DiceCELoss(sigmoid=True, batch=True)
    optimiser = torch.optim.AdamW(model.parameters(), args.rate, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, args.rate, total_steps=steps + 1)
    patches = augmented(args.patch)
    args.out.mkdir(parents=True, exist_ok=True)
    record: dict[str, Any] = {
        "network": args.network,
        "features": features,
        "parameters": sum(one.numel() for one in model.parameters()),
        "versions": {"monai": monai.__version__, "torch": torch.__version__, "python": platform.python_version()},
        "patch": args.patch,
        "batch": args.batch,
        "seed": args.seed,
        "device": args.device,
        "threads": torch.get_num_threads(),
        "mixed_precision": args.mixed,
        "trained_on": [about(release) for release in args.releases],
        "best": None,
        "curve": [],
    }
    began = time.monotonic()
    for step in range(1, steps + 1):
        model.train()
        made = [patches(training[i])[0] for i in order.integers(len(training), size=args.batch)]
        images, masks = (torch.stack([torch.as_tensor(one[key]) for one in made]).to(args.device) for key in KEYS)
        with torch.autocast(args.device, torch.bfloat16, enabled=args.mixed):
            value = loss(model(images).float(), masks)
        if not torch.isfinite(value):
            sys.exit(f"the loss of step {step} is no number")
        optimiser.zero_grad(set_to_none=True)
        value.backward()
        optimiser.step()
        schedule.step()
        if step % args.every == 0 or step == steps:
            found = [
                dice(predicted(model, one["image"], args.patch, args.device) >= HALF, one["label"][0].numpy() > 0)
                for one in validation
            ]
            row = {"step": step, "loss": value.item(), "dice": float(np.mean(found)) if found else None}
            record["curve"].append(row)
            best = record["best"]
            if best is None or row["dice"] is None or row["dice"] > best["dice"]:  # the last without validation
                record["best"] = row
                torch.save(model.state_dict(), args.out / WEIGHTS)
            record |= {"steps": step, "voxels": step * voxels, "seconds": round(time.monotonic() - began, 1)}
            write(args.out, args.name, record)
            print(f"step {step}/{steps}, {record['seconds']:.0f} s: {row}", flush=True)
    print(f"{args.out / METHOD}: best on validation {record['best']}")


def write(out: Path, name: str, record: dict[str, Any]) -> None:
    """Write what the weights were made from, and the file of methods."""
    (out / RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    method = {
        "name": name,
        "about": f"{record['network']} of MONAI {monai.__version__}, {record['parameters']} parameters, "
        f"{record['steps']} steps of {record['batch']} patches of {' x '.join(map(str, record['patch']))} voxels",
        "command": [
            *(sys.executable, str(Path(__file__).resolve()), "predict", "{image}", "{output}"),
            *("--model", str(out.resolve()), "--task", "{task}", "--threshold", "{threshold}"),
        ],
        "tasks": ["foreground", "instances"],
        "settings": [{"threshold": value} for value in (HALF, 0.3, 0.7, 0.9, 0.97)],
        "trained_on": record["trained_on"],
    }
    (out / METHOD).write_text(json.dumps(method, indent=2) + "\n", encoding="utf-8")  # JSON is YAML


def about(release: Path) -> dict[str, Any]:
    """What was learnt from, so that nobody tests on it."""
    document = json.loads((release / "metadata/neuropack.json").read_text(encoding="utf-8"))
    said: dict[str, Any] = {
        "dataset": document["dataset"]["id"],
        "manifest_sha256": hashlib.sha256((release / "manifest.tsv").read_bytes()).hexdigest(),
        "splits": ["train", "validation"],
    }
    simulation = release / "derivatives/benchmark/simulation.json"
    if simulation.is_file():
        said["seed"] = json.loads(simulation.read_text(encoding="utf-8"))["seed"]
    return said


def predict(args: argparse.Namespace) -> None:
    """Write the mask, or the connected objects, of one image as labels.npy."""
    record = json.loads((args.model / RECORD).read_text(encoding="utf-8"))
    model = network(record["network"], record["features"])
    model.load_state_dict(torch.load(args.model / WEIGHTS, map_location="cpu", weights_only=True))
    image = seen(level(args.image))
    found = predicted(model.to(args.device), image, record["patch"], args.device) >= args.threshold
    labels = found.astype(np.uint8)
    if args.task == "instances":
        labels = objects(found, args.smallest)
    args.output.mkdir(parents=True, exist_ok=True)
    np.save(args.output / "labels.npy", labels)


def objects(mask: np.ndarray, smallest: int) -> np.ndarray:
    """Connected parts of a mask of so many voxels at least, numbered from 1."""
    from scipy import ndimage

    labels, count = ndimage.label(mask, CONNECTED)
    keep = np.bincount(labels.ravel(), minlength=count + 1) >= smallest
    keep[0] = False
    return np.where(keep, np.cumsum(keep), 0).astype(np.uint32)[labels]


def main() -> None:
    """Read the line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("train", help="train on the train split of releases, choose by validation")
    one.add_argument("out", type=Path)
    one.add_argument("releases", type=Path, nargs="+")
    one.add_argument("--patch", type=int, nargs=3, default=[32, 64, 64], metavar=("Z", "Y", "X"))
    one.add_argument("--batch", type=int, default=2)
    one.add_argument("--voxels", type=float, default=50e6, help="of all patches together")
    one.add_argument("--steps", type=int, help="in place of --voxels")
    one.add_argument("--network", choices=FEATURES, default="basicunet")
    one.add_argument("--features", type=int, nargs="+", help="channels of each level (BasicUNet: and of the last)")
    one.add_argument("--rate", type=float, default=1e-3)
    one.add_argument("--every", type=int, default=100, help="steps between validations")
    one.add_argument("--seed", type=int, default=0)
    one.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    one.add_argument("--mixed", action="store_true", help="bfloat16")
    one.add_argument("--name", default="monai-unet")
    one.set_defaults(run=train)
    one = commands.add_parser("predict", help="write labels.npy of one OME-Zarr image")
    one.add_argument("image", type=Path)
    one.add_argument("output", type=Path)
    one.add_argument("--model", type=Path, required=True, help="what train has written")
    one.add_argument("--task", choices=("foreground", "instances"), default="foreground")
    one.add_argument("--threshold", type=float, default=0.5)
    one.add_argument("--smallest", type=int, default=50, help="voxels of an object")
    one.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    one.set_defaults(run=predict)
    args = parser.parse_args()
    if threads := os.environ.get("OMP_NUM_THREADS"):
        torch.set_num_threads(int(threads))
    args.run(args)


if __name__ == "__main__":
    main()
