"""All numbers that the half-cell simulation needs and electrode data do not provide.

Out of scope: formulae (see `materials`) and settings of the solver (see `solving`).

Limitations: one chemistry (NMC111 against lithium).
"""

from __future__ import annotations

import itertools

from battery_platform.electrochemistry.assumptions import OURS, Assumption, Assumptions

_A1 = "Nejati Amiri et al., Batteries 10 (2024) 336, table A1"
_A3 = "Nejati Amiri et al., Batteries 10 (2024) 336, table A3"
_MOHTAT = "Mohtat et al., J. Electrochem. Soc. 167 (2020) 110561"
_XU = "Xu et al., J. Electrochem. Soc. 166 (2019) A3456"
_NYMAN = "Nyman et al., Electrochim. Acta 53 (2008) 6356"
_CHEN = "Chen et al., J. Electrochem. Soc. 167 (2020) 080534"
_DUQUESNOY = "Duquesnoy, Liu et al., bi-objective inverse design of NMC111 electrodes"

_SIZES = "Duquesnoy et al., J. Power Sources 480 (2020) 229103, published data"

GROUP_EDGES_UM = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0)
"""Radii that bound the six groups of particles; each group is represented by its middle."""
SIZE_GROUPS = tuple(
    f"particles_{low:g}_to_{high:g}_um" for low, high in itertools.pairwise(GROUP_EDGES_UM)
)

