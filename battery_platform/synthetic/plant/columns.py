"""The columns of the plant's files: their headers in three languages, their order in each table.

Units belong to a dialect, values to the simulation.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Field:
    """A contract column: its header in three languages, and the decimals of a number."""

    column: str
    headers: tuple[str, str, str]
    digits: int | None = None


# Column | English | German | French | decimals of a number in the contract's unit.
_VOCABULARY = """
lot_id | Lot | Charge | Numéro de lot
material_kind | Kind | Materialart | Type de matériau
material_name | Material | Werkstoff | Matériau
supplier | Vendor | Lieferant | Fournisseur
d50_um | D50 | D50 | D50 | 3
density_g_cm3 | Density | Dichte | Densité | 3
theoretical_capacity_mah_g | Theoretical capacity | Theoretische Kapazität | Capacité théorique | 1
received_at | Received | Wareneingang | Reçu le
slurry_id | Slurry batch | Ansatz | Lot encre
active_lot_id | Active lot | Charge Aktivmaterial | Lot matière active
conductive_lot_id | Carbon lot | Charge Leitruß | Lot noir de carbone
binder_lot_id | Binder lot | Charge Binder | Lot liant
active_material_pct | Active material | Aktivmaterial | Taux de matière active | 2
conductive_additive_pct | Carbon black | Leitruß | Noir de carbone | 2
binder_pct | Binder | Binderanteil | Liant | 2
solid_content_pct | Solid content | Feststoffgehalt | Taux de solide | 1
viscosity_pa_s | Viscosity | Viskosität | Viscosité | 3
shear_rate_1_s | Shear rate | Scherrate | Taux de cisaillement | 1
mixing_time_min | Mixing time | Mischdauer | Durée de mélange | 0
mixed_at | Mixed | Gemischt am | Mélangé le
coating_id | Coating run | Beschichtung | Enduction
comma_gap_um | Comma gap | Rakelspalt | Entrefer | 0
coating_speed_m_min | Web speed | Bahngeschwindigkeit | Vitesse d'enduction | 2
wet_thickness_um | Wet thickness | Nassdicke | Épaisseur humide | 0
coated_at | Coated | Beschichtet am | Enduit le
drying_id | Drying | Trocknung | Séchage
drying_temperature_degc | Drying temperature | Trocknungstemperatur | Température de séchage | 1
drying_time_min | Drying time | Trocknungszeit | Durée de séchage | 1
residual_solvent_ppm | Residual solvent | Restlösemittel | Solvant résiduel | 0
dried_at | Dried | Getrocknet am | Séché le
calendering_id | Calendering | Kalandrierung | Calandrage
thickness_before_um | Thickness before | Dicke vorher | Épaisseur avant | 1
thickness_after_um | Thickness after | Dicke nachher | Épaisseur après | 1
compression_degree_pct | Compression | Verdichtung | Taux de compression | 1
roll_temperature_degc | Roll temperature | Walzentemperatur | Température des rouleaux | 0
line_load_n_mm | Line load | Linienlast | Charge linéique | 0
calendered_at | Calendered | Kalandriert am | Calandré le
electrode_id | Electrode | Elektrode | Électrode
area_cm2 | Area | Fläche | Surface | 2
thickness_um | Coating thickness | Schichtdicke | Épaisseur | 1
mass_loading_mg_cm2 | Mass loading | Beladung | Masse surfacique | 2
loading_basis | Loading basis | Bezug | Base du grammage
porosity_pct | Porosity | Porosität | Porosité | 1
composite_density_g_cm3 | Solid density | Feststoffdichte | Densité solide | 3
adhesion_n_m | Peel force | Haftung | Adhérence | 1
measured_at | Measured | Gemessen am | Mesuré le
cell_id | Cell | Zelle | Cellule
cell_format | Format | Zellformat | Format
counter_electrode | Counter electrode | Gegenelektrode | Contre-électrode
active_mass_mg | Active mass | Aktivmasse | Masse active | 3
active_mass_source | Mass source | Massenquelle | Origine de la masse
assembled_at | Assembled | Montiert am | Assemblé le
formation_id | Formation | Formierung | Formation
charge_capacity_mah | Charge capacity | Ladekapazität | Capacité de charge | 4
discharge_capacity_mah | Discharge capacity | Entladekapazität | Capacité de décharge | 4
coulombic_efficiency_pct | Coulombic efficiency | Coulomb-Wirkungsgrad | Efficacité coulombique | 2
specific_capacity_mah_g | Specific capacity | Spezifische Kapazität | Capacité spécifique | 2
ir_drop_mv | IR drop | Spannungsabfall | Chute IR | 1
started_at | Start | Beginn | Début
ended_at | End | Ende | Fin
test_id | Test | Versuch | Essai
charge_rate_c | Charge rate | Laderate | Régime de charge | 2
discharge_rate_c | Discharge rate | Entladerate | Régime de décharge | 2
lower_cutoff_v | Lower cutoff | Untere Grenze | Seuil bas | 3
upper_cutoff_v | Upper cutoff | Obere Grenze | Seuil haut | 3
temperature_degc | Temperature | Temperatur | Température | 1
cycle | Cycle | Zyklus | Cycle | 0
"""

# What is written down at each step, in the files' order of columns.
_TABLES = """
material_lots: lot_id material_kind material_name supplier d50_um density_g_cm3
    theoretical_capacity_mah_g received_at
