"""Numbers and time stamps as people and instruments write them."""

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


def is_numeric(cells: pl.Series, decimal: str) -> bool | None:
    """Whether most filled cells are numbers; None if all cells are empty."""
    filled = cells.head(200)
    if filled.is_empty():
        return None
    return as_numbers(filled, decimal).null_count() < 0.5 * len(filled)


def as_numbers(cells: pl.Series, decimal: str) -> pl.Series:
    """The numbers among cells of text; what is none is null."""
    bare = pl.col("cell").str.strip_suffix("%").str.strip_chars()
    return pl.DataFrame({"cell": cells}).select(as_number(bare, decimal).alias("cell"))["cell"]


def one_moment(day: pl.Expr, clock: pl.Expr) -> pl.Expr:
    """The text of a date and of a time of day as one time stamp; workbooks add midnight to a date."""
    date = day.str.strip_chars().str.replace(r"[ T]00:00(:00(\.0+)?)?$", "")
    time = clock.str.strip_chars().str.replace(r"^.* ", "")
    return pl.when(time.fill_null("") == "").then(date).otherwise(pl.format("{} {}", date, time))
