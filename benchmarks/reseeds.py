"""75 random splits of 80 to 20 and two targets: ours against the plain loop over scikit-learn.

The peer is what a notebook holds: `StandardScaler` and `GaussianProcessRegressor` with one length per
input, signal and noise, for each split and target. Both get the same 240 rows and splits and one BLAS
thread; CPU seconds count learning and predicting. Rows are energy and power of the half cells in the
lake; without them a smooth function of six inputs with noise of 1 % stands in, and the line says so.
"""

from __future__ import annotations

from benchmarks.measure import Result, in_a_process

ROWS, SEEDS = 240, 75
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

DATA = f"""
import time
import warnings
import numpy as np
from battery_platform.errors import PlatformError
from battery_platform.models.reseeds import TEST_SHARE, coefficient_of_determination, features_of
from battery_platform.models.specification import MODELS
from battery_platform.models.splits import holdout

from battery_platform.settings import Settings
from battery_platform.store.lakehouse import Lakehouse

def of_lake():
    model = MODELS["half-cell-performance"]
    settings = Settings.from_env()
    if not settings.home.is_dir():
        raise PlatformError("There is no lake.", "")
    parts = [part.source.read(Lakehouse(settings), part) for part in model.quantities]
    some = np.random.default_rng(0).permutation(len(parts[0]))[:{ROWS}]
    targets = np.column_stack([part.target for part in parts])
    return features_of(model, parts[0].inputs)[some], targets[some], "half cells of the lake"

def made_up():
    rng = np.random.default_rng(0)
    inputs = rng.uniform(-1, 1, size=({ROWS}, 6))
    a, b, c, d, e, f = inputs.T
    bent = 360 + 40 * a - 30 * b * c - 20 * np.exp(2 * d) + 5 * e
    targets = np.column_stack([bent, 360 + 50 * a + 20 * np.sin(2 * b) + 10 * f])
    noise = 0.01 * targets.std(axis=0) * rng.normal(size=targets.shape)
    return inputs, targets + noise, "a made-up function: the lake holds no half cells"

try:
    inputs, targets, rows = of_lake()
except PlatformError:
    inputs, targets, rows = made_up()
groups, seeds = np.arange({ROWS}), range({SEEDS})
"""

OURS = (
    DATA
    + """
from battery_platform.models.reseeds import reseed
begun = time.process_time()
predicted, tested = reseed(inputs, targets, groups, seeds)
seconds = time.process_time() - begun
r2 = [
    [coefficient_of_determination(true[at], made[at, n]) for n, true in enumerate(targets.T)]
    for made, at in zip(predicted, tested)
]
found = {"seconds": seconds, "r2": np.mean(r2, axis=0).tolist(), "rows": rows}
"""
)

PEER = (
    DATA
    + """
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from sklearn.preprocessing import StandardScaler
warnings.filterwarnings("ignore")
kernel = ConstantKernel() * RBF(np.ones(inputs.shape[1])) + WhiteKernel()
begun, r2 = time.process_time(), []
for seed in seeds:
    train, test = holdout(groups, TEST_SHARE, seed)
    scaler = StandardScaler().fit(inputs[train])
    for target in targets.T:
        process = GaussianProcessRegressor(kernel, normalize_y=True)
        process.fit(scaler.transform(inputs[train]), target[train])
        process.predict(scaler.transform(inputs[train]))
        made = process.predict(scaler.transform(inputs[test]))
        r2.append(coefficient_of_determination(target[test], made))
seconds = time.process_time() - begun
found = {"seconds": seconds, "r2": np.reshape(r2, (-1, 2)).mean(axis=0).tolist(), "rows": rows}
"""
)


def run() -> list[Result]:
    """How many times less CPU ours takes, and how far mean test R² is from the peer's."""
    ours, peer = in_a_process(OURS, ONE_THREAD), in_a_process(PEER, ONE_THREAD)
    apart = max(abs(one - other) for one, other in zip(ours["r2"], peer["r2"], strict=True))
    said = ", ".join(
        f"{one:.5f} and {other:.5f}" for one, other in zip(ours["r2"], peer["r2"], strict=True)
    )
    return [
        Result(
            "75 reseeds, two targets: times less CPU than scikit-learn",
            peer["seconds"] / ours["seconds"],
            2,
            True,
            f"[{ours['seconds']:.2f} against {peer['seconds']:.2f} s; {ROWS} rows of {ours['rows']}]",
        ),
        Result(
            "75 reseeds: difference of mean test R²",
            apart,
            0.002,
            False,
            f"[ours and theirs: {said}]",
        ),
    ]
