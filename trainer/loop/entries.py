"""What a registry entry may be: its kind and remote id in; nothing, or a refusal in a sentence, out."""

from __future__ import annotations

from contract.errors import ThumbwheelError

LOCAL, REMOTE = "local", "remote"
KINDS = (LOCAL, REMOTE)
# Vendors' ids are short; one that is not was mistaken for something else.
MAX_REMOTE_ID = 256


def check_entry(kind: object, remote_model: object) -> None:
    """Raise ThumbwheelError `bad_entry` unless a local entry has no remote id and a remote one has a plain one."""
    if kind not in KINDS:
        raise _bad(f"An adapter is {' or '.join(KINDS)}, not {kind!r}.")
    if kind == LOCAL and remote_model is not None:
        raise _bad(f"A local adapter has no remote id, and this one has {remote_model!r}.")
    if kind == REMOTE and not _is_plain(remote_model):
        raise _bad(f"{remote_model!r} is no id of a remote model.")


def _is_plain(text: object) -> bool:
    return (
        isinstance(text, str)
        and 0 < len(text) <= MAX_REMOTE_ID
        and text.isprintable()
        and not any(c.isspace() for c in text)
    )


def _bad(message: str) -> ThumbwheelError:
    return ThumbwheelError(
        "bad_entry", message, "A remote id has 1 to 256 printable characters and no spaces.", "remote_model"
    )


def refuse_remote(adapter_id: str, remote_model: str | None) -> None:
    """Raise ThumbwheelError `remote_model` where an entry has a remote id: its weights are not here."""
    if remote_model is not None:
        raise ThumbwheelError(
            "remote_model", f"The adapter {adapter_id} is the remote model {remote_model}: its weights are not here.",
            "Name an adapter that was trained here, or the base.", "adapter_id", 409,
        )  # fmt: skip
