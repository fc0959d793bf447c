"""Spectra → latents or labels, batched over stars."""
