"""How a connection to Kafka is secured, and why one was refused.

kafka-python 3.0.12 tries a broker that refused the login, or whose certificate is not trusted, again until its
time-out, and then says "Unable to bootstrap". Here the refusals are kept, and when every address has refused for a
reason that no further try can mend, the reason is the answer, at once.
"""

from __future__ import annotations

import logging
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

from kafka.errors import (
    IllegalSaslStateError,
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailedError,
    UnsupportedSaslMechanismError,
)
from kafka.net.compat import KafkaNetClient
from kafka.net.connection import KafkaConnection
from kafka.net.manager import KafkaConnectionManager
from kafka.net.selector import NetworkSelector
from kafka.net.transport import KafkaSSLTransport
from kafka.protocol.frame import KafkaBytes
from kafka.protocol.parser import KafkaProtocol

from contract.errors import SettingsError

# Bytes received at once: first, and when more came.
FIRST_PIECE = 4096
LARGEST_PIECE = 1024 * 1024
# Bytes of an answer that are not copied to be read; the small answers of a login are taken for bytes.
VIEWED_FROM = 64 * 1024
TLS_PROTOCOLS = frozenset({"SSL", "SASL_SSL"})
TLS_OPTIONS = frozenset({"ssl_cafile", "ssl_certfile", "ssl_keyfile", "ssl_password", "ssl_crlfile", "ssl_ciphers"})
_GENERAL_HINT = "Check the address and that the broker runs; a wrong user, password or TLS setting may look the same."


class _Frame(KafkaBytes):  # type: ignore[misc]
    """An answer's bytes. Many read at once, as records are, are a view of them: its parent copies them twice."""

    _idx: int

    def read(self, nbytes: int | None = None) -> bytes | memoryview:
        if nbytes is None and len(self) - self._idx >= VIEWED_FROM:
            rest = memoryview(self)[self._idx :]
            self._idx = len(self)
            return rest
        copied: bytes = super().read(nbytes)
        return copied


class Answers(KafkaProtocol):  # type: ignore[misc]
    """What a connection makes of the bytes it receives: as its parent, but many records are not copied to be read."""

    @classmethod
    def instead_of(cls, plain: KafkaProtocol) -> Answers:
        """Return one that takes over from a parser that has neither sent nor received anything."""
        return cls(client_id=plain._client_id, receive_message_max_bytes=plain._max_frame_size, ident=plain._ident)

    def _process_response(self, read_buffer: KafkaBytes) -> Any:
        # Its parent makes the buffer before it fills it; one that is whole is read as ours, and nothing is copied.
        read_buffer.__class__ = _Frame
        return super()._process_response(read_buffer)


class _Refusal(NamedTuple):
    """What a refusal's text holds, what it means and what to do; a final one is the same at every further try."""

    text: str
    meaning: str
    hint: str
    final: bool = True


_REFUSALS = (
    _Refusal("Hostname mismatch", "its certificate is for another name", "Use a name that the certificate has."),
    _Refusal("IP address mismatch", "its certificate is for another address", "Use a name that the certificate has."),
    _Refusal(
        "CERTIFICATE_VERIFY_FAILED", "its certificate is not trusted",
        "Name the authority that signed it: ssl_cafile=/path/ca.pem.",
    ),
    _Refusal("WRONG_VERSION_NUMBER", "it speaks no TLS at this port", "Use the TLS port, or no TLS."),
    # Its TLS alert, read as a length.
    _Refusal("Invalid frame length", "it speaks TLS at this port", "Add security_protocol=SASL_SSL or SSL."),
    _Refusal("ALERT_BAD_CERTIFICATE", "it asks for a certificate of ours", "Name it: ssl_certfile and ssl_keyfile."),
    _Refusal("ALERT_CERTIFICATE_UNKNOWN", "it does not trust our certificate", "Use one that it trusts: ssl_certfile."),
    _Refusal("ALERT_UNKNOWN_CA", "it does not trust our certificate", "Use one that it trusts: ssl_certfile."),
    _Refusal("CERTIFICATE_REQUIRED", "it asks for a certificate of ours", "Name it: ssl_certfile and ssl_keyfile."),
    # A broker that is being stopped may do so too.
    _Refusal("UNEXPECTED_EOF", "it ended the TLS handshake", "Does this port speak TLS? Use the TLS port.", False),
    _Refusal("ECONNREFUSED", "nothing listens there", _GENERAL_HINT, False),
)  # fmt: skip


