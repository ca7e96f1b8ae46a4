"""Whether rows under different licences may go into one model.

Not legal advice, but a plain reading of the common open licences. An unstated licence passes only if
all rows have it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

NOT_STATED = "not stated"
_PERMISSIVE = re.compile(
    r"\b(CC0|CC BY [\d.]+|CC-BY-[\d.]+|MIT|BSD|Apache|ODC-BY|PDDL)", re.IGNORECASE
)


def go_together(licences: Sequence[str]) -> tuple[bool, str]:
    """Whether rows under these licences may be combined, and a sentence that says why."""
    different = sorted(set(licences))
    without = [licence for licence in different if re.search(r"\bND\b", licence)]
    if without:
        return False, f"{without[0]} allows no derived works, and a model is one"
    if len(different) == 1:
        return True, f"all rows are under {different[0]}"
    unknown = [licence for licence in different if licence == NOT_STATED]
    if unknown:
        others = ", ".join(licence for licence in different if licence != NOT_STATED)
        return False, f"some rows state no licence, others are under {others}"
    bound = [licence for licence in different if not _PERMISSIVE.search(licence)]
    share_alike = [licence for licence in bound if re.search(r"\bSA\b|GPL|ODbL", licence)]
    if len(bound) > 1 and share_alike:
        other = next(licence for licence in bound if licence != share_alike[0])
        return False, f"{share_alike[0]} must be passed on unchanged, which {other} does not allow"
    return True, f"{', '.join(different)} may be combined; the strictest holds for the model"
