"""What the fuzzers feed: bodies go through the real app into a real log, and are held to what is owed (`oracle`).

A body that fails is kept in `FOUND`, where `test_fuzz` sends it ever after.
"""

from __future__ import annotations

import sys
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from control_store.control import Control
from eventlog.opening import open_log
from runtime.settings import Settings

from .conftest import SHOP, interaction, thumb
from .oracle import Door, Reply

FOUND = Path(__file__).parent / "found"
# Bodies whose records are read and compared at once.
TOGETHER = 64
ID = "0190a1b2-0000-7000-8000-00000000000"
PAIR = {"candidate_id": ..., "value": ..., "shown": ["a", "b"]}
SEEDS = [
    [thumb(event_id=ID + "1", labels=["refund/late"], reasons=["wrong"], comment="No é 😀")],
    [thumb(event_id=ID + "2", type="choice", outcome="chosen", chosen="a", **PAIR)],
    [thumb(event_id=ID + "3", type="pick", outcome="none", dwell_ms=9, edited_text="So.", **PAIR)],
    [thumb(event_id=ID + "4", type="edit", value=..., text="Better."), thumb(event_id=ID + "5", context={"n": [1.5]})],
    [thumb(event_id=ID + "6", type="retract", value=..., candidate_id=..., target=ID + "1"), thumb(event_id=ID + "7")],
    [interaction(event_id=ID + "8", order=["c-2", "c-1"], sdk={"name": "js", "version": "1"})],
]  # fmt: skip


def gzipped(body: bytes) -> bytes:
    """Return the body as one gzip member."""
    deflater = zlib.compressobj(1, wbits=31)
    return deflater.compress(body) + deflater.flush()


class Target:
    """Sends bodies, each in a way its own checksum picks, and checks them together."""

    def __init__(self, home: Path) -> None:
        self.home = home
        settings = Settings(home=home)
        self.log = open_log(settings.log_url)
        control = Control.of(settings)
        self.secret = control.create_key("default", "secret").key
        self.public = control.create_key("default", "public", [SHOP]).key
        self.door = Door(settings, self.log, control)
        self.sent: list[tuple[bytes, Reply]] = []
        self.statuses: Counter[int] = Counter()
        self.ways = (
            self._plain, self._plain, self._plain, self._public, self._chunked, self._zipped, self._torn, self._short,
        )  # fmt: skip

    def __call__(self, body: bytes) -> None:
        """Send a body; every few, compare what was answered and logged."""
        self.send(body, self.ways[zlib.crc32(body) % len(self.ways)])
        if len(self.sent) >= TOGETHER:
            self.check()

    def send(self, body: bytes, way: Callable[[bytes], Reply]) -> None:
        """Send a body in one way, to be checked with the next ones."""
        try:
            reply = way(body)
        except BaseException:
            keep(body)
            raise
        self.statuses[reply.status] += 1
        self.sent.append((body, reply))

    def check(self) -> None:
        """Compare; of bodies that fail together, keep those that fail alone."""
        sent, self.sent = self.sent, []
        try:
            self.door.check(*(reply for _, reply in sent))
        except AssertionError:
            self.door.logged()
            for body in dict.fromkeys(body for body, _ in sent):
                self._alone(body)
            raise

    def _alone(self, body: bytes) -> None:
        try:
            for way in dict.fromkeys(self.ways):
                self.door.check(way(body))
        except AssertionError:
            self.door.logged()
            keep(body)

    def close(self) -> None:
        """Check what is left and close the log."""
        self.check()
        self.door.close()
        self.log.close()

    def _plain(self, body: bytes) -> Reply:
        return self.door.send(body, self.secret)

    def _public(self, body: bytes) -> Reply:
        return self.door.send(body, self.public, SHOP)

    def _chunked(self, body: bytes) -> Reply:
        return self.door.send(body, self.secret, CONTENT_LENGTH="", HTTP_TRANSFER_ENCODING="chunked")

    def _zipped(self, body: bytes) -> Reply:
        return self.door.send(body, self.secret, wire=gzipped(body), HTTP_CONTENT_ENCODING="gzip")

    def _torn(self, body: bytes) -> Reply:
        """A gzip body with one byte changed past its header: refused, or what was sent, by luck of the code."""
        torn = bytearray(gzipped(body))
        torn[10 + zlib.adler32(body) % (len(torn) - 10)] ^= 0x55
        return self.door.send(body, self.secret, wire=bytes(torn), damaged=True, HTTP_CONTENT_ENCODING="gzip")

    def _short(self, body: bytes) -> Reply:
        """A body that is shorter than announced."""
        reply = self.door.send(body, self.secret, damaged=True, CONTENT_LENGTH=str(len(body) + 5))
        assert reply.status == 400, reply.answer
        return reply


def keep(body: bytes) -> None:
    """Keep a body that failed."""
    FOUND.mkdir(exist_ok=True)
    (FOUND / f"{zlib.crc32(body):08x}.body").write_bytes(body)
    print(f"FAILED, kept as {zlib.crc32(body):08x}.body: {body!r}", file=sys.stderr)
