"""Invisible characters: Unicode's Default_Ignorable_Code_Point, including unassigned code points."""

import re

# DerivedCoreProperties of Unicode 17. `unicodedata` does not have this property.
_RANGES = (
    *((0xAD, 0xAD), (0x34F, 0x34F), (0x61C, 0x61C), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F)),
    *((0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F), (0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF)),
    *((0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8), (0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF)),
)
_IGNORED = re.compile(f"[{''.join(f'{chr(first)}-{chr(last)}' for first, last in _RANGES)}]+")

IGNORED = frozenset(chr(point) for first, last in _RANGES for point in range(first, last + 1))


def without_ignored(text: str) -> str:
    """Return `text` without invisible characters. Only for comparing: some scripts need them to display correctly."""
    return _IGNORED.sub("", text)
