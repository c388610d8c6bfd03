"""The table of the neurons of a stack."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from neuropack.errors import InputError
from neuropack.page.facts import Record, number, record, records, text
from neuropack.page.projections import label_colour
from neuropack.release import MORPHOLOGY, NEURONS
from neuropack.table import MISSING, read_tsv

_UNLABELLED = 5_001  # colours from here on are of neurons that no label stands for


@dataclass(frozen=True)
class NeuronRow:
    """One neuron.

    Attributes:
        color: RRGGBB of its label in the picture; without one another colour.
        soma: where it lies, in the frame that `space` names.
        side, border_um, axon_um, dendrite_um: in the CCF; "" where the stack is not registered.
        swc: path of its skeleton, relative to the release.
        link: to it.
        ccf: path of its skeleton in the CCF, relative to the release; "" without one.
    """

    name: str
    color: str
    nodes: str
    length_um: str
    soma: str
    space: str
    region: str
    side: str
    border_um: str
    axon_um: str
    dendrite_um: str
    swc: str
    link: str
    ccf: str


def neuron_rows(
    release: Path, document: Record, stack: Record, labels: list[Record], link: Callable[[object], str]
) -> tuple[list[NeuronRow], str]:
    """The neurons that ``neurons.tsv`` lists for a stack, and what is wrong with the table in words."""
    path = release / NEURONS
    if not path.exists():
        return [], ""
    try:
        table = read_tsv(path)
    except InputError as error:
        return [], f"the table of neurons cannot be shown: {error}"
    value_of = {text(e.get("neuron")): number(e.get("value")) for a in labels for e in records(a, "label_map")}
    rows: list[NeuronRow] = []
    for found in table:
        if found.get("image_stack") != stack.get("id"):
            continue
        name = found.get("neuron_id", "")
        known = record(document, "neurons", name)
        value = value_of.get(name)
        color = label_colour(int(value) if value is not None else _UNLABELLED + len(rows))
        soma = [number(known.get(f"soma_{a}")) for a in "xyz"]
        rows.append(
            NeuronRow(
                name=name.rsplit("_desc-", 1)[-1],
                color=color,
                nodes=_cell(found, "n_nodes"),
                length_um=_number(_cell(found, "length_um")),
                soma=", ".join(f"{v:.1f}" for v in soma if v is not None),
                space=text(known.get("soma_space")),
                region=text(known.get("region_acronym")),
                side=_cell(found, "soma_hemisphere"),
                border_um=_number(_cell(found, "soma_border_um")),
                axon_um=_number(_cell(found, "axon_length_um")),
                dendrite_um=_number(_cell(found, "dendrite_length_um")),
                swc=f"{MORPHOLOGY}/{found.get('swc', '')}",
                link=link(f"{MORPHOLOGY}/{found.get('swc', '')}"),
                ccf=f"{MORPHOLOGY}/{_cell(found, 'swc_ccf')}" if _cell(found, "swc_ccf") else "",
            )
        )
    return rows, ""


def _cell(row: dict[str, str], name: str) -> str:
    value = row.get(name, MISSING)
    return "" if value == MISSING else value


def _number(cell: str) -> str:
    try:
        return f"{float(cell):.0f}"
    except ValueError:
        return cell
