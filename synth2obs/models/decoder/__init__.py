"""Latent → rest-frame flux, and back from complete spectra."""
