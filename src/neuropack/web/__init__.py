"""Pages and API over a catalogue. Empty so far: its issue is open."""
