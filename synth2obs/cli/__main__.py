"""``python -m synth2obs.cli``."""

from synth2obs.cli import app

app()
