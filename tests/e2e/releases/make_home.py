"""Makes the home of a release: run it with that release's code, once, and keep what it writes for good.

    cd CHECKOUT-OF-THE-RELEASE && PYTHONPATH=. python REPOSITORY/tests/e2e/releases/make_home.py /tmp/made

A log with picks and thumbs, the tables made of it, a dataset, and a control store with keys, a person and a campaign;
`expected.json` names what has to be found again.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

from eventlog.campaigns import Campaigns, read_rule
from eventlog.control import Control
from eventlog.settings import Settings
from processor.digest import table_digests
from processor.packaging import build_dataset
from processor.replay import open_store
from processor.runner import store_records

from eventlog.log import open_log
from tests.processor.samples import append, event, interaction, pick

FOUR = {"a": "Within two weeks.", "b": "两周之内可以退货。", "c": "Ask the shop.", "d": "Ask us first."}


def main(home: Path) -> None:
    """Write the home."""
    home.mkdir(parents=True)
    settings = replace(Settings(), home=home)
    log = open_log(settings.log_url)
    for number in range(40):
        name = f"i-{number}"
        append(
            log, interaction(name, FOUR, prompt=f"Question {number}: where is parcel {number * 7}?"),
            pick(name, FOUR, "abcd"[number % 4], name=f"pick {number}", verified=True),
            event("thumb", f"thumb {number}", interaction_id=name, candidate_id="a", value="up", actor="kim"),
        )  # fmt: skip
    store = open_store(settings, log)
    store.claim("processor-0", log.start_offsets([(topic, 0) for topic in ("thumbwheel.events.v1",)]))
    reader = log.reader({("thumbwheel.events.v1", 0): 0})
    store_records(store, reader.poll(1000, 1.0))
    reader.close()
    manifest = build_dataset(store, log, settings, "default", {})
    control = Control.of(settings)
    key = control.create_key("default", "secret", name="kept")
    control.create_user("lin", "a password that is long", "reviewer")
    campaign = Campaigns(control.engine).create("default", read_rule({"name": "ask", "surface": "chat"}), "lin")
    expected = {
        "tables": table_digests(store), "meta": store.meta(), "dataset_id": manifest["dataset_id"],
        "rows": manifest["counts"], "key": key.key, "key_id": key.key_id, "campaign": campaign,
    }  # fmt: skip
    store.close()
    log.close()
    (home / "expected.json").write_text(json.dumps(expected, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
