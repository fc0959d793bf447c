"""Closed or hidden? A bench of surveys whose truth is known. What ``synth2obs prove`` runs."""
