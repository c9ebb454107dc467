"""Who owns which partitions: alone, and several processors that share a topic on Kafka."""

from __future__ import annotations

import threading
from pathlib import Path

from eventlog.log import open_log
from eventlog.membership import Assignment
from processor.archive import with_archive


def test_whoever_is_alone_owns_all_partitions_until_it_closes(tmp_path: Path) -> None:
    log = with_archive(open_log(f"sqlite:///{tmp_path}/events.db", 3), str(tmp_path / "archive"))
    member = log.member("processor-0", 60)
    owned = Assignment(0, frozenset({0, 1, 2}))
    assert member.wait(None, 0.0) == owned
    assert member.wait(owned, 0.01) == owned
    member.revoke_done()
    member.commit({0: 5})
    assert member.assignment() == owned
    threading.Timer(0.05, member.close).start()
    assert member.wait(owned, 3600) is None
    log.close()
