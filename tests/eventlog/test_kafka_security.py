"""A Kafka that requires TLS and a login: both mechanisms work, and every wrong setting is one clear line in seconds."""

from __future__ import annotations

import logging
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest
from kafka.admin import ScramMechanism, UserScramCredentialUpsertion

from contract.errors import LogUnavailable, SettingsError
from eventlog.kafka_log import client as kafka_client
from eventlog.kafka_log.client import Cluster
from eventlog.kafka_log.connect import quiet
from eventlog.opening import open_log
from tests.eventlog.test_log import entries, read
from tests.kafka_broker import Broker, apache_kafka, free_port

pytestmark = [pytest.mark.kafka, pytest.mark.slow]
# A password that an address must escape.
PASSWORD = "p+ss %&=/word"
# A refusal takes a third of a second; without one a client tries for ten.
SECONDS = 8.0

LISTENERS = """listeners=SASL_SSL://127.0.0.1:{port},SSL://127.0.0.1:{tls_port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=SASL_SSL://127.0.0.1:{port},SSL://127.0.0.1:{tls_port}
listener.security.protocol.map=SASL_SSL:SASL_SSL,SSL:SSL,CONTROLLER:PLAINTEXT
inter.broker.listener.name=SASL_SSL
sasl.mechanism.inter.broker.protocol=PLAIN
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512
ssl.keystore.type=PEM
ssl.keystore.location={folder}/broker.pem
ssl.truststore.type=PEM
ssl.truststore.location={folder}/ca.crt
listener.name.ssl.ssl.client.auth=required
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=\
org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.sasl_ssl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
username="admin" password="adminpw" user_admin="adminpw" user_tw="{password}";"""


def openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True, timeout=60)


def make_authority(folder: Path, name: str) -> None:
    openssl(
        folder, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}",
        "-keyout", f"{name}.key", "-out", f"{name}.crt",
    )  # fmt: skip


def make_certificate(folder: Path, name: str, address: str) -> None:
    """Make NAME.pem (key, certificate, authority) for an IP address, signed by `ca`."""
    openssl(
        folder, "req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-keyout", f"{name}.key",
        "-out", f"{name}.csr",
    )  # fmt: skip
    (folder / f"{name}.ext").write_text(f"subjectAltName=IP:{address}\n")
    openssl(
        folder, "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial",
        "-days", "2", "-extfile", f"{name}.ext", "-out", f"{name}.crt",
    )  # fmt: skip
    (folder / f"{name}.pem").write_text("".join((folder / f"{part}").read_text() for part in (
        f"{name}.key", f"{name}.crt", "ca.crt",
    )))  # fmt: skip


@dataclass
class Secured:
    """A broker behind TLS: one port asks for a password, the other for a certificate."""

    folder: Path
    address: str
    tls_address: str
    controller_port: int

    def url(self, address: str = "", **options: str) -> str:
        """Return the address of a log: user tw over PLAIN unless told."""
        own = {
            "security_protocol": "SASL_SSL", "ssl_cafile": str(self.folder / "ca.crt"), "sasl_mechanism": "PLAIN",
            "sasl_plain_username": "tw", "sasl_plain_password": PASSWORD,
        } | options  # fmt: skip
        query = "&".join(f"{name}={quote(value, safe='')}" for name, value in own.items() if value)
        return f"kafka://{address or self.address}?{query}"

    def tls_url(self, **options: str) -> str:
        """Return the address of a log by certificate, without a login."""
        none = dict.fromkeys(("sasl_mechanism", "sasl_plain_username", "sasl_plain_password"), "")
        return self.url(self.tls_address, **(none | {"security_protocol": "SSL"} | options))


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    if not apache_kafka() or shutil.which("openssl") is None:
        pytest.skip("needs Apache Kafka in ../shared/kafka, Java 17 and openssl")
    folder = tmp_path_factory.mktemp("tls")
    for name in ("ca", "other"):
        make_authority(folder, name)
    for name, address in (("broker", "127.0.0.1"), ("client", "127.0.0.9")):
        make_certificate(folder, name, address)
    port, tls_port = free_port(2), free_port()
    extra = LISTENERS.format(
        port=port, tls_port=tls_port, controller=port + 1, folder=folder, password=PASSWORD.replace("\\", "\\\\")
    )
    admin = {
        "security_protocol": "SASL_SSL", "ssl_cafile": str(folder / "ca.crt"), "sasl_mechanism": "PLAIN",
        "sasl_plain_username": "admin", "sasl_plain_password": "adminpw",
    }  # fmt: skip
    broker = Broker.apache(folder / "node", 1, [port], extra).start()
    try:
        broker.wait(**admin)
        client = Cluster(broker.address, admin).admin()
        client.alter_user_scram_credentials([
            UserScramCredentialUpsertion("scram", ScramMechanism.SCRAM_SHA_512, PASSWORD.encode())
        ])  # fmt: skip
        client.close()
        yield Secured(folder, broker.address, f"127.0.0.1:{tls_port}", port + 1)
    finally:
        broker.kill()


