"""The course of a training: a table, a picture, and files for TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from neuropack.table import tsv_text
from neuropack.whole import published

TABLE, PICTURE, BOARD = "curves.tsv", "curves.png", "tensorboard"
Row = Mapping[str, float]

LOSSES = {"train_loss": ("training", "#7a8899"), "validation_loss": ("validation", "#c02040")}
SCORES = {
    "f1": ("voxel F1", "#2a7f46"),
    "cldice_like": ("clDice-like", "#3060b0"),
    "skeleton_recall": ("skeleton recall", "#d98c00"),
}


def write_curves(folder: Path, history: Sequence[Row], title: str) -> None:
    """Write ``curves.tsv``, a row for each validation, and ``curves.png``.

    Raises:
        OutputError: one cannot be written.
    """
    columns = list(dict.fromkeys(key for row in history for key in row))
    rows = [{key: _shown(key, row.get(key)) for key in columns} for row in history]
    with published(folder / TABLE, overwrite=True) as partial:
        partial.write_text(tsv_text(columns, rows), encoding="utf-8", newline="\n")
    with published(folder / PICTURE, overwrite=True) as partial:
        _draw(partial, history, title)


def _shown(key: str, value: float | None) -> str:
    if value is None:
        return "n/a"
    return str(int(value)) if key == "step" else f"{value:.6g}"


def _draw(path: Path, history: Sequence[Row], title: str) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure((9, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=10, parse_math=False)
    for place, (lines, label) in enumerate(((LOSSES, "loss"), (SCORES, "score of the validation")), 1):
        axis = figure.add_subplot(1, 2, place)
        for key, (name, color) in lines.items():
            points = [(row["step"], row[key]) for row in history if key in row]
            if points:
                axis.plot(*zip(*points, strict=True), "o-", ms=3, lw=1.2, color=color, label=name)
        axis.set_xlabel("steps")
        axis.set_ylabel(label)
        axis.grid(alpha=0.25)
        axis.legend(frameon=False, fontsize=8)
        if lines is SCORES:
            axis.set_ylim(0, 1)
        else:
            axis.set_ylim(bottom=0)
    figure.savefig(path, format="png", dpi=110)


class Board:
    """Files for TensorBoard in ``FOLDER/tensorboard``.

    Args:
        folder: of the training.
        step: where it goes on: what an interrupted run told of later steps is struck out.
    """

    def __init__(self, folder: Path, step: int) -> None:
        from tensorboardX import SummaryWriter

        self._writer = SummaryWriter(str(folder / BOARD), purge_step=step + 1 if step else None)

    def tell(self, step: int, values: Mapping[str, float]) -> None:
        """Note values of a step."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Write what is left."""
        self._writer.close()