def tls_context(options: Mapping[str, str], check_hostname: bool) -> ssl.SSLContext:
    """Return the TLS settings of a log address; raises SettingsError for a file that cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = check_hostname
    used = ""
    try:
        if used := options.get("ssl_cafile", ""):
            context.load_verify_locations(used)
        else:
            context.load_default_certs()
        if used := options.get("ssl_certfile", ""):
            context.load_cert_chain(used, options.get("ssl_keyfile"), options.get("ssl_password"))
        if used := options.get("ssl_crlfile", ""):
            context.load_verify_locations(used)
            context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
        if used := options.get("ssl_ciphers", ""):
            context.set_ciphers(used)
    except (OSError, ValueError) as error:
        why = str(error.args[-1]).rstrip(".")
        raise SettingsError(
            "log_option", f"THUMBWHEEL_LOG: {used} cannot be used for TLS: {why}.",
            "ssl_cafile, ssl_certfile, ssl_keyfile and ssl_crlfile name PEM files, ssl_ciphers an OpenSSL list.",
        ) from error  # fmt: skip
    return context


class Connections(KafkaConnectionManager):  # type: ignore[misc]
    """kafka-python's connections; remembers why each address refused us before the first one let us in."""

    def __init__(self, net: NetworkSelector, **config: Any) -> None:
        super().__init__(net, **config)
        self.refused: dict[Any, Exception] = {}

    def get_connection(self, node_id: Any, **options: Any) -> KafkaConnection:
        """As its parent; raises what the brokers said once all have refused for good."""
        if self.bootstrapped:
            return super().get_connection(node_id, **options)
        addresses = [broker.node_id for broker in self.cluster.bootstrap_brokers()]
        if addresses and all(_is_final(self.refused.get(address)) for address in addresses):
            raise self.refused[addresses[0]]
        connection = super().get_connection(node_id, **options)
        connection.init_future.add_errback(partial(self._remember, node_id))
        close = connection.close

        def close_and_remember(error: Exception | None = None) -> None:
            # A broker refuses a login and hangs up: the refusal comes here, behind the hanging up.
            if error is not None:
                self._remember(node_id, error)
            close(error)

        connection.close = close_and_remember
        return connection

    async def _connect(self, node: Any, conn: KafkaConnection, **options: Any) -> None:
        """As its parent; this connection's answers are read by `Answers`."""
        made = conn.connection_made

        def made_with_our_parser(transport: Any) -> None:
            made(transport)
            conn.parser = Answers.instead_of(conn.parser)

        conn.connection_made = made_with_our_parser
        await super()._connect(node, conn, **options)

    async def _build_transport(self, node: Any, timeout_at: float | None = None) -> Any:
        """As its parent; what came before the end of the stream is read, not dropped: often it says why."""
        transport = await super()._build_transport(node, timeout_at=timeout_at)
        secured = isinstance(transport, KafkaSSLTransport)
        receive = transport._sock_recv if secured else partial(receive_all, transport._sock)

        def receive_before_end() -> tuple[bytes, Exception | None]:
            data, error = receive()
            return data, None if data else error  # The end is still there at the next look.

        transport._sock_recv = receive_before_end
        return transport

    def _remember(self, node_id: Any, error: Exception) -> None:
        if not _is_final(self.refused.get(node_id)):
            self.refused[node_id] = error


def receive_all(connected: socket.socket) -> tuple[bytes, Exception | None]:
    """Return what has arrived, and what ended the connection, if anything did.

    kafka-python reads 4 KiB at a time, and each time may have to wait for other threads to let the interpreter go: with
    eight megabytes of records that is two thousand times.
    """
    pieces: list[bytes] = []
    size, error = FIRST_PIECE, None
    try:
        while len(piece := connected.recv(size)) == size:
            pieces.append(piece)
            size = min(size * 16, LARGEST_PIECE)
        pieces.append(piece)
        if not piece:
            error = KafkaConnectionError("socket disconnected")
    except (BlockingIOError, InterruptedError):
        pass
    except OSError as why:
        error = KafkaConnectionError(why)
    return b"".join(pieces), error


def network(**config: Any) -> KafkaNetClient:
    """Return kafka-python's network client over `Connections`."""
    net = NetworkSelector(**config)
    return KafkaNetClient(net, Connections(net, **config))


def _is_final(error: Exception | None) -> bool:
    if isinstance(error, SaslAuthenticationFailedError | UnsupportedSaslMechanismError | IllegalSaslStateError):
        return True
    return error is not None and any(one.final and one.text in str(error) for one in _REFUSALS)


def reason_of(error: Exception, refused: Mapping[Any, Exception]) -> tuple[str, str]:
    """Return why the brokers let nobody in, in words, and a hint. Never holds a password."""
    told = next(iter(refused.values()), error)
    if isinstance(told, SaslAuthenticationFailedError):
        return "it refused the user or the password", "Check sasl_plain_username and sasl_plain_password."
    if isinstance(told, UnsupportedSaslMechanismError | IllegalSaslStateError):
        return f"it does not take this login ({_text(told)})", "Set sasl_mechanism to one that it offers."
    for one in _REFUSALS:
        if one.text in str(told):
            return one.meaning, one.hint
    return _text(told), _GENERAL_HINT


class _Quiet:
    """Keeps kafka-python's connections from reporting every try; whoever connects reports the outcome once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._before = logging.NOTSET

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Keep quiet until the last of those who asked for it, from whatever thread, is done."""
        lines = logging.getLogger("kafka.net")
        with self._lock:
            if self._users == 0:
                self._before = lines.level
                lines.setLevel(logging.CRITICAL)
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if self._users == 0:
                    lines.setLevel(self._before)


quiet = _Quiet()


def _text(error: Exception) -> str:
    text = str(error) or type(error).__name__
    name = type(error).__name__
    return text.removeprefix(f"{name}: ") if isinstance(error, KafkaError) else text
