"""Floor 2: decoder, emulator, morph, gap, critic, and the bridge that composes them."""
