"""Theoretical spectra from other people's synthesis codes: labels in, spectra out."""
