"""Measure and close the gap between theoretical stellar spectra and what telescopes see."""
