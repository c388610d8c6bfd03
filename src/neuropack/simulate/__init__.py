"""Simulated Brainbow stacks with analytic ground truth: neurons, colours, optics and noise from one seed.

The chain: random branching trees (`trees`), their voxels in any box (`render`), a colour for each neuron
(`colours`), the microscope (`optics`), and the stack that puts them together (`stack`). Everything is computed
block by block and no block knows of the others, so a stack may be larger than memory and gives the same voxels
however it is read.
"""

from __future__ import annotations

from neuropack.simulate.colours import BRAINBOW, Fluorophore
from neuropack.simulate.optics import Optics
from neuropack.simulate.stack import SimulatedStack, stack
from neuropack.simulate.trees import Habit, grow

__all__ = ["BRAINBOW", "Fluorophore", "Habit", "Optics", "SimulatedStack", "grow", "stack"]
