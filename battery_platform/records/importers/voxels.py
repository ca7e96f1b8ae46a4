"""A segmented volume as a TIFF of many slices: 0 is pore, 85 active material, 170 carbon-binder.

So TauFactor's example has them. How long a voxel is, the file does not say: the mapping does.
"""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np

from battery_platform.records.importers.members import Member, importer, is_list, members
from battery_platform.records.instruments.model import Tidy
from battery_platform.records.reading import refuse

LABELS = {"pore": 0, "active": 85, "binder": 170}
_ENDINGS = (".tif", ".tiff")
_COLUMNS = [
    "volume_id",
    "nx",
    "ny",
    "nz",
    "pore_label",
    "active_label",
    "binder_label",
    "pore_fraction",
    "active_fraction",
    "binder_fraction",
    "voxels_by_label",
    "content_hash",
]


def read_labelled_volume(path: Path) -> list[Tidy]:
    """One row per volume."""
    volumes = [file for file in members(path) if file.name.lower().endswith(_ENDINGS)]
    if not volumes:
        raise refuse(path, "it is no TIFF, and no list of any.", "Hand in the slices as one TIFF.")
    rows = [(place, _volume(member)) for place, member in enumerate(volumes, start=1)]
    units: dict[str, str | None] = dict.fromkeys(_COLUMNS)
    return [Tidy("voxel_volumes", "volumes" if is_list(path) else "", units, rows)]


LABELLED_VOLUME = importer(
    "labelled_volume", "segmented volume of an electrode (TIFF)", read_labelled_volume
)


def _volume(member: Member) -> tuple[str, ...]:
    """Size, counts and hash, taken slice by slice, so that a large volume is never held in memory."""
    from PIL import Image, UnidentifiedImageError

    hasher = hashlib.sha256()
    counts = np.zeros(256, dtype=np.int64)
    try:
        with Image.open(io.BytesIO(member.content()), formats=["TIFF"]) as image:
            size, slices = image.size, int(getattr(image, "n_frames", 1))
            for position in range(slices):
                image.seek(position)
                values = _slice(member, image, size, position)
                counts += np.bincount(values.ravel(), minlength=256)
                hasher.update(values.tobytes())
    except (
        OSError,
        EOFError,
        SyntaxError,
        ValueError,
        TypeError,
        KeyError,
        UnidentifiedImageError,
        Image.DecompressionBombError,
    ) as error:
        raise refuse(
            member.path, f"{member.name} cannot be read as TIFF: {error}.", "Fetch the file again."
        ) from error
    total = int(counts.sum())
    shares = [repr(int(counts[label]) / total) for label in LABELS.values()]
    held = {str(value): int(number) for value, number in enumerate(counts) if number}
    sizes = (str(size[0]), str(size[1]), str(slices))
    labels = map(str, LABELS.values())
    return (member.stem, *sizes, *labels, *shares, json.dumps(held), hasher.hexdigest())


def _slice(member: Member, image: Any, size: tuple[int, int], position: int) -> Any:
    if image.mode != "L" or image.size != size:
        raise refuse(
            member.path,
            f"slice {position + 1} of {member.name} is {image.mode} {image.size}, the volume is made "
            f"of bytes (L) {size}.",
            "Store the phases as one byte per voxel.",
        )
    return np.asarray(image)
