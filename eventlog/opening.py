"""In: the address of a log. Out: that log, opened: embedded (SQLite) or on Kafka."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

from contract.errors import SettingsError
from eventlog.embedded.log import SqliteLog
from eventlog.log import StoredLog
from runtime.settings import without_secrets


def open_log(url: str, partitions: int | None = None) -> StoredLog:
    """Open the log at `sqlite:///path` or `kafka://host:port[,host:port][?option=value]`.

    `partitions` is used when topics are created (1 embedded, 12 on Kafka unless told) and checked afterwards.
    """
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        return SqliteLog(url.removeprefix("sqlite:///"), partitions=partitions)
    if parts.scheme == "kafka":
        # The client costs a quarter of a second to import: only whoever uses it pays.
        from eventlog.kafka_log.log import KafkaLog

        return KafkaLog(parts.netloc, options=dict(parse_qsl(parts.query)), partitions=partitions)
    raise SettingsError(
        "log_url",
        f"THUMBWHEEL_LOG={without_secrets(url)!r} is not a log address.",
        "Use sqlite:///path or kafka://host:9092.",
    )
