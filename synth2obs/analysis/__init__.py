"""Floor 4: what a trained bridge says about spectra."""
