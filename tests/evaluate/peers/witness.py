"""What other programs say of the cases; `answers.json` keeps it, and tests/evaluate/test_peers.py compares.

Runs in an environment of its own (requirements.txt; the rest of what these packages ask for is not needed):

    python -m venv .gates/scores && .gates/scores/bin/pip install --no-deps -r tests/evaluate/peers/requirements.txt
    .gates/scores/bin/python tests/evaluate/peers/witness.py > tests/evaluate/peers/answers.json
"""

import json
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from unittest import mock

import cases
import networkx as nx
import numpy as np
from skimage import metrics as ski
from skimage.morphology import skeletonize
from sklearn import metrics as skl
from stardist.matching import matching
from swclib.metrics.length_metric import LengthMetric
from swclib.metrics.ssd_metric import SSDMetric

for absent in ("boto3", "botocore", "botocore.client", "google", "google.cloud", "s3fs", "tensorstore"):
    sys.modules.setdefault(absent, mock.MagicMock())  # clouds, which no score needs
from segmentation_skeleton_metrics import skeleton_metrics as ssm  # noqa: E402


def masks():
    """scikit-learn, of a mask."""
    truth, found = cases.tubes(0).ravel(), cases.tubes(1).ravel()
    precision, recall, f1, _ = skl.precision_recall_fscore_support(truth, found, average="binary")
    return {
        "precision": precision,
        "recall": recall,
        "f1": f1,
        "accuracy": skl.accuracy_score(truth, found),
        "iou": skl.jaccard_score(truth, found),
    }


def centrelines():
    """clDice by its definition, with scikit-image's thinning of the whole."""
    truth, found = cases.tubes(0) > 0, cases.tubes(3) > 0
    lines = [skeletonize(m, method="lee") > 0 for m in (truth, found)]
    recall, precision = found[lines[0]].mean(), truth[lines[1]].mean()
    return {
        "cl_precision": precision,
        "cl_recall": recall,
        "cldice": 2 * precision * recall / (precision + recall),
    }


def instances():
    """stardist, and scikit-image where the truth is no background."""
    truth, found = cases.balls(0), cases.balls(1)
    sequential = np.unique(found, return_inverse=True)[1].reshape(found.shape)
    half = matching(truth, sequential, thresh=0.5)
    f1 = [matching(truth, sequential, thresh=t / 10).f1 for t in range(1, 10)]
    inside = truth > 0
    split, merge = ski.variation_of_information(truth[inside], found[inside])[::-1]
    return {
        "pq": half.panoptic_quality,
        "sq": half.mean_matched_score,
        "rq": half.f1,
        "f1_50": half.f1,
        "average_f1": float(np.mean(f1)),
        "voi": sorted((split, merge)),
    }


def classes():
    """scikit-learn."""
    truth, found = cases.classes()
    names = sorted({*truth, *found})
    p, r, f, _ = skl.precision_recall_fscore_support(truth, found, labels=names, zero_division=np.nan)
    return {
        "macro_precision": np.nanmean(p),
        "macro_recall": np.nanmean(r),
        "macro_f1": np.nanmean(f),
        "accuracy": skl.accuracy_score(truth, found),
        "kappa": skl.cohen_kappa_score(truth, found),
        "by_class": dict(zip(names, np.column_stack([p, r, f]).tolist(), strict=True)),
    }


def boxes():
    """scikit-learn's average precision; all true boxes are found."""
    right, sure = cases.detections()
    return {"ap": skl.average_precision_score(right, sure)}


def traces():
    """swclib, which resamples every 2 um."""
    with tempfile.TemporaryDirectory() as folder:
        paths = {}
        for name, rows in cases.SWC.items():
            paths[name] = str(Path(folder, f"{name}.swc"))
            Path(paths[name]).write_text("".join(" ".join(map(str, row)) + "\n" for row in rows))
        ssd = SSDMetric(2.0).run(paths["truth"], paths["found"])
        length = LengthMetric(radius_threshold=2.0, resample_step=1.0).run(paths["truth"], paths["found"])
    return {
        "sd_um": ssd["sd"],
        "ssd_um": ssd["ssd"],
        "ssd_fraction": ssd["ssd_percent"],
        "length_precision": length["precision"],
        "length_recall": length["recall"],
    }


def edges():
    """segmentation-skeleton-metrics: omitted and split edges of a line."""
    graph = nx.path_graph(len(cases.LINE_LABELS))
    graph.node_label = np.array(cases.LINE_LABELS)
    named = nx.path_graph(len(cases.LINE_LABELS))
    named.node_label = [str(label) for label in cases.LINE_LABELS]  # it looks for "0"
    n = graph.number_of_edges()
    return {
        "erl_split": ssm.SplitEdgePercentMetric.count_split_edges(graph) / n,
        "erl_omitted": ssm.OmitEdgePercentMetric.count_omit_edges(named) / n,
    }


def plain(value):
    """Numbers that JSON can hold."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return None if value is None or np.isnan(value) else float(value)


told = {f.__name__: plain(f()) for f in (masks, centrelines, instances, classes, boxes, traces, edges)}
packages = ("scikit-learn", "scikit-image", "stardist", "swclib", "segmentation-skeleton-metrics")
print(json.dumps({"versions": {p: version(p) for p in packages}, **told}, indent=1))
