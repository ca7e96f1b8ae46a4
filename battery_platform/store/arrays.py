"""Large arrays lie as files beside the lake, named by their content; a row of the lake names them."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
from blake3 import blake3

from battery_platform.errors import StoreError
from battery_platform.settings import Settings


def save(settings: Settings, kind: str, arrays: dict[str, np.ndarray]) -> tuple[str, str]:
    """Keep arrays; the same arrays are kept once. Returns the file below the folder, and its hash."""
    stream = io.BytesIO()
    np.savez_compressed(stream, allow_pickle=False, **arrays)
    content = stream.getvalue()
    digest = blake3(content).hexdigest()
    name = f"{kind}/{digest[:2]}/{digest}.npz"
    path = settings.arrays_folder / name
    if not intact(settings, name):
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_suffix(f".{os.getpid()}.part")
        beside.write_bytes(content)
        beside.replace(path)
    return name, digest


def intact(settings: Settings, name: str) -> bool:
    """Whether the file is there with the content that its name says."""
    path: Path = settings.arrays_folder / name
    return path.is_file() and blake3(path.read_bytes()).hexdigest() == path.stem


def load(settings: Settings, name: str) -> dict[str, np.ndarray]:
    """Arrays by the name that a row holds; a file that was changed since is refused."""
    path: Path = settings.arrays_folder / name
    if not path.is_file():
        raise StoreError(
            f"The file {path} is missing.",
            "Restore it from a backup, or ask for the same simulation: it runs again.",
        )
    content = path.read_bytes()
    if blake3(content).hexdigest() != path.stem:
        raise StoreError(
            f"The file {path} is not what was stored.",
            "Restore it from a backup, or ask for the same simulation: it runs again.",
        )
    with np.load(io.BytesIO(content), allow_pickle=False) as found:
        return {key: found[key] for key in found.files}
