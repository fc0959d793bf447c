"""Closed or hidden? A bench of surveys whose truth is known. What ``synth2obs prove`` runs."""

from synth2obs.core.extras import require

require("train", "benches of known truth", "sklearn")
