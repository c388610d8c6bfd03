"""The shape of neurons in numbers, and whether a skeleton is good enough to publish."""
