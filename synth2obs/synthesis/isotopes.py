"""Shares of the isotopes of an element, for engines that take every line as of the whole element."""

from collections.abc import Mapping
from math import prod

from synth2obs.core.errors import ConfigError
from synth2obs.synthesis.composition import SYMBOLS
from synth2obs.synthesis.line_lists import Species

Shares = Mapping[str, Mapping[int, float]]

TERRESTRIAL: Shares = {
    "H": {1: 0.99997, 2: 0.00003},
    "Li": {6: 0.076, 7: 0.924},
    "C": {12: 0.9890, 13: 0.0110},
    "N": {14: 0.99636, 15: 0.00364},
    "O": {16: 0.99757, 17: 0.00038, 18: 0.00205},
    "F": {19: 1.0},
    "Mg": {24: 0.7899, 25: 0.1000, 26: 0.1101},
    "Si": {28: 0.9223, 29: 0.0468, 30: 0.0309},
    "Cl": {35: 0.7576, 37: 0.2424},
    "Ti": {46: 0.0825, 47: 0.0744, 48: 0.7372, 49: 0.0541, 50: 0.0518},
    "Fe": {54: 0.0585, 56: 0.9175, 57: 0.0212, 58: 0.0028},
    "Cu": {63: 0.6915, 65: 0.3085},
    "Ba": {130: 0.0011, 132: 0.0010, 134: 0.0242, 135: 0.0659, 136: 0.0785, 137: 0.1123, 138: 0.7170},
    "La": {138: 0.0009, 139: 0.9991},
    "Pr": {141: 1.0},
    "Nd": {142: 0.272, 143: 0.122, 144: 0.238, 145: 0.083, 146: 0.172, 148: 0.057, 150: 0.056},
    "Sm": {144: 0.0307, 147: 0.1499, 148: 0.1124, 149: 0.1382, 150: 0.0738, 152: 0.2675, 154: 0.2275},
    "Eu": {151: 0.4781, 153: 0.5219},
}
"""Shares by element and mass number (Berglund & Wieser 2011, Pure Appl. Chem. 83, 397); H is protosolar."""


def share(species: Species, changed: Shares) -> float:
    """How much of an element or a molecule a species is; 1 if it names no isotope.

    Args:
        species: With the mass numbers of its atoms.
        changed: Shares that stand in place of the terrestrial ones, by element.

    Raises:
        ConfigError: If the share of one of its isotopes is unknown.
    """
    atoms = (species.code,) if len(species.isotopes) == 1 else divmod(species.code, 100)
    shares = {**TERRESTRIAL, **changed}
    return prod(
        _share(SYMBOLS[atom - 1], mass, shares) for atom, mass in zip(atoms, species.isotopes, strict=True)
    )


def _share(symbol: str, mass: int, shares: Shares) -> float:
    if mass == 0:
        return 1.0
    if mass not in shares.get(symbol, {}):
        raise ConfigError(
            f"the line lists have {symbol} of mass {mass}, whose share is unknown; give it in engine.isotopes, "
            f"e.g. {symbol} = {{ {mass} = 1.0 }}"
        )
    return shares[symbol][mass]
