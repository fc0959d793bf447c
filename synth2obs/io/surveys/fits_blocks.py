"""Blocks of a FITS file by its headers alone: where each HDU ends, whether its data are all there, and its checksums.

What stands behind the last HDU, in padding, or in cards that nobody asks for, is harmless; missing or changed data are
not. astropy only warns of both.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from synth2obs.core.errors import DataError

Buffer = Any
"""Bytes, or a mapped file."""

CARD, BLOCK = 80, 2880
MOST = 999
"""Largest number of axes or columns in the FITS standard."""

START, EXTENSION, END = b"SIMPLE  =", b"XTENSION=", b"END     "
COUNTS = ("NAXIS", "TFIELDS")
WHOLE = re.compile(r"(BITPIX|NAXIS\d*|TFIELDS|PCOUNT|GCOUNT|GROUPS) *= *(\S+)")
FIRST = (b"B", b"N", b"T", b"P", b"G", b"C", b"D")
"""Letters with which the cards begin that count here."""

SUM = re.compile(rb"(CHECKSUM|DATASUM) *= *'([^']*)'")

ALL = 0xFFFFFFFF
"""Sum of an HDU whose CHECKSUM is right."""

AGAIN = "download or copy the file again"


@dataclass(frozen=True)
class Hdu:
    """Bytes of an HDU.

    Args:
        start, data, end: Of its header, of its data, and behind these, padding not counted.
        cards: Whole numbers by card.
        sums: Checksums by card, as text.
    """

    start: int
    data: int
    end: int
    cards: dict[str, int]
    sums: dict[str, str]

    @property
    def padded(self) -> int:
        """End of its last block."""
        return _up(self.end)


def hdus_of(content: Buffer, path: Path) -> list[Hdu]:
    """All HDUs of a file.

    Raises:
        DataError: If a header or data are cut short, or a size is one that the standard forbids.
    """
    found: list[Hdu] = []
    at = 0
    while content[at : at + len(EXTENSION)] == (EXTENSION if found else START):
        found.append(_hdu(content, at, path, len(found)))
        at = found[-1].padded
    if not found:
        raise DataError("cannot be read as FITS: its first card is not SIMPLE", path=path, remedy=AGAIN)
    _refuse_lost_header(content, at, path, len(found))
    return found


def _refuse_lost_header(content: Buffer, at: int, path: Path, number: int) -> None:
    """Bytes behind the last HDU are no part of the file, unless they look like a header whose first card is damaged."""
    block = bytes(content[at : at + BLOCK])
    cards = [block[first : first + CARD] for first in range(0, len(block), CARD)]
    if sum(card[8:10] == b"= " and card[:8].isascii() for card in cards) >= 3:
        found = f"begins with {cards[0][:10]!r}, no FITS extension"
        raise DataError(found, path=path, field=f"HDU {number}", remedy=AGAIN)


def _hdu(content: Buffer, start: int, path: Path, number: int) -> Hdu:
    cards, sums, at = dict[str, int](), dict[str, str](), start
    while (card := bytes(content[at : at + CARD]))[:8].rstrip(b" \0") != END.rstrip():
        if len(card) < CARD or (at > start and card.startswith(EXTENSION)):
            found = "is no whole FITS file: a header has no card END"
            raise DataError(found, path=path, field=f"HDU {number}", remedy=AGAIN)
        _note(card, cards, sums, path)
        at += CARD
    data = start + _up(at + CARD - start)
    _refuse_cards(bytes(content[at + CARD : data]), path, number)
    size = _size(cards, path)
    if data + size > len(content):
        found = f"FITS file is truncated: {len(content)} of {data + size} bytes"
        raise DataError(found, path=path, field=f"HDU {number}", remedy=AGAIN)
    return Hdu(start, data, data + size, cards, sums)


def _refuse_cards(behind: bytes, path: Path, number: int) -> None:
    """Refuse cards behind END, which nobody reads: END has got before them. Anything else there is padding."""
    for first in range(0, len(behind), CARD):
        if behind[first + 8 : first + 10] == b"= ":
            found = f"has the card {behind[first : first + 8].decode('latin-1').strip()} behind END"
            raise DataError(found, path=path, field=f"HDU {number}", remedy=AGAIN)


def _note(card: bytes, cards: dict[str, int], sums: dict[str, str], path: Path) -> None:
    if card[:1] not in FIRST:
        return
    if match := WHOLE.match(card.decode("latin-1")):
        name, said = match.groups()
        if name == "GROUPS":
            cards[name] = int(said.startswith("T"))
            return
        cards[name] = _whole(name, said.partition("/")[0], path)
    elif sum_card := SUM.match(card):
        sums.setdefault(sum_card.group(1).decode(), sum_card.group(2).decode("latin-1").strip())


def _whole(name: str, said: str, path: Path) -> int:
    try:
        value = int(said)
    except ValueError as error:
        raise DataError(f"is {said!r}, no whole number", path=path, field=name, remedy=AGAIN) from error
    most = MOST if name in COUNTS else np.inf
    if name != "BITPIX" and not 0 <= value <= most:
        raise DataError(f"is {value}, not within 0 to {most}", path=path, field=name, remedy=AGAIN)
    return value


def _size(cards: dict[str, int], path: Path) -> int:
    """Bytes of data."""
    axes = [cards.get(f"NAXIS{n}", 0) for n in range(1, cards.get("NAXIS", 0) + 1)]
    if cards.get("GROUPS") and axes and not axes[0]:
        axes = axes[1:]
    if not axes:
        return 0
    bits = cards.get("BITPIX", 0)
    if abs(bits) not in (8, 16, 32, 64):
        raise DataError(f"is {bits}, not 8, 16, 32 or 64", path=path, field="BITPIX", remedy=AGAIN)
    return abs(bits) // 8 * cards.get("GCOUNT", 1) * (cards.get("PCOUNT", 0) + prod(axes))


def _up(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


def refuse_wrong_sums(content: Buffer, hdus: list[Hdu], path: Path) -> None:
    """Refuse an HDU whose data or header are not those of which its checksums were taken.

    Raises:
        DataError: Naming HDU and card.
    """
    for number, one in enumerate(hdus):
        for card in _wrong(content, one):
            found = f"checksum {one.sums[card]!r} is not that of the FITS file's bytes"
            raise DataError(found, path=path, field=f"HDU {number}, {card}", remedy=AGAIN)


def _wrong(content: Buffer, one: Hdu) -> Iterator[str]:
    if not any(one.sums.values()):
        return
    data = _sum(content, one.data, one.padded)
    said = one.sums.get("DATASUM", "")
    if said and not (said.isdigit() and _same(int(said), data)):
        yield "DATASUM"
    if one.sums.get("CHECKSUM") and not _same(_folded(data + _sum(content, one.start, one.data)), ALL):
        yield "CHECKSUM"


def _same(one: int, other: int) -> bool:
    """Whether two sums agree, of which zero has two forms."""
    return one == other or {one, other} == {0, ALL}


def _sum(content: Buffer, start: int, end: int) -> int:
    """Sum in ones' complement of 32-bit words; what is missing of the last block counts as zeros."""
    total = 0
    for first in range(start, end, BLOCK * 4096):
        block = bytes(content[first : min(first + BLOCK * 4096, end)])
        words = np.frombuffer(block + bytes(-len(block) % 4), ">u4")
        total = _folded(total + int(words.sum(dtype=np.uint64)))
    return total


def _folded(total: int) -> int:
    while total > ALL:
        total = (total & ALL) + (total >> 32)
    return total


def whole_blocks(content: bytes, hdus: list[Hdu]) -> bytes:
    """The file without what stands behind its last HDU, the last block filled up."""
    end = hdus[-1].padded
    return content if len(content) == end else content[:end] + bytes(max(end - len(content), 0))
