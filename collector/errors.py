"""The errors the collector answers with, in one place: the OpenAPI document and the reference list them."""

from __future__ import annotations

from contract.errors import EventError, ThumbwheelError

MAX_WIRE_BYTES = 1024 * 1024
MAX_BODY_BYTES = 5 * 1024 * 1024
MAX_EVENTS = 500

# Status, code and meaning of every refusal of a whole request.
REFUSALS = (
    (400, "invalid_body", "not JSON, or not this shape"),
    (401, "invalid_key", "key missing, unknown, revoked or expired"),
    (403, "origin_not_allowed", "origin not allowed for this key"),
    (404, "not_found", "no such address"),
    (405, "method_not_allowed", "another method is needed"),
    (408, "too_slow", "the body did not arrive whole, or not in time"),
    (413, "too_large", "over 1 MiB on the wire, 5 MiB decompressed, or 100 times its size on the wire"),
    (415, "unsupported_type", "neither JSON nor text, or an encoding other than gzip"),
    (429, "rate_limited", "the key's rate is used up; Retry-After says for how long"),
    (500, "internal_error", "a fault of the collector"),
    (503, "overloaded", "too many requests in flight; Retry-After says when to come again"),
    (503, "control_unavailable", "an unknown key while the control store is away; Retry-After says when to come again"),
)


class Refused(ThumbwheelError):
    """A refusal of a whole request; `retry_after` in whole seconds where coming again makes sense."""

    retry_after: int | None = None


def not_json(detail: str) -> Refused:
    """400: the body is not JSON of this shape."""
    return Refused("invalid_body", f"The body is not valid: {detail}", 'Send {"events": [...]} as JSON.')


def no_key() -> Refused:
    """401: no key, or one that is unknown or revoked."""
    return Refused(
        "invalid_key", "The key is missing or unknown.", 'Send Authorization: Bearer KEY, or "key" in the body.',
        status=401,
    )  # fmt: skip


def wrong_origin(origin: str) -> Refused:
    """403: the page's origin is not among the key's."""
    return Refused(
        "origin_not_allowed", f"The origin {origin[:200]!r} is not allowed for this key.",
        "Add it to the key's origins: thumbwheel keys create --origin.", status=403,
    )  # fmt: skip


def wrong_method(allowed: str) -> Refused:
    """405: the events address takes POST only."""
    return Refused("method_not_allowed", "Another method is needed here.", f"Use {allowed}.", status=405)


def too_large(limit: str) -> Refused:
    """413: more bytes than allowed."""
    return Refused("too_large", f"The request is larger than {limit}.", "Send smaller batches.", status=413)


def wrong_type(kind: str) -> Refused:
    """415: neither JSON nor text."""
    return Refused(
        "unsupported_type", f"The content type {kind[:100]!r} is not taken.",
        "Send application/json or text/plain, plain or gzip.", status=415,
    )  # fmt: skip


def too_many(seconds: int) -> Refused:
    """429: the key's rate is used up for so many seconds."""
    error = Refused("rate_limited", "This key sends too much.", "Wait as Retry-After says.", status=429)
    error.retry_after = seconds
    return error


def busy() -> Refused:
    """503: as many requests as may be are in flight."""
    error = Refused("overloaded", "The collector is busy.", "Wait as Retry-After says.", status=503)
    error.retry_after = 1
    return error


def keys_away(why: ThumbwheelError) -> Refused:
    """503: the key is unknown so far, and the control store cannot be asked."""
    error = Refused(why.code, why.message, why.hint, status=503)
    error.retry_after = 1
    return error


def fault() -> Refused:
    """500: something nobody thought of."""
    return Refused("internal_error", "The collector failed.", "Look at the collector's log.", status=500)


def actor_too_fast() -> EventError:
    """Per event, beside `retry`: its actor sends too much for a person."""
    return EventError("actor_rate_limited", "This actor sends too much.", "Wait as Retry-After says.", "actor")


def not_allowed_type(kind: str) -> EventError:
    """Per event: this kind of key may not write this type."""
    return EventError(
        "type_not_allowed", f"This key may not write {kind!r} events.",
        "Public keys write thumb, choice, pick, edit, retract; secret keys interaction too.", "type",
    )  # fmt: skip
