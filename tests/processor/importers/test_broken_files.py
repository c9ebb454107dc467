"""Files that are damaged anywhere: each row is imported, repeated or quarantined, and the import ends in a report."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pytest

from eventlog.log import Log
from eventlog.opening import open_log
from processor.importers.load import FORMATS, import_file
from tests.collector.mutations import damaged
from tests.processor.exporters.test_import_export import SHAPES

SEED = 20_261_126
FILES = 150
ROWS = {form: [row for name, row, _ in SHAPES if name == form] for form in FORMATS}
CSV = "prompt,completion,chosen,rejected,label\nWhere is it?,Here.,,,\nWhere is it?,,Here.,Gone.,\n"


@pytest.mark.parametrize("form", FORMATS)
def test_a_damaged_file_ends_in_a_report_of_all_its_rows(tmp_path: Path, form: str) -> None:
    random = Random(SEED)
    log: Log = open_log(f"sqlite:///{tmp_path}/log/events.db")
    for number in range(FILES):
        rows = [json.dumps(row).encode() for row in ROWS[form] or [{"prompt": "q"}]] * 2
        whole = CSV.encode() if form == "csv" else b"\n".join(rows) if number % 2 else b"[" + b",".join(rows) + b"]"
        file = tmp_path / f"{number}.data"
        file.write_bytes(damaged(whole, random) if number % 3 else b"\n".join(damaged(row, random) for row in rows))
        report = import_file(file, form, "default", log)
        taken = report.imported + report.unchanged + report.repeated
        assert report.rows == taken + report.quarantined, (SEED, number)
        assert len(report.errors) == min(report.quarantined, 20)
        assert report.quarantined == 0 or report.quarantine is not None
    log.close()
