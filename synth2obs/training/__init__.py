"""Floor 3: staged, resumable, tracked training."""
