"""Simulated Brainbow stacks with analytic ground truth: neurons, colours, optics and noise from one seed.

The chain: random branching trees (`trees`) or neurons of SWC files (`placing`), their voxels in any box
(`render`), a colour for each neuron (`colours`), what is around them (`tissue`), the microscope (`optics`) and its
tiles (`seams`), the stack that puts them together (`stack`), and all settings of a dataset (`settings`). Everything
is computed block by block and no block knows of the others, so a stack may be larger than memory and gives the same
voxels however it is read.
"""

from __future__ import annotations

from neuropack.simulate.colours import BRAINBOW, Fluorophore
from neuropack.simulate.optics import Optics
from neuropack.simulate.seams import Mosaic
from neuropack.simulate.settings import Simulation, Traced
from neuropack.simulate.stack import SimulatedStack, stack
from neuropack.simulate.tissue import Tissue
from neuropack.simulate.trees import Habit, grow

__all__ = [
    "BRAINBOW",
    "Fluorophore",
    "Habit",
    "Mosaic",
    "Optics",
    "SimulatedStack",
    "Simulation",
    "Tissue",
    "Traced",
    "grow",
    "stack",
]
