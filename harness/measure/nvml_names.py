"""NVML's numbers in words: clock event reasons, violation policies, virtualisation."""

from __future__ import annotations

CLOCK_EVENT_REASONS = {
    0x001: "gpu_idle",
    0x002: "applications_clocks",
    0x004: "sw_power_cap",
    0x008: "hw_slowdown",
    0x010: "sync_boost",
    0x020: "sw_thermal",
    0x040: "hw_thermal",
    0x080: "hw_power_brake",
    0x100: "display_clocks",
}
"""Bits of nvmlDeviceGetCurrentClocksEventReasons (nvml.h, nvmlClocksEventReasons)."""

THROTTLING = frozenset({"hw_slowdown", "sw_thermal", "hw_thermal", "hw_power_brake"})
"""Reasons that spoil a measurement. The software power cap is not one: a heavy operator meets it
by design, in serving too."""

VIOLATION_POLICIES = {
    0: "power",
    1: "thermal",
    2: "sync_boost",
    3: "board_limit",
    4: "low_utilization",
    5: "reliability",
    10: "total_app_clocks",
    11: "total_base_clocks",
}
"""nvmlPerfPolicyType_t: what held the SM clock below the application clocks, and for how long."""

SPOILING_POLICIES = frozenset({"thermal", "sync_boost", "board_limit"})
"""Policies whose growth spoils a measurement. Not so the power cap (see `THROTTLING`), low
utilisation (any card that waits), the reliability voltage (any card at its highest clock), nor the
two totals, which count those three too."""

VIRTUALISATION = {0: "none", 1: "passthrough", 2: "vgpu", 3: "host_vgpu", 4: "host_vsga"}
"""nvmlGpuVirtualizationMode_t; a card that is passed through belongs to its machine alone."""

ECC_COUNTERS = {"corrected": 0, "uncorrected": 1}
"""nvmlMemoryErrorType_t."""

ECC_VOLATILE = 0
"""nvmlEccCounterType_t: errors since the driver was loaded."""

POWER_INSTANT_FIELD = 186
"""NVML_FI_DEV_POWER_INSTANT: mW now, where nvmlDeviceGetPowerUsage is an average of about a
second on these cards."""

ABSENT_FIELD = frozenset({2, 3, 4, 13})
"""nvmlReturn_t of a field that this card or driver does not offer: invalid argument (an unknown
field), not supported, no permission, function not found."""


def reason_names(bits: int) -> list[str]:
    """Names of the clock event reasons that are set; unknown bits in hexadecimal."""
    names = [name for bit, name in CLOCK_EVENT_REASONS.items() if bits & bit]
    unknown = bits & ~sum(CLOCK_EVENT_REASONS)
    return [*names, f"{unknown:#x}"] if unknown else names
