"""Whether rows under different licences may go into one model.

No legal advice: the plain reading of the common open licences. What is not known is named, and lets
the version pass only if it stands alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

NOT_STATED = "not stated"
_PERMISSIVE = re.compile(
    r"\b(CC0|CC BY [\d.]+|CC-BY-[\d.]+|MIT|BSD|Apache|ODC-BY|PDDL)", re.IGNORECASE
)


def go_together(licences: Sequence[str]) -> tuple[bool, str]:
    """Whether they do, and why in a sentence."""
    different = sorted(set(licences))
    without = [one for one in different if re.search(r"\bND\b", one)]
    if without:
        return False, f"{without[0]} allows no derived works, and a model is one"
    if len(different) == 1:
        return True, f"all rows are under {different[0]}"
    unknown = [one for one in different if one == NOT_STATED]
    if unknown:
        others = ", ".join(one for one in different if one != NOT_STATED)
        return False, f"some rows state no licence, others are under {others}"
    bound = [one for one in different if not _PERMISSIVE.search(one)]
    share_alike = [one for one in bound if re.search(r"\bSA\b|GPL|ODbL", one)]
    if len(bound) > 1 and share_alike:
        other = next(one for one in bound if one != share_alike[0])
        return False, f"{share_alike[0]} must be passed on unchanged, which {other} does not allow"
    return True, f"{', '.join(different)} may be combined; the strictest holds for the model"
