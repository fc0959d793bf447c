"""How far a spectrum may be from its model: photon noise, and what theory leaves."""
