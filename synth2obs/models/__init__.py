"""Floor 2: decoder, emulator, morph, gap, critic, and the bridge that composes them."""

from synth2obs.models.forked import survive_forks

survive_forks()
