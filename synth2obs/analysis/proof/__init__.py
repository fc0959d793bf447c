"""Surveys of known truth, and how well methods find it: what `synth2obs prove` simulates and scores."""
