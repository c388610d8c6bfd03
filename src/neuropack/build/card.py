"""README.md of a release: what a person reads first."""

from __future__ import annotations

from collections.abc import Sequence

from neuropack import resources
from neuropack.build.plan import Planned
from neuropack.study import Study


def readme(study: Study, planned: Sequence[Planned]) -> str:
    """The text, from templates/release/README.md.j2."""
    from jinja2 import Environment, StrictUndefined

    template = (resources.folder("templates") / "release" / "README.md.j2").read_text(encoding="utf-8")
    # Markdown, not HTML: nothing is to be escaped
    environment = Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False)  # noqa: S701
    rows = []
    for one in planned:
        volume = one.volume
        axes = volume.axes.replace("Z", "") if volume.planar else volume.axes
        lengths = [n for a, n in zip(volume.axes, volume.shape, strict=True) if a in axes]
        rows.append(
            {
                "id": one.stack.id,
                "file": one.stack.file.name,
                "shape": " ".join(f"{a}={n}" for a, n in zip(axes, lengths, strict=True)),
                "dtype": volume.dtype.name,
                "voxel": ", ".join(f"{v:g}" for v in volume.voxel_size_um if v is not None),
                "channels": ", ".join(c["name"] for c in one.acquisition["channels"]),
                "neurons": len(one.skeletons),
                "notes": one.notes,
            }
        )
    text = environment.from_string(template).render(
        data=study.dataset, subjects=study.subjects, specimens=study.specimens, stacks=rows
    )
    return text.rstrip() + "\n"
