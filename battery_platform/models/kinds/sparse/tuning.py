"""Choosing the networks' hyper-parameters by Optuna's tree-structured Parzen estimator.

The objective is paper 001's: the median R2 over endpoints of held-out cases. All rows passed in are
used, so pass only training rows, or another table of the same kind: choices made on test rows flatter
the test. The defaults of `networks.Choices` were chosen on the synthetic table with seed 7 (30 trials of
40 networks); the evaluated table has another seed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from battery_platform.errors import PlatformError
from battery_platform.models.cell_table import Array, SparseTable
from battery_platform.models.kinds.sparse import evaluation
from battery_platform.models.kinds.sparse.networks import NETWORKS, Choices, Networks
from battery_platform.models.splits import grouped_folds


def tune(
    table: SparseTable,
    rows: Array | None = None,
    trials: int = 30,
    seed: int = 7,
    networks: int = 40,
    progress: Callable[[str], None] = lambda message: None,
) -> Choices:
    """The best choices of that many trials; the number of networks keeps its default."""
    try:
        import optuna
    except ImportError as error:
        raise PlatformError(
            "Choosing hyper-parameters needs Optuna, which is not installed.",
            "Install it with `pip install optuna`; without it the recorded defaults are used.",
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    chosen = table if rows is None else table.rows(rows)

    def objective(trial: optuna.Trial) -> float:
        choices = Choices(
            networks=networks,
            hidden=trial.suggest_int("hidden", 2, 12),
            steps=trial.suggest_int("steps", 60, 300, step=20),
            rate=trial.suggest_float("rate", 0.005, 0.08, log=True),
            decay=trial.suggest_float("decay", 1e-4, 0.1, log=True),
            gamma=trial.suggest_float("gamma", 0.0, 0.9),
        )
        reached = median_r2(chosen, choices, seed)
        progress(f"trial {trial.number + 1} of {trials}: {reached:.3f}")
        return reached

    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    study.optimize(objective, n_trials=trials)
    return replace(Choices(**study.best_params), networks=Choices().networks)


def median_r2(table: SparseTable, choices: Choices, seed: int) -> float:
    """Median R2 over endpoints of whole cases held out, averaged over both states of knowledge."""
    folds = [list(grouped_folds(table.cases, evaluation.SPLITS, seed))]
    held = evaluation.hold_out(table, folds, {NETWORKS: Networks(choices)})
    values = [
        score.value
        for held_out in held
        if held_out.candidate == NETWORKS
        for score in evaluation.scores(held_out, table)
        if (score.slice, score.metric) == (f"{evaluation.ALL}, {held_out.regime}", "r2")
    ]
    return float(np.mean(values))
