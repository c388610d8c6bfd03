"""Simulated Brainbow stacks with analytic ground truth."""