HALF_CELL: Assumptions = (
    # Active material
    *(
        Assumption(
            name,
            share,
            "of the volume",
            0.0,
            1.0,
            "One of six groups of particle radii; together they are brought to one. Measured on a "
            "powder of NMC111 (409 particles); what lies beyond the ends counts to the end groups.",
            f"{_SIZES}; table S2 of {_DUQUESNOY} is not published",
        )
        for name, share in zip(
            SIZE_GROUPS, (0.0615, 0.1146, 0.1758, 0.2663, 0.1636, 0.2182), strict=True
        )
    ),
    Assumption(
        "wetted_surface_share",
        0.57,
        "",
        0.41,
        1.0,
        "Share of the particles' surface that electrolyte touches, where the specific surface is not "
        "given: carbon and binder cover the rest. Mean of 440 generated NMC111 electrodes (0.41 to "
        "0.71); 1 would leave all of it free.",
        _SIZES,
    ),
    Assumption(
        "solid_diffusivity_m2_s",
        1e-14,
        "m²/s",
        2e-15,
        5e-14,
        "Constant, although in NMC it falls at both ends of the range of lithiation.",
        _A1,
    ),
    Assumption(
        "maximum_concentration_mol_m3",
        49_000.0,
        "mol/m³",
        48_200.0,
        49_500.0,
        "One lithium per formula unit of NMC111 (96.46 g/mol) at the density of the crystal.",
        _A1,
    ),
    Assumption(
        "reaction_rate_m25_mol05_s",
        6.15e-11,
        "m^2.5/(mol^0.5 s)",
        2e-11,
        2e-10,
        "Gives an exchange current of a few A/m², the middle of what is reported for NMC.",
        _A1,
    ),
    Assumption(
        "active_density_g_cm3",
        4.73,
        "g/cm³",
        4.65,
        4.78,
        "With the 4.21 of table A3 and 49,000 mol/m³ a gram would hold 312 mAh, above the 277.8 "
        "that NMC111 can; 4.73 makes the two agree.",
        "formula weight of NMC111 and table A1 of Nejati Amiri et al.",
    ),
    # Open-circuit curve and its window
    Assumption(
        "open_circuit_curve",
        "Mohtat 2020",
        "",
        "Mohtat 2020",
        "Mohtat 2020",
        "A layered oxide of the same family, and the curve ends in a steep tail: those that stop "
        "near 3.5 V never reach a cut-off of 3.2 V when the electrode is full.",
        _MOHTAT,
    ),
    Assumption(
        "stoichiometry_at_curve_start",
        0.38,
        "",
        0.34,
        0.42,
        "The curve is given over the cyclable lithium; this much stays in NMC111 at 4.35 V.",
        OURS + ": with the next one 164 mAh/g between 4.35 V and 2.8 V, as NMC111 delivers",
    ),
    Assumption(
        "stoichiometry_at_curve_end",
        0.97,
        "",
        0.93,
        0.99,
        "Lithium lost for good in the first cycle keeps NMC111 from becoming full again.",
        OURS + ": first-cycle loss of about a tenth of the charge",
    ),
    Assumption(
        "upper_voltage_v",
        4.3,
        "V",
        4.2,
        4.34,
        "The discharge starts at rest at this open-circuit voltage against lithium.",
        "window of Nejati Amiri et al. (4.3 to 2.5 V)",
    ),
    Assumption(
        "one_c_mah_g",
        150.0,
        "mAh/g",
        145.0,
        165.0,
        "1C is the current that empties, per gram of active material, this charge in one hour. It "
        "depends neither on the electrode nor on the cut-off; light electrodes then last close to "
        "3600 s, as in the paper. At equilibrium the curve holds 158 mAh/g from 4.3 to 3.2 V.",
        f"{OURS}, after {_DUQUESNOY}",
    ),
    # Electrode
    Assumption(
        "electrode_conductivity_s_m",
        0.1,
        "S/m",
        0.05,
        10.0,
        "Of the solid without pores, where the electrode's conductivity is not given; high enough that "
        "electronic resistance does not limit.",
        _A1,
    ),
    Assumption(
        "electrode_bruggeman_exponent",
        1.5,
        "",
        1.5,
        2.5,
        "Effective transport is porosity (for electrons 1 - porosity) to this power, where tortuosity "
        "factor or conductivity are not given. Carbon and "
        "binder that block pores raise it to 2 and more; then dense, heavy electrodes lose capacity "
        "at 1C, which at 1.5 they hardly do.",
        _A1,
    ),
    Assumption(
        "carbon_share_of_inactive",
        0.5,
        "by weight",
        0.3,
        0.7,
        "Data give the share of active material only; equal parts of carbon and binder are usual. "
        "Without effect while the two densities are equal.",
        OURS,
    ),
    Assumption(
        "carbon_density_g_cm3",
        1.8,
        "g/cm³",
        1.8,
        2.0,
        "Given for binder and additive together.",
        _A3,
    ),
    Assumption(
        "binder_density_g_cm3",
        1.8,
        "g/cm³",
        1.75,
        1.8,
        "Given for binder and additive together; PVdF alone has 1.78.",
        _A3,
    ),
    Assumption(
        "collector_thickness_um",
        20.0,
        "µm",
        10.0,
        20.0,
        "The whole foil is charged to one coating, as in a half cell; coated on both sides each "
        "coating carries half.",
        OURS + ": the paper names aluminium, not its thickness",
    ),
    Assumption("collector_density_g_cm3", 2.707, "g/cm³", 2.70, 2.71, "Aluminium foil.", _A3),
    # Electrolyte and separator
    Assumption(
        "electrolyte",
        "Nyman 2008",
        "",
        "Nyman 2008",
        "Valoen-Reimers 2005",
        "LiPF6 in EC:EMC, the slower of the two: energy passes its best loading earlier than with "
        "Valoen and Reimers' (EC:DMC).",
        _NYMAN,
    ),
    Assumption(
        "transference_number",
        0.2594,
        "",
        0.2,
        0.4,
        "Measured together with the electrolyte's other properties; use 0.38 with Valoen-Reimers.",
        f"{_NYMAN}, as used by {_CHEN}",
    ),
    Assumption(
        "thermodynamic_factor",
        1.0,
        "",
        1.0,
        2.5,
        "Ideal solution, as the published sets with these transport functions assume; real ones "
        "rise with concentration.",
        _CHEN,
    ),
    Assumption(
        "electrolyte_concentration_mol_m3",
        1200.0,
        "mol/m³",
        1000.0,
        1200.0,
        "Salt in the fresh electrolyte.",
        _A1,
    ),
    Assumption(
        "concentration_floor_mol_m3",
        10.0,
        "mol/m³",
        1.0,
        20.0,
        "One smooth floor in all four functions of concentration: with different ones the solver "
        "crawls or fails where the salt runs out.",
        OURS,
    ),
    Assumption("electrolyte_density_g_cm3", 1.324, "g/cm³", 1.2, 1.33, "Filled pores.", _A3),
    Assumption(
        "electrolyte_fill",
        1.0,
        "of the pore volume",
        0.9,
        1.0,
        "Mass of electrolyte: the pores are full, with none beyond them.",
        OURS + ": the paper counts electrolyte and does not say how much",
    ),
    Assumption("separator_thickness_um", 20.0, "µm", 12.0, 260.0, "Thin polyolefin.", _A1),
    Assumption("separator_porosity", 0.4, "", 0.39, 0.9, "Thin polyolefin.", _A1),
    Assumption("separator_bruggeman_exponent", 1.5, "", 1.5, 2.5, "As in the electrode.", _A1),
    # Lithium and surroundings
    Assumption(
        "lithium_rate_constant_m_s",
        3.5e-8,
        "(mol/m²/s)/(mol/m³)",
        3.5e-9,
        3.5e-7,
        "Exchange current F k c_Li^0.7 c_e^0.3, about 70 A/m²: the counter electrode adds some "
        "mV at 1C.",
        _XU,
    ),
    Assumption(
        "lithium_molar_volume_m3_mol",
        1.3e-5,
        "m³/mol",
        1.29e-5,
        1.31e-5,
        "Concentration of lithium in the metal, in the exchange current.",
        _XU,
    ),
    Assumption(
        "lithium_thickness_um", 700.0, "µm", 50.0, 750.0, "Only its ohmic drop counts.", _XU
    ),
    Assumption(
        "lithium_conductivity_s_m", 1.0776e7, "S/m", 1.0e7, 1.1e7, "Ohmic drop below 1 µV.", _XU
    ),
    Assumption(
        "temperature_k",
        298.15,
        "K",
        288.15,
        313.15,
        "Isothermal: a thin half cell keeps the temperature of the room. Only the electrolyte of "
        "Valoen and Reimers and the kinetics' thermal voltage depend on it.",
        f"{OURS}; {_DUQUESNOY} does not say",
    ),
)
