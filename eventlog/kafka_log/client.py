"""Connecting to Kafka: the options of a log address, clients that say why they failed, topics that are safe to keep.

Checked against kafka-python 3.0.12. A client that cannot bootstrap raises after its time-out and leaves its I/O
thread and sockets behind; `connect` closes them.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import KafkaError, TopicAlreadyExistsError, UnknownTopicOrPartitionError, for_code
from kafka.net.compat import KafkaNetClient

from contract.errors import LogUnavailable, SettingsError
from contract.topics import EVENTS, REJECTED, REJECTED_RETENTION_MS, RUNS, TOPICS
from eventlog.kafka_log.connect import TLS_OPTIONS, TLS_PROTOCOLS, network, quiet, reason_of, tls_context

log = logging.getLogger(__name__)

BOOTSTRAP_TIMEOUT_MS = 10_000
REQUEST_TIMEOUT_MS = 6_000
# A broker that answers may not have heard yet of a topic that was created, or of its settings.
SETTLE_SECONDS = 3.0
DEFAULT_PARTITIONS = 12
REPLICAS = 3
MIN_IN_SYNC = 2
# No record of ours is larger.
MAX_RECORD_BYTES = 900 * 1024

# Passed to kafka-python as they are. Its documentation says what each means.
_TEXT_OPTIONS = frozenset({
    "security_protocol", "sasl_mechanism", "sasl_plain_username", "sasl_plain_password", "sasl_kerberos_service_name",
    "sasl_kerberos_domain_name", "proxy_url",
})  # fmt: skip
_SWITCHES = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}

C = TypeVar("C")


class Topic(NamedTuple):
    """A topic as the cluster describes it."""

    partitions: int
    replicas: int
    min_in_sync: int


class Cluster:
    """Where the brokers are and how to log in there; makes clients."""

    def __init__(self, servers: str, options: Mapping[str, str]) -> None:
        self.servers = servers
        self.allow_unsafe = False
        self._settings: dict[str, Any] = {}
        self._tls: dict[str, str] = {}
        self._check_hostname = True
        for name, text in options.items():
            self._take(name, text)
        if self._settings.get("security_protocol", "") in TLS_PROTOCOLS:
            self._settings["ssl_context"] = tls_context(self._tls, self._check_hostname)
        elif self._tls:
            raise SettingsError(
                "log_option", f"THUMBWHEEL_LOG: {min(self._tls)} needs TLS.", "Add security_protocol=SASL_SSL or SSL."
            )
        kafka_log = logging.getLogger("kafka")
        if kafka_log.level == logging.NOTSET:
            # Its INFO lines tell of every connection.
            kafka_log.setLevel(logging.WARNING)

    def _take(self, name: str, text: str) -> None:
        if name in _TEXT_OPTIONS:
            self._settings[name] = text
        elif name in TLS_OPTIONS:
            self._tls[name] = text
        elif name == "ssl_check_hostname" and text.lower() in _SWITCHES:
            self._check_hostname = _SWITCHES[text.lower()]
        elif name == "allow_unsafe" and text.lower() in _SWITCHES:
            self.allow_unsafe = _SWITCHES[text.lower()]
        else:
            known = ", ".join(sorted(_TEXT_OPTIONS | TLS_OPTIONS | {"ssl_check_hostname", "allow_unsafe"}))
            raise SettingsError(
                "log_option", f"THUMBWHEEL_LOG: the option {name!r} is unknown or malformed.", f"Known: {known}."
            )

    def connect(self, kind: Callable[..., C], **settings: Any) -> C:
        """Return a connected client of this kind; raises LogUnavailable that names the address."""
        opened: list[KafkaNetClient] = []

        def open_network(**config: Any) -> KafkaNetClient:
            opened.append(network(**config))
            return opened[-1]

        try:
            with quiet():
                return kind(
                    bootstrap_servers=self.servers.split(","), kafka_client=open_network,
                    bootstrap_timeout_ms=BOOTSTRAP_TIMEOUT_MS, reconnect_backoff_max_ms=1000,
                    **{"request_timeout_ms": REQUEST_TIMEOUT_MS, **self._settings, **settings},
                )  # fmt: skip
        except (KafkaError, OSError, ValueError) as error:
            refused: dict[Any, Exception] = {}
            for client in opened:
                refused |= client._manager.refused
                client.close()
            reason, hint = reason_of(error, refused)
            raise LogUnavailable(f"Kafka at {self.servers} cannot be reached: {reason}.", hint) from error

    def admin(self) -> KafkaAdminClient:
        """Return an admin client; thread-safe, it has its own I/O thread."""
        return self.connect(KafkaAdminClient)


def prepare_topics(admin: KafkaAdminClient, partitions: int | None, allow_unsafe: bool) -> dict[str, Topic]:
    """Create the topics that are missing, check all, and return them.

    Raises SettingsError when the number of partitions is not the one asked for, or when a topic is `unsafe`.
    """
    brokers = len(admin.describe_cluster()["brokers"])
    found = _describe(admin)
    missing = [name for name in TOPICS if name not in found]
    if missing:
        _create(admin, missing, _wanted_partitions(found, partitions), brokers)
    topics, problems = _inspect(admin, partitions, brokers)
    deadline = time.monotonic() + SETTLE_SECONDS
    while problems and not allow_unsafe and time.monotonic() < deadline:
        time.sleep(0.1)
        topics, problems = _inspect(admin, partitions, brokers)
    for problem in problems:
        if not allow_unsafe:
            raise SettingsError(
                "log_unsafe", problem, "Alter the topic, or add allow_unsafe=true to THUMBWHEEL_LOG to accept it."
            )
        log.warning("%s Accepted, because THUMBWHEEL_LOG says allow_unsafe.", problem)
    return topics


def _inspect(admin: KafkaAdminClient, partitions: int | None, brokers: int) -> tuple[dict[str, Topic], list[str]]:
    """Return the topics, and what is unsafe about them; raises SettingsError for a wrong number of partitions."""
    found = _describe(admin)
    if len(found) < len(TOPICS):
        raise UnknownTopicOrPartitionError("created a moment ago")
    _check_partitions(found, partitions)
    configs = _configs(admin)
    topics = {
        name: Topic(*found[name], min_in_sync=int(configs[name].get("min.insync.replicas", 1))) for name in TOPICS
    }
    return topics, unsafe(topics, configs, brokers)


def _wanted_partitions(found: Mapping[str, tuple[int, int]], partitions: int | None) -> int:
    existing = found.get(EVENTS)
    return partitions or (existing[0] if existing else DEFAULT_PARTITIONS)


def _describe(admin: KafkaAdminClient) -> dict[str, tuple[int, int]]:
    """Return (partitions, smallest number of replicas) of our topics that exist."""
    found = {}
    for topic in admin.describe_topics(list(TOPICS)):
        if topic["error_code"] == 0:
            replicas = min(len(partition["replica_nodes"]) for partition in topic["partitions"])
            found[topic["name"]] = (len(topic["partitions"]), replicas)
    return found


def _create(admin: KafkaAdminClient, names: list[str], partitions: int, brokers: int) -> None:
    """Create topics; several processes may do so at once.

    Kafka's defaults would drop records after 7 days, and refuse those of a sender whose clock is an hour ahead.
    """
    replicated = brokers >= REPLICAS
    wanted = {
        name: {
            "num_partitions": 1 if name == RUNS else partitions,
            "replication_factor": REPLICAS if replicated else 1,
            "configs": {
                "retention.ms": str(REJECTED_RETENTION_MS if name == REJECTED else -1),
                "retention.bytes": "-1",
                "cleanup.policy": "delete",
                "message.timestamp.type": "LogAppendTime",
                "min.insync.replicas": str(MIN_IN_SYNC if replicated else 1),
            },
        }
        for name in names
    }
    answer = admin.create_topics(wanted, timeout_ms=REQUEST_TIMEOUT_MS, raise_errors=False)
    for topic in answer["topics"]:
        error = for_code(topic["error_code"])
        if topic["error_code"] and error is not TopicAlreadyExistsError:
            raise LogUnavailable(
                f"Topic {topic['name']} cannot be created: {topic.get('error_message') or error.__name__}",
                "Create it by hand, or give the user the right to.",
            )
    admin.wait_for_topics(names)


def _configs(admin: KafkaAdminClient) -> dict[str, dict[str, str]]:
    """Return every setting of our topics (asking for some by name is not understood by every broker)."""
    resources = [ConfigResource(ConfigResourceType.TOPIC, topic) for topic in TOPICS]
    found = admin.describe_configs(resources, config_filter="all")["topic"]
    return {topic: {name: config["value"] for name, config in configs.items()} for topic, configs in found.items()}


def _check_partitions(found: Mapping[str, tuple[int, int]], partitions: int | None) -> None:
    for name in TOPICS:
        wanted = 1 if name == RUNS else partitions
        if wanted is not None and found[name][0] != wanted:
            raise SettingsError(
                "log_partitions", f"{name} has {found[name][0]} partitions, {wanted} were asked for.",
                "The number is fixed at creation; copy the log to change it.",
            )  # fmt: skip


def unsafe(topics: Mapping[str, Topic], configs: Mapping[str, Mapping[str, str]], brokers: int) -> list[str]:
    """Return what could lose acknowledged records, or refuse valid ones, one sentence each; empty where nothing can.

    The rejected topic may forget: it is evidence for a person, not data.
    """
    problems = []
    for name in (EVENTS, RUNS):
        topic, config = topics[name], configs[name]
        kept = {limit: config.get(limit, "-1") for limit in ("retention.ms", "retention.bytes")}
        if set(kept.values()) != {"-1"} or "compact" in config.get("cleanup.policy", "delete"):
            limits = ", ".join(f"{limit}={value}" for limit, value in kept.items())
            problems.append(f"{name} does not keep every record ({limits}, or compacted).")
        if brokers >= REPLICAS and (topic.replicas < REPLICAS or topic.min_in_sync < MIN_IN_SYNC):
            problems.append(
                f"{name} has {topic.replicas} replicas and min.insync.replicas={topic.min_in_sync}"
                f" on {brokers} brokers; one broker's loss can lose records or lock writers out."
            )
        elif topic.min_in_sync > max(1, topic.replicas - 1):
            problems.append(
                f"{name} has {topic.replicas} replicas and min.insync.replicas={topic.min_in_sync}; "
                "one broker's loss locks writers out."
            )
        if config.get("unclean.leader.election.enable", "false") == "true":
            problems.append(f"{name} has unclean.leader.election.enable=true; a stale replica can drop records.")
        if (largest := int(config.get("max.message.bytes", MAX_RECORD_BYTES))) < MAX_RECORD_BYTES:
            problems.append(f"{name} refuses valid records (max.message.bytes={largest}, {MAX_RECORD_BYTES} needed).")
    return problems


def promise_of(topics: Mapping[str, Topic]) -> str:
    """Return what an acknowledged record survives: "replicated" or "memory of one broker"."""
    safe = all(topic.replicas >= REPLICAS and topic.min_in_sync >= MIN_IN_SYNC for topic in topics.values())
    return "replicated" if safe else "memory of one broker"
