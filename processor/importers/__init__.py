"""Existing preference data, brought in through the log like everything else.

    report = import_file(Path("dpo_en_demo.json"), "sharegpt", "default", log)

    reading    rows of a file, each found by its ends and read alone (arrays, lines); clues: what is wrong with all
    shapes     what a row of each format says
    votes      the interaction and the judgement a row stands for
    standing   what earlier imports said, read from the log
    load       all of it together; quarantine: the file of refused rows

Errors name the row (a line of JSONL or CSV, an item of a JSON array), rows that cannot be read go to a quarantine
file, and a file imported twice changes nothing: event ids follow from the content.
"""

from processor.importers.load import FORMATS, ImportReport, import_file
from processor.importers.reading import RowError

__all__ = ["FORMATS", "ImportReport", "RowError", "import_file"]
