"""The path engine of semi-automated tracing. Empty so far: its issue is open."""
