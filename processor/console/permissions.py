"""Who may do what: one table of permissions and the roles that have them. Roles are no ladder.

Every address of the console and of the data API names its permission with `needs`; one that names none is closed to
everybody. A program with a key counts as an admin of its project.

    @blueprint.post("")
    @needs("dataset.build")
    def build() -> Any: ...
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from control_store.control import ROLES

F = TypeVar("F", bound=Callable[..., Any])

_EVERYBODY = frozenset(ROLES)
# An annotator judges what others judged too, so sees nobody's answers and no model's figures.
_READERS = _EVERYBODY - {"annotator"}
PERMISSIONS: dict[str, frozenset[str]] = {
    "console.enter": _EVERYBODY,
    "overview.read": _READERS,
    "feedback.read": _READERS,
    # Undo somebody's vote. In blind tests it changes nothing.
    "vote.retract": frozenset({"reviewer", "manager", "admin"}),
    "rejected.read": _READERS,
    "dataset.read": _READERS,
    "dataset.build": frozenset({"reviewer", "manager", "admin"}),
    "model.read": _READERS,
    "trial.read": _READERS,
    # How a test stands while it runs: who votes must not know. Of keys the trainer's alone.
    "trial.watch": frozenset({"manager", "admin"}),
    "model.command": frozenset({"admin"}),
    "task.read": frozenset({"reviewer", "manager", "admin"}),
    "task.edit": frozenset({"manager", "admin"}),
    "campaign.read": _READERS,
    "campaign.edit": frozenset({"manager", "admin"}),
    "label.read": _READERS,
    "label.edit": frozenset({"manager", "admin"}),
    "key.audit": frozenset({"admin"}),
    "person.forget": frozenset({"admin"}),
}


def needs(permission: str) -> Callable[[F], F]:
    """Name the permission of an address; put it below the route. Raises KeyError for one that is not in the table."""
    PERMISSIONS[permission]

    def name(view: F) -> F:
        view.permission = permission  # type: ignore[attr-defined]
        return view

    return name


def permission_of(view: Callable[..., Any] | None) -> str | None:
    """Return the permission an address names, or None."""
    found: str | None = getattr(view, "permission", None)
    return found


def allows(permission: str | None, role: str) -> bool:
    """Say whether a role has a permission; nobody has one that is not named."""
    return permission is not None and role in PERMISSIONS[permission]


def roles_with(permission: str) -> list[str]:
    """Return the roles that have it, the narrowest first."""
    return [role for role in ROLES if role in PERMISSIONS[permission]]
