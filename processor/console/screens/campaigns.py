"""In: the campaigns of the control store and a form. Out: the page that lists, makes and changes them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from flask import Blueprint, g, redirect, render_template, request, url_for

from contract.errors import ThumbwheelError
from control_store.campaigns import Campaign, Rule, read_rule
from processor.console.permissions import needs
from processor.console.services import campaigns, project

blueprint = Blueprint("campaigns", __name__, url_prefix="/campaigns")
HOUR_S = 3600


@blueprint.get("")
@needs("campaign.read")
def index() -> Any:
    """List campaigns, newest first, with what they have been answered."""
    return _page()


@blueprint.get("/<campaign_id>")
@needs("campaign.read")
def detail(campaign_id: str) -> Any:
    """Show one campaign's form."""
    return _page(campaigns().find(project(), campaign_id))


@blueprint.post("")
@needs("campaign.edit")
def create() -> Any:
    """Make a campaign from the form; say beside the form what was wrong."""
    try:
        campaigns().create(project(), _rule_of_form(), g.user.name)
    except ThumbwheelError as error:
        return _page(problem=error), error.status
    return redirect(url_for(".index"), 303)


@blueprint.post("/<campaign_id>")
@needs("campaign.edit")
def change(campaign_id: str) -> Any:
    """Replace a campaign's rule by the form's, or only pause or resume it."""
    found = campaigns().find(project(), campaign_id)
    try:
        rule = _switched(found.rule) if "switch" in request.form else _rule_of_form()
        campaigns().change(project(), campaign_id, rule, g.user.name)
    except ThumbwheelError as error:
        return _page(found, error), error.status
    return redirect(url_for(".index"), 303)


def _page(chosen: Campaign | None = None, problem: ThumbwheelError | None = None) -> str:
    now = datetime.now(UTC)
    items = [(one, one.state(now)) for one in reversed(campaigns().listed(project()))]
    given = request.form if problem else _form_of(chosen.rule) if chosen else {"surface": "chat", "rate": "100"}
    return render_template(
        "campaigns.html", items=items, chosen=chosen, given=given, problem=problem,
        may_edit=g.user.may("campaign.edit"),
    )  # fmt: skip


def _switched(rule: Rule) -> Rule:
    body = {name: getattr(rule, name) for name in Rule.__struct_fields__}
    return Rule(**(body | {"active": not rule.active}))


def _rule_of_form() -> Rule:
    """Return the form's rule: the rate is in percent, the pause in hours, dates are UTC days, the last one included."""
    form = request.form
    body: dict[str, Any] = {name: form.get(name, "").strip() for name in ("name", "surface")}
    body |= {name: form[name].strip() for name in ("label", "scenario", "question") if form.get(name, "").strip()}
    body["rate"] = _number(form.get("rate") or "100", "rate") / 100
    body["cooldown_s"] = round(_number(form.get("cooldown_h") or "0", "cooldown_h") * HOUR_S)
    if form.get("quota"):
        body["quota"] = round(_number(form["quota"], "quota"))
    if form.get("starts"):
        body["starts_at"] = _day(form["starts"], "starts_at")
    if form.get("ends"):
        body["ends_at"] = _day(form["ends"], "ends_at") + timedelta(days=1)
    return read_rule(body | {"active": "active" in form})


def _form_of(rule: Rule) -> dict[str, Any]:
    given: dict[str, Any] = {name: getattr(rule, name) or "" for name in ("name", "surface", "label", "scenario")}
    given |= {"question": rule.question or "", "rate": f"{rule.rate * 100:g}", "quota": rule.quota or ""}
    given["cooldown_h"] = f"{rule.cooldown_s / HOUR_S:g}" if rule.cooldown_s else ""
    given["starts"] = rule.starts_at.date().isoformat() if rule.starts_at else ""
    given["ends"] = (rule.ends_at - timedelta(days=1)).date().isoformat() if rule.ends_at else ""
    return given | ({"active": "1"} if rule.active else {})


def _number(text: str, field: str) -> float:
    try:
        number = float(text)
    except ValueError as error:
        raise ThumbwheelError("invalid_campaign", f"{text!r} is no number.", "For example 20.", field) from error
    if not abs(number) < 1e12:
        raise ThumbwheelError("invalid_campaign", f"{text!r} is out of range.", "For example 20.", field)
    return number


def _day(text: str, field: str) -> datetime:
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise ThumbwheelError("invalid_campaign", f"{text!r} is no day.", "For example 2026-01-31.", field) from error
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
