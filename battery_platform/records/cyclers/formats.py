"""The formats that are read, with each one's conventions of current, counters and cycles."""

from __future__ import annotations

from battery_platform.records.cyclers.model import Format

SIGNED = "signed in the file, positive while charging"
COUNTED = "counted by the instrument's schedule; a cycle begins where the schedule says"

ARBIN_RES = Format("arbin_res", "Arbin", "schedule", SIGNED, COUNTED, False)
ARBIN_TEXT = Format("arbin_text", "Arbin", "schedule", SIGNED, COUNTED, True)
BIOLOGIC_MPR = Format(
    "biologic_mpr",
    "BioLogic",
    "unknown",
    "signed in the file, positive for oxidation at the working electrode, which is charging",
    "the column 'cycle number'; it begins as the technique does",
    False,
)
BIOLOGIC_MPT = Format(
    "biologic_mpt",
    "BioLogic",
    "unknown",
    BIOLOGIC_MPR.current,
    BIOLOGIC_MPR.cycles,
    True,
)
MACCOR_TEXT = Format(
    "maccor_text",
    "Maccor",
    "step",
    "without sign in the file; the state of each row (C or D) gives it",
    COUNTED,
    True,
)
NEWARE_TEXT = Format("neware_text", "Neware", "step", SIGNED, COUNTED, True)
NEWARE_BINARY = Format("neware_binary", "Neware", "step", SIGNED, COUNTED, False)
PEC_TEXT = Format("pec_text", "PEC", "cycle", SIGNED, COUNTED + "; the first is 0", True)
LANDT_TEXT = Format("landt_text", "Landt", "unknown", SIGNED, COUNTED, True)
BASYTEC_TEXT = Format("basytec_text", "Basytec", "unknown", SIGNED, COUNTED, True)
NOVONIX_TEXT = Format("novonix_text", "Novonix", "unknown", SIGNED, COUNTED, True)
BDF_TEXT = Format(
    "bdf",
    "Battery Data Format",
    "unknown",
    "positive while charging, as the Battery Data Format demands",
    "as the file's maker counted them",
    True,
)
GENERIC_TEXT = Format(
    "generic_text",
    "unknown cycler",
    "unknown",
    "taken as positive while charging; checked against charge counters and states where given",
    "as the file's maker counted them",
    True,
)
