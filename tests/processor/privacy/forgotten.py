"""Somebody's events, and the fact that they are forgotten, short to write in a test."""

from __future__ import annotations

import msgspec

from contract.envelope import Actor
from contract.events import Event
from contract.forgetting import actor_digest
from tests.processor.samples import event, moment

DAY = 86_400.0


def forget(actor: str, before: float, name: str = "f", project: str = "default") -> Event:
    return event(
        "forget", name, actor="ops", actor_kind="expert", at=before, project=project,
        actor_digest=actor_digest(project, actor), before=moment(before).isoformat(),
    )  # fmt: skip


def by(actor: str, asked: Event) -> Event:
    return msgspec.structs.replace(asked, actor=Actor(actor))
