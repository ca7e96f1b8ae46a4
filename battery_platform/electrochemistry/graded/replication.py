"""Published values of paper 002, compared with the results of the graded cell.

In scope: published profiles, energies, losses and statements with their place in the
paper, and the comparison. Out of scope: any number that is tuned to them (see `assumptions`).

Limitations: only the values of table 4 that were available. The profiles of case 3 and profile no. 2 are
included, so that any value can be computed, but there is no published energy to compare with.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from battery_platform.electrochemistry.assumptions import Assumptions
from battery_platform.electrochemistry.graded import cell
from battery_platform.electrochemistry.graded.assumptions import GRADED
from battery_platform.electrochemistry.graded.cell import Design, Result
from battery_platform.electrochemistry.graded.profiles import Profile, reversed_, uniform
from battery_platform.electrochemistry.graded.sizing import size

PAPER = "Nejati Amiri et al., Batteries 10 (2024) 336"
THICKNESSES_UM = (120.0, 140.0, 160.0)
C_RATES = (0.2, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0)
# Mean active fraction of the positive and of the negative electrode.
CASES: dict[int, tuple[float, float]] = {
    1: (0.70, 0.70),
    2: (0.70, 0.65),
    3: (0.65, 0.70),
    4: (0.65, 0.65),
}
# Largest deviation of any single value; the table as a whole is judged by its root mean square.
TOLERANCE = 0.10
RMS_TOLERANCE = 0.04
_NO_LOSS = 0.005
_POWER_SPREAD = 0.10

Solve = Callable[[Sequence[Design]], list[Result]]


def _steps(*levels: tuple[float, int]) -> Profile:
    return Profile(tuple(value for value, times in levels for _ in range(times)))


# By case and number; from separator to collector.
POSITIVE: dict[tuple[int, int], Profile] = {
    (1, 1): _steps((0.6053, 5), (0.7966, 5)),
    (1, 2): _steps((0.6053, 5), (0.7966, 5)),
    (2, 1): _steps((0.601, 5), (0.7999, 5)),
    (2, 2): _steps((0.601, 5), (0.7999, 5)),
    (3, 1): _steps((0.3097, 1), (0.5339, 4), (0.7837, 5)),
    (3, 2): _steps((0.5069, 5), (0.7905, 2), (0.7939, 3)),
    (4, 1): _steps((0.5231, 5), (0.7783, 5)),
    (4, 2): _steps((0.5231, 5), (0.7783, 5)),
}
NEGATIVE: dict[tuple[int, int], Profile] = {
    (1, 1): _steps((0.6582, 6), (0.7675, 4)),
    (1, 2): _steps((0.6183, 1), (0.6326, 1), (0.6746, 4), (0.7585, 4)),
    (2, 1): _steps((0.5583, 3), (0.5823, 1), (0.6749, 2), (0.6785, 1), (0.6865, 1), (0.7704, 2)),
    (2, 2): _steps((0.4329, 1), (0.6301, 7), (0.7963, 2)),
    (3, 1): _steps((0.6913, 7), (0.7181, 2), (0.7703, 1)),
    (3, 2): _steps((0.6608, 6), (0.7594, 4)),
    (4, 1): _steps((0.6, 1), (0.6091, 2), (0.6437, 2), (0.6554, 3), (0.7192, 2)),
    (4, 2): _steps((0.606, 7), (0.7504, 1), (0.7772, 2)),
}

# Specific energy at 5C in Wh/kg (table 4): uniform and no. 1, by case and thickness.
TABLE_4: dict[tuple[int, float], tuple[float, float]] = {
    (1, 120.0): (92.79, 126.89),
    (2, 120.0): (98.39, 138.46),
    (4, 120.0): (147.60, 157.86),
    (1, 140.0): (60.36, 96.78),
    (2, 140.0): (62.50, 109.48),
    (4, 140.0): (103.65, 126.99),
    (1, 160.0): (22.01, 63.13),
    (2, 160.0): (18.20, 77.37),
    (4, 160.0): (61.72, 97.31),
}
# Capacity lost at 5C relative to 1C, at 160 um, in % (section 3, on figure 7).
CAPACITY_LOSS: dict[int, tuple[float, float]] = {
    1: (88.74, 65.56),
    2: (90.72, 58.55),
    4: (66.09, 46.41),
}
_COMPARED = sorted(CAPACITY_LOSS)
UNIFORM, NUMBER_1 = "uniform", "no. 1"


@dataclass(frozen=True)
class Row:
    """A published value or statement, compared with ours.

    `paper` is None where the paper states a trend without a number; `rule` then says what `ours` must
    satisfy. A row that could not be computed has no `ours` and has not passed.
    """

    quantity: str
    case: str
    paper: float | None
    ours: float | None
    tolerance: float
    passed: bool
    unit: str
    source: str
    rule: str

    @property
    def deviation(self) -> float | None:
        """Relative deviation from the paper."""
        if self.paper is None or self.ours is None:
            return None
        return self.ours / self.paper - 1


def design(case: int, number: int | None, positive_um: float, c_rate: float) -> Design:
    """A cell of the paper: uniform if `number` is None, otherwise with the published profiles."""
    positive_mean, negative_mean = CASES[case]
    return Design(
        positive=uniform(positive_mean) if number is None else POSITIVE[case, number],
        negative=uniform(negative_mean) if number is None else NEGATIVE[case, number],
        positive_mean=positive_mean,
        negative_mean=negative_mean,
        positive_um=positive_um,
        c_rate=c_rate,
    )


def turned_round(graded: Design) -> Design:
    """The same cell with both gradients reversed."""
    return replace(
        graded,
        positive=reversed_(graded.positive),
        negative=reversed_(graded.negative),
        positive_direction="reversed",
        negative_direction="reversed",
    )


def replicate(assumptions: Assumptions = GRADED, solve: Solve | None = None) -> list[Row]:
    """All rows; about 260 discharges."""
    solver = _remembering(solve or (lambda designs: cell.solve(designs, assumptions)))
    values = table_4(solver)
    return [
        *sizes(assumptions),
        *values,
        *root_mean_squares(values),
        *capacity_losses(solver),
        *laws(solver),
    ]


def _remembering(solve: Solve) -> Solve:
    """The same solver with a memory, so that no design is solved twice."""
    known: dict[Design, Result] = {}

    def solved(designs: Sequence[Design]) -> list[Result]:
        new = [cell_design for cell_design in dict.fromkeys(designs) if cell_design not in known]
        known.update(zip(new, solve(new), strict=True))
        return [known[cell_design] for cell_design in designs]

    return solved


def sizes(assumptions: Assumptions = GRADED) -> list[Row]:
    """Results of the closed-form sizing for case 1 at 120 um."""
    sizing = size(0.70, 0.70, 120.0, assumptions)
    source = f"{PAPER}, equations 4 and 5 with table A1"
    return [
        _value(
            "areal capacity, 120 µm", "1", 5.27, sizing.capacity_mah_cm2, 0.001, "mAh/cm²", source
        ),
        _value("negative thickness, 120 µm", "1", 102.8, sizing.negative_um, 0.001, "µm", source),
    ]


def table_4(solve: Solve) -> list[Row]:
    """Specific energies at 5C."""
    asked = [
        (case, um, arrangement, number, paper)
        for (case, um), papers in TABLE_4.items()
        for arrangement, number, paper in zip((UNIFORM, NUMBER_1), (None, 1), papers, strict=True)
    ]
    results = solve([design(case, number, um, 5.0) for case, um, _, number, _ in asked])
    return [
        _value(
            f"energy at 5C, {um:g} µm, {arrangement}",
            str(case),
            paper,
            result.energy_wh_kg,
            TOLERANCE,
            "Wh/kg",
            f"{PAPER}, table 4",
        )
        for (case, um, arrangement, _, paper), result in zip(asked, results, strict=True)
    ]


def root_mean_squares(values: Iterable[Row]) -> list[Row]:
    """Root mean square of the relative errors of `table_4`: uniform, no. 1, both."""
    rows = list(values)
    rows_of_errors = []
    for name, ending in ((UNIFORM, UNIFORM), (NUMBER_1, NUMBER_1), ("all", "")):
        deviations = [row.deviation for row in rows if row.quantity.endswith(ending)]
        error = (
            None
            if any(deviation is None for deviation in deviations)
            else math.sqrt(
                sum(deviation**2 for deviation in deviations if deviation is not None)
                / len(deviations)
            )
        )
        rows_of_errors.append(
            _law(
                f"rms relative error of table 4, {name}",
                "1, 2, 4",
                error,
                RMS_TOLERANCE,
                f"at most {RMS_TOLERANCE:g}",
                error is not None and error <= RMS_TOLERANCE,
            )
        )
    return rows_of_errors


def capacity_losses(solve: Solve) -> list[Row]:
    """Capacity lost at 5C relative to 1C at 160 um."""
    losses = []
    for case, papers in CAPACITY_LOSS.items():
        for arrangement, number, paper in zip((UNIFORM, NUMBER_1), (None, 1), papers, strict=True):
            slow, fast = solve([design(case, number, 160.0, rate) for rate in (1.0, 5.0)])
            loss = (
                None
                if not slow.capacity_mah_cm2 or fast.capacity_mah_cm2 is None
                else 100 * (1 - fast.capacity_mah_cm2 / slow.capacity_mah_cm2)
            )
            losses.append(
                _value(
                    f"capacity lost at 5C against 1C, 160 µm, {arrangement}",
                    str(case),
                    paper,
                    loss,
                    TOLERANCE,
                    "%",
                    f"{PAPER}, section 3",
                )
            )
    return losses


def laws(solve: Solve) -> list[Row]:
    """Statements of the paper without numbers, over the cases and thicknesses of table 4."""
    comparisons: list[Row] = []
    for case in _COMPARED:
        cells = {(um, rate): design(case, 1, um, rate) for um in THICKNESSES_UM for rate in C_RATES}
        graded = dict(zip(cells, _energies(solve(list(cells.values()))), strict=True))
        wrong = dict(
            zip(
                cells,
                _energies(solve([turned_round(graded_design) for graded_design in cells.values()])),
                strict=True,
            )
        )
        flat = dict(
            zip(cells, _energies(solve([design(case, None, *key) for key in cells])), strict=True)
        )
        highest = max(_ratio(wrong[key], flat[key]) for key in cells)
        slow = min(_ratio(graded[key], flat[key]) for key in cells if key[1] <= 0.5)
        gains = [
            sum(graded[um, rate] - flat[um, rate] for rate in C_RATES if rate >= 1)
            for um in THICKNESSES_UM
        ]
        comparisons += [
            _law(
                "reversed gradient against uniform, highest energy ratio at 0.2C to 5C",
                str(case),
                highest,
                0.0,
                "below 1",
                highest < 1,
            ),
            _law(
                "no. 1 against uniform at 0.2C and 0.5C, lowest energy ratio",
                str(case),
                slow,
                _NO_LOSS,
                f"at least {1 - _NO_LOSS:g}",
                slow >= 1 - _NO_LOSS,
            ),
            _law(
                "no. 1 against uniform, smallest gain over thicknesses (eq. 17)",
                str(case),
                min(gains),
                0.0,
                "above 0",
                min(gains) > 0,
            ),
        ]
    return [*comparisons, *_power(solve), _best_gain(solve)]


def _power(solve: Solve) -> list[Row]:
    """Nearly equal power for all designs at a rate, with the exception that the paper names."""
    comparisons = []
    for rate in C_RATES:
        powers = [
            result.power_w_kg or math.nan
            for case in _COMPARED
            for um in THICKNESSES_UM
            for number, result in zip(
                (None, 1),
                solve([design(case, number, um, rate) for number in (None, 1)]),
                strict=True,
            )
            if not (um == 160.0 and rate == 5.0 and case in (1, 2) and number is None)
        ]
        middle = sum(powers) / len(powers)
        spread = max(abs(power / middle - 1) for power in powers)
        comparisons.append(
            _law(
                f"power at {rate:g}C, largest difference from its mean",
                "1, 2, 4",
                spread,
                _POWER_SPREAD,
                f"at most {_POWER_SPREAD:g}",
                spread <= _POWER_SPREAD,
            )
        )
    return comparisons


def _best_gain(solve: Solve) -> Row:
    flat, graded = _energies(solve([design(2, number, 160.0, 5.0) for number in (None, 1)]))
    return _value(
        "energy of no. 1 over uniform at 5C, 160 µm",
        "2",
        4.25,
        _ratio(graded, flat),
        TOLERANCE,
        "",
        f"{PAPER}, table 1",
    )


def _energies(results: Iterable[Result]) -> list[float]:
    return [math.nan if result.energy_wh_kg is None else result.energy_wh_kg for result in results]


def _ratio(above: float, below: float) -> float:
    return above / below if below else math.nan


def _value(
    quantity: str,
    case: str,
    paper: float,
    ours: float | None,
    tolerance: float,
    unit: str,
    source: str,
) -> Row:
    passed = ours is not None and abs(ours / paper - 1) <= tolerance
    rule = f"within {tolerance:.1%} of the paper"
    return Row(quantity, case, paper, ours, tolerance, passed, unit, source, rule)


def _law(
    quantity: str, case: str, ours: float | None, tolerance: float, rule: str, passed: bool
) -> Row:
    # A ratio that involves a failed cell is not a number and satisfies no rule.
    known = ours is not None and math.isfinite(ours)
    value = ours if known else None
    return Row(
        quantity, case, None, value, tolerance, passed and known, "", f"{PAPER}, section 3", rule
    )