def test_password_over_tls_scram_and_certificate_alone_all_reach_the_same_log(secured: Secured) -> None:
    scram = {"sasl_mechanism": "SCRAM-SHA-512", "sasl_plain_username": "scram"}
    certificate = {
        "ssl_certfile": str(secured.folder / "client.crt"), "ssl_keyfile": str(secured.folder / "client.key")
    }  # fmt: skip
    urls = (secured.url(), secured.url(**scram), secured.tls_url(**certificate))
    for text, url in zip("abc", urls, strict=True):
        log = open_log(url, 1)
        assert None not in log.append(entries(text))
        log.check()
        log.close()
    log = open_log(urls[1], 1)
    assert [record.value for record in read(log, 3)] == [b"a", b"b", b"c"]
    log.close()


def refusal(url: str) -> LogUnavailable:
    """Open the log and return why that was refused; within seconds, and nothing stays behind."""
    threads, began = threading.active_count(), time.monotonic()
    with pytest.raises(LogUnavailable) as caught:
        open_log(url, 1)
    assert time.monotonic() - began < SECONDS
    assert PASSWORD not in caught.value.line() and "guess" not in caught.value.line()
    assert "\n" not in caught.value.line() and "Unable to bootstrap" not in caught.value.line()
    assert threading.active_count() == threads
    return caught.value


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
@pytest.mark.parametrize("login", [
    {"sasl_plain_password": "guess-4711"}, {"sasl_plain_username": "guess"},
])  # fmt: skip
def test_a_wrong_user_or_password_is_said_to_be_that(secured: Secured, mechanism: str, login: dict[str, str]) -> None:
    user = "tw" if mechanism == "PLAIN" else "scram"
    error = refusal(secured.url(**({"sasl_mechanism": mechanism, "sasl_plain_username": user} | login)))
    assert error.message == f"Kafka at {secured.address} cannot be reached: it refused the user or the password."
    assert error.hint == "Check sasl_plain_username and sasl_plain_password."


def test_a_mechanism_that_the_broker_does_not_offer_is_named(secured: Secured) -> None:
    error = refusal(secured.url(sasl_mechanism="SCRAM-SHA-256"))
    assert "does not take this login" in error.message and "sasl_mechanism" in error.hint


def test_an_untrusted_certificate_is_said_to_be_that(secured: Secured) -> None:
    for url in (secured.url(ssl_cafile=str(secured.folder / "other.crt")), secured.url(ssl_cafile="")):
        error = refusal(url)
        assert "its certificate is not trusted" in error.message and "ssl_cafile=" in error.hint


def test_a_certificate_for_another_address_is_refused_unless_names_are_not_checked(secured: Secured) -> None:
    _, _, port = secured.address.partition(":")
    with socket.create_connection(("localhost", int(port)), 5):
        pass
    error = refusal(secured.url(f"localhost:{port}"))
    assert "its certificate is for another name" in error.message
    open_log(secured.url(f"localhost:{port}", ssl_check_hostname="false"), 1).close()


def test_one_address_of_two_that_refuses_is_passed_over(secured: Secured) -> None:
    """The first has a certificate for another name, the second lets us in."""
    _, _, port = secured.address.partition(":")
    for _ in range(3):
        open_log(secured.url(f"localhost:{port},{secured.address}"), 1).close()


def test_tls_to_a_port_that_speaks_none_is_said_to_be_that(secured: Secured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_client, "BOOTSTRAP_TIMEOUT_MS", 2000)
    error = refusal(secured.url(f"127.0.0.1:{secured.controller_port}"))
    assert "it ended the TLS handshake" in error.message and "TLS port" in error.hint


def test_connecting_from_two_threads_leaves_the_log_as_talkative_as_it_was() -> None:
    lines = logging.getLogger("kafka.net")
    before, first, second = lines.level, quiet(), quiet()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert lines.level == logging.CRITICAL
    second.__exit__(None, None, None)
    assert lines.level == before


def test_no_tls_where_it_is_required_is_said_to_be_that(secured: Secured) -> None:
    error = refusal(f"kafka://{secured.address}")
    assert "it speaks TLS at this port" in error.message and "security_protocol=SASL_SSL" in error.hint


def test_no_certificate_of_ours_or_a_wrong_one_where_one_is_required_is_said_to_be_that(secured: Secured) -> None:
    assert "it asks for a certificate of ours" in refusal(secured.tls_url()).message
    wrong = {
        name: str(secured.folder / f"other.{end}") for name, end in (("ssl_certfile", "crt"), ("ssl_keyfile", "key"))
    }
    assert "it does not trust our certificate" in refusal(secured.tls_url(**wrong)).message


@pytest.mark.parametrize(("options", "named"), [
    ({"ssl_cafile": "/nowhere/ca.pem"}, "/nowhere/ca.pem"), ({"ssl_cafile": __file__}, "no certificate"),
    ({"ssl_ciphers": "NOPE"}, "NOPE"), ({"security_protocol": "SASL_PLAINTEXT"}, "ssl_cafile needs TLS"),
    ({"ssl_certfile": __file__}, "test_kafka_security"),
])  # fmt: skip
def test_a_tls_option_that_cannot_be_used_is_named_before_anything_is_connected(
    tmp_path: Path, options: dict[str, str], named: str
) -> None:
    with pytest.raises(SettingsError, match="THUMBWHEEL_LOG") as caught:
        open_log(Secured(tmp_path, "127.0.0.1:1", "", 2).url(**({"ssl_cafile": ""} | options | (
            {"ssl_cafile": "/x"} if options.get("security_protocol") else {}
        ))))  # fmt: skip
    assert named in caught.value.message and PASSWORD not in caught.value.line()
