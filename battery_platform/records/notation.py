"""Numbers as people and instruments write them."""

from __future__ import annotations

import polars as pl

_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_GROUPED = r"^[+-]?[1-9]\d{0,2}((\.\d{3})+,\d+|(\.\d{3}){2,})$"


def as_number(text: pl.Expr, decimal: str) -> pl.Expr:
    """A float where the text is a number in the source's notation, else null."""
    plain = text.str.replace_all("[\u00a0\u202f]", "").str.replace("\u2212", "-")
    if decimal == ",":
        # 1.234,5 and 1.234.567 group thousands; 1.234 alone could be either and is not read
        grouped = plain.str.contains(_GROUPED)
        bare = pl.when(grouped).then(plain.str.replace_all(".", "", literal=True)).otherwise(plain)
        foreign = bare.str.contains(".", literal=True)
        plain = pl.when(~foreign).then(bare.str.replace(",", ".", literal=True))
    return pl.when(plain.str.contains(_NUMBER)).then(plain.cast(pl.Float64, strict=False))