slurry_batches: slurry_id active_lot_id conductive_lot_id binder_lot_id active_material_pct
    conductive_additive_pct binder_pct solid_content_pct viscosity_pa_s shear_rate_1_s
    mixing_time_min mixed_at
coatings: coating_id slurry_id comma_gap_um coating_speed_m_min wet_thickness_um coated_at
dryings: drying_id coating_id drying_temperature_degc drying_time_min residual_solvent_ppm
    dried_at
calenderings: calendering_id drying_id thickness_before_um thickness_after_um
    compression_degree_pct roll_temperature_degc line_load_n_mm calendered_at
electrodes: electrode_id coating_id calendering_id area_cm2 thickness_um mass_loading_mg_cm2
    loading_basis porosity_pct composite_density_g_cm3 adhesion_n_m measured_at
cells: cell_id electrode_id cell_format counter_electrode active_mass_mg active_mass_source
    assembled_at
formations: formation_id cell_id charge_capacity_mah discharge_capacity_mah
    coulombic_efficiency_pct specific_capacity_mah_g theoretical_capacity_mah_g
    active_mass_source ir_drop_mv started_at ended_at
cycling_tests: test_id cell_id charge_rate_c discharge_rate_c lower_cutoff_v upper_cutoff_v
    temperature_degc started_at ended_at
test_cycles: test_id cycle charge_capacity_mah discharge_capacity_mah specific_capacity_mah_g
    theoretical_capacity_mah_g active_mass_source
"""


def _vocabulary() -> dict[str, Field]:
    vocabulary = {}
    for line in _VOCABULARY.strip().splitlines():
        column, english, german, french, *digits = line.split(" | ")
        decimals = int(digits[0]) if digits else None
        vocabulary[column] = Field(column, (english, german, french), decimals)
    return vocabulary


def _layout() -> dict[str, tuple[Field, ...]]:
    words = _vocabulary()
    tables = (entry.split(":") for entry in _TABLES.strip().replace("\n    ", " ").splitlines())
    return {table: tuple(words[name] for name in names.split()) for table, names in tables}


LAYOUT = _layout()

# Which identifier of which table a column holds; a table's own key is its first column.
REFERENCES = {
    "active_lot_id": "material_lots",
    "conductive_lot_id": "material_lots",
    "binder_lot_id": "material_lots",
    "slurry_id": "slurry_batches",
    "coating_id": "coatings",
    "drying_id": "dryings",
    "calendering_id": "calenderings",
    "electrode_id": "electrodes",
    "cell_id": "cells",
    "test_id": "cycling_tests",
}
