"""Documents, the values that were found in them, and what they leave out."""

from __future__ import annotations

import polars as pl

from battery_platform.contracts.base import (
    Contract,
    Moment,
    choice,
    count,
    flag,
    key,
    moment,
    number,
    rule,
    text,
)
from battery_platform.contracts.products.declaring import product

LARGE = 1e12
HOW_REPORTED = ("exact", "approximate", "range", "bound", "missing")
QUALIFIERS = ("exact", "approximate", "range", "at_least", "at_most")
PROPERTIES = ("porosity_pct", "thickness_um", "mass_loading_mg_cm2")


@product("literature_documents", "documents of the literature", "document", id_prefix="doc-")
class LiteratureDocuments(Contract):
    """A plain text that was read; the text itself lies untouched in the literature folder."""

    document_id: str = key("Hash of its bytes")
    file_name: str = text("Name of the file", optional=False)
    path: str = text("Where it lies", optional=False)
    n_characters: int = count("Characters")
    encoding: str = text("How the bytes were read as text", optional=False)
    content_hash: str = text("Hash of the bytes", optional=False)
    n_mentions: int = count("Values found in it")
    code_hash: str = text("Hash of the extraction code", optional=False)
    added_at: Moment = moment("When it was read", optional=False)
    is_synthetic: bool = flag("Whether it was written to demonstrate the platform")


@product(
    "literature_mentions",
    "values mined from text",
    "mention",
    identifier="mention_id",
    parents=("SELECT mention_id, 'document', document_id FROM literature_mentions",),
)
class LiteratureMentions(Contract):
    """A value in a text, with its exact place: the text from start to end is the quote."""

    document_id: str = key("Document")
    mention_id: str = key("Identifier of the mention")
    property: str = choice(PROPERTIES, "What was measured")
    low: float = number("Value, or lower end of a range", -LARGE, LARGE, optional=True)
    high: float = number("Value, or upper end of a range", -LARGE, LARGE, optional=True)
    uncertainty: float = number("Stated uncertainty", 0, LARGE, optional=True)
    qualifier: str = choice(QUALIFIERS, "How exactly it is stated")
    unit_as_written: str = text("Unit in the text", optional=False)
    quote: str = text("The text itself", optional=False)
    start_offset: int = count("First character")
    end_offset: int = count("Character after the last", ge=1)
    sentence: str = text("The sentence around it", optional=False)
    is_plausible: bool = flag("Whether such an electrode can exist")
    note: str = text("What is odd about it")
    is_synthetic: bool = flag("Whether the text was written to demonstrate the platform")

    @rule(
        "end_offset",
        "The mention ends at {end_offset}, before it starts at {start_offset}.",
        "This is a fault of the platform: please report it.",
    )
    def ends_after_start(cls) -> pl.Expr:
        return pl.col("end_offset") > pl.col("start_offset")


@product("literature_completeness", "what a document reports", "document", is_part=True)
class LiteratureCompleteness(Contract):
    """Whether a document reports a property, and how exactly."""

    document_id: str = key("Document")
    property: str = key("Property")
    how: str = choice(HOW_REPORTED, "How exactly it is reported at best")
    n_mentions: int = count("Mentions")
    is_synthetic: bool = flag("Whether the text was written to demonstrate the platform")
