"""What is kept about results as such: what they rest on, and which rows they were made from."""

from __future__ import annotations

from battery_platform.contracts.base import Contract, Moment, count, key, moment, text
from battery_platform.contracts.products.declaring import product


@product("made_results", "what each computed result rests on", is_part=True, exported=False)
class MadeResults(Contract):
    """A result that was computed as a whole: by which code, with which parameters, from which data."""

    table_name: str = key("Table that holds it")
    scope: str = key("Which rows of the table, as JSON; {} is all of them")
    code_hash: str = text("Hash of the code that decides it", optional=False)
    parameters_hash: str = text("Hash of what was asked", optional=False)
    data_hash: str = text("Hash of the data that it rests on", optional=False)
    n_rows: int = count("Rows that it has")
    snapshot_id: int = count("Snapshot of the lake before it was stored")
    because: str = text("Why it was computed", optional=False)
    made_at: Moment = moment("When it was computed", optional=False)


@product(
    "made_from",
    "rows that results were made from",
    is_part=True,
)
class MadeFrom(Contract):
    """A row that a result was made from, where no column of the result names it."""

    child_kind: str = key("What the result is, such as 'model version'")
    child_id: str = key("Its name")
    parent_kind: str = key("What it was made from, such as 'electrode'")
    parent_id: str = key("Its name")
