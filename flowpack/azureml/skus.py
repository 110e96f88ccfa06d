"""What the name of an instance type (a SKU) says: its cores, its memory, and how its quota is reckoned.

Names from about 2017 on carry the cores (Microsoft's naming conventions for virtual machine sizes):
``Standard_E16-4s_v3`` is of the family E with 16 cores, 4 of them active. Of older ones the tables here know the cores.
"""

from __future__ import annotations

import re

_NAME = re.compile(
    r"(?:standard|basic)_(?P<family>[a-z]+)(?P<number>\d+)(?:-(?P<active>\d+))?(?P<features>[a-z]*)"
    r"(?:_[a-z]+\d+[a-z]*(?=_v))?"  # the accelerator: A100, T4, V710, MI300X
    r"(?:_\d+)?"  # terabytes of memory, of the family M
    r"(?:_v(?P<version>\d+))?(?:_promo)?"
)

# D and DS, versions 1 and 2: cores and GB of memory by the number in the name.
_OLD_D = {
    **{1: (1, 3.5), 2: (2, 7.0), 3: (4, 14.0), 4: (8, 28.0), 5: (16, 56.0)},
    **{11: (2, 14.0), 12: (4, 28.0), 13: (8, 56.0), 14: (16, 112.0), 15: (20, 140.0)},
}
_OLD_A = {0: 1, 1: 1, 2: 2, 3: 4, 4: 8, 5: 2, 6: 4, 7: 8, 8: 8, 9: 16, 10: 8, 11: 16}
_OLD_G = {1: 2, 2: 4, 3: 8, 4: 16, 5: 32}

# GB for each core by family and version, where that is one figure for the whole series.
_MEMORY_OF_A_CORE = {("d", 3): 4, ("d", 4): 4, ("d", 5): 4, ("f", 1): 2, ("f", 2): 2}

_EXEMPT = re.compile(
    r"standard_(?:nc(?:24|48|96)ads_a100_v4|nc40ads_h100_v5|nc80adis_h100_v5"
    r"|nd96amsr_a100_v4|nd96asr_v4|nd40rs_v2|nd96isr?_h100_v5)"
)


def cores(sku: str) -> int | None:
    """The cores that programs may use; None where the name does not say."""
    match = _NAME.fullmatch(sku.lower())
    if match is None:
        return None
    number, active = int(match["number"]), match["active"]
    old = _old_cores(match)
    if old is not None and number not in old:
        return None
    return int(active) if active else (old or {number: number})[number] or None


def memory(sku: str) -> float | None:
    """GB of one instance; None where the name does not surely say."""
    match = _NAME.fullmatch(sku.lower())
    if match is None:
        return None
    number = int(match["number"])
    if _is_old_d(match):
        return _OLD_D[number][1] if number in _OLD_D else None
    if match["features"].strip("ads"):  # l and m are for less and for more memory than the series has
        return None
    of_a_core = _MEMORY_OF_A_CORE.get((match["family"], _version(match)))
    return float(number * of_a_core) if of_a_core else None


def quota_exempt(sku: str) -> bool:
    """Whether a managed endpoint reserves no 20 % more of this one for upgrades."""
    return _EXEMPT.fullmatch(sku.lower()) is not None


def _old_cores(match: re.Match[str]) -> dict[int, int] | None:
    """Cores by number, of a family whose numbers are not the cores."""
    if _is_old_d(match):
        return {number: cores for number, (cores, _) in _OLD_D.items()}
    if match["family"] == "a" and _version(match) == 1:
        return _OLD_A
    return _OLD_G if match["family"] in {"g", "gs"} else None


def _is_old_d(match: re.Match[str]) -> bool:
    return match["family"] in {"d", "ds"} and _version(match) < 3


def _version(match: re.Match[str]) -> int:
    return int(match["version"] or 1)
