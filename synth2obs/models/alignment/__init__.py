"""How the latents of the grid are carried to those of a survey, and what teaches it."""
