"""The figures are those of Microsoft's articles on the series."""

from __future__ import annotations

import pytest

from flowpack.azureml.skus import cores, memory, quota_exempt


@pytest.mark.parametrize(
    ("sku", "expected"),
    [
        ("Standard_DS1_v2", 1),
        ("STANDARD_DS3_V2", 4),
        ("Standard_DS5_v2", 16),
        ("Standard_DS15_v2", 20),
        ("Standard_DS14-4_v2", 4),
        ("Standard_D13", 8),
        ("Standard_D2_v2_Promo", 2),
        ("Standard_A2", 2),
        ("Basic_A4", 8),
        ("Standard_A2m_v2", 2),
        ("Standard_GS5", 32),
        ("Standard_F2s", 2),
        ("Standard_F4s_v2", 4),
        ("Standard_D96ds_v5", 96),
        ("Standard_E16s_v3", 16),
        ("Standard_E16-4s_v3", 4),
        ("Standard_M176s_3_v3", 176),
        ("Standard_NC24ads_A100_v4", 24),
        ("Standard_NC16as_T4_v3", 16),
        ("Standard_ND96isr_MI300X_v5", 96),
        ("Standard_NC6s_v3", 6),
    ],
)
def test_the_cores_of_an_instance(sku: str, expected: int) -> None:
    assert cores(sku) == expected


@pytest.mark.parametrize("sku", ["", "defaultinstancetype", "$(SKU)", "Standard_DS6_v2", "Standard_Quick", "D4s"])
def test_a_name_that_does_not_say_is_not_guessed_at(sku: str) -> None:
    assert (cores(sku), memory(sku), quota_exempt(sku)) == (None, None, False)


@pytest.mark.parametrize(
    ("sku", "expected"),
    [
        ("Standard_DS1_v2", 3.5),
        ("Standard_DS2_v2", 7),
        ("Standard_DS3_v2", 14),
        ("Standard_D11", 14),
        ("Standard_D2as_v4", 8),
        ("Standard_F4s_v2", 8),
        ("Standard_D2ls_v5", None),
        ("Standard_F4as_v6", None),
        ("Standard_E2s_v3", None),
    ],
)
def test_the_memory_of_an_instance(sku: str, expected: float | None) -> None:
    assert memory(sku) == expected


@pytest.mark.parametrize("sku", ["Standard_NC24ads_A100_v4", "standard_nd96is_h100_v5", "Standard_ND40rs_v2"])
def test_some_reserve_nothing_for_upgrades(sku: str) -> None:
    assert quota_exempt(sku)
    assert not quota_exempt(f"{sku}_more")


@pytest.mark.parametrize("sku", ["Standard_DS3_v2", "Standard_NC6s_v3", "Standard_NC40ads_A100_v4"])
def test_most_reserve_a_fifth(sku: str) -> None:
    assert not quota_exempt(sku)
