"""The errors the collector answers with; one place, so that the reference can list them."""

from __future__ import annotations

from eventlog.errors import ThumbwheelError

MAX_WIRE_BYTES = 1024 * 1024
MAX_BODY_BYTES = 5 * 1024 * 1024
MAX_EVENTS = 500


def not_json(detail: str) -> ThumbwheelError:
    """400: the body is not JSON of this shape."""
    return ThumbwheelError("invalid_body", f"The body is not valid: {detail}", 'Send {"events": [...]} as JSON.')


def no_key() -> ThumbwheelError:
    """401: no key, or one that is unknown or revoked."""
    return ThumbwheelError(
        "invalid_key",
        "The key is missing or unknown.",
        'Send Authorization: Bearer KEY, or "key" in the body.',
        status=401,
    )


def wrong_origin(origin: str) -> ThumbwheelError:
    """403: the page's origin is not among the key's."""
    return ThumbwheelError(
        "origin_not_allowed", f"The origin {origin[:200]!r} is not allowed for this key.",
        "Add it: thumbwheel keys create --origin.", status=403,
    )  # fmt: skip


def too_large(limit: str) -> ThumbwheelError:
    """413: more bytes than allowed."""
    return ThumbwheelError("too_large", f"The request is larger than {limit}.", "Send smaller batches.", status=413)


def wrong_type(kind: str) -> ThumbwheelError:
    """415: neither JSON nor text."""
    return ThumbwheelError(
        "unsupported_type", f"The content type {kind[:100]!r} is not taken.",
        "Send application/json or text/plain, plain or gzip.", status=415,
    )  # fmt: skip


def too_many() -> ThumbwheelError:
    """429: the key's rate is used up."""
    return ThumbwheelError("rate_limited", "This key sends too much.", "Wait as Retry-After says.", status=429)


def busy() -> ThumbwheelError:
    """503: as many requests as may be are in flight."""
    return ThumbwheelError("overloaded", "The collector is busy.", "Wait as Retry-After says.", status=503)


def not_allowed_type(kind: str) -> ThumbwheelError:
    """Per event: this kind of key may not write this type."""
    return ThumbwheelError(
        "type_not_allowed", f"This key may not write {kind!r} events.",
        "Public keys write thumb, choice, pick, edit, retract; secret keys interaction too.", "type",
    )  # fmt: skip
