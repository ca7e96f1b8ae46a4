"""Judgement of a sheet: accepted and quarantined rows as Parquet files, ready to commit.

Batches go through text (`text_way`). A long regular text file is first run through one streaming
pass that keeps the rows breaking no rule (`streaming`); only the others take the way through
text. Rules between rows are judged on what was accepted (`between_rows`).
"""

from __future__ import annotations

from battery_platform.contracts.registry import TABLES
from battery_platform.records.between_rows import judge_between_rows
from battery_platform.records.streaming import can_stream, stream
from battery_platform.records.text_way import Progress, Subject, Tally, TextWay
from battery_platform.store.commit import Part, Workbench
from battery_platform.store.lakehouse import Lakehouse


def judge_sheet(
    subject: Subject, lake: Lakehouse, bench: Workbench, progress: Progress = lambda rows: None
) -> Tally:
    """Judge all rows of a sheet and leave accepted and quarantined rows on the bench."""
    part = Part(TABLES[subject.mapping.table], subject.sheet.name)
    part.columns = [fate.stored() for fate in subject.fates]
    tally = Tally(part)
    way = TextWay(subject, bench, tally)
    if can_stream(subject, way, lake):
        stream(subject, bench, way, progress)
    else:
        way.take_all(progress)
    judge_between_rows(subject, lake, bench, way)
    part.rows_quarantined = part.rows_in - part.rows_accepted
    return tally
