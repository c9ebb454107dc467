"""In: `/api/v1/campaigns`. Out: which feedback products are told to ask for; POST makes one, PUT changes it."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import Blueprint, Response, g, request

from control_store.campaigns import read_rule
from processor.console.data_api.answers import answer, slice_page
from processor.console.permissions import needs
from processor.console.services import campaigns, project

blueprint = Blueprint("api_campaigns", __name__, url_prefix="/api/v1/campaigns")


@blueprint.get("")
@needs("campaign.read")
def get_campaigns() -> Response:
    """All campaigns, newest first."""
    now = datetime.now(UTC)
    page = slice_page([one.as_dict(now) for one in reversed(campaigns().listed(project()))], "campaign_id")
    return answer({"items": page.items, "next": page.next})


@blueprint.get("/<campaign_id>")
@needs("campaign.read")
def get_campaign(campaign_id: str) -> Response:
    """One campaign."""
    return answer(campaigns().find(project(), campaign_id).as_dict(datetime.now(UTC)))


@blueprint.post("")
@needs("campaign.edit")
def post_campaign() -> Response:
    """Make a campaign: the fields of a rule."""
    campaign_id = campaigns().create(project(), read_rule(request.get_json(force=True, silent=True)), g.user.name)
    return answer(campaigns().find(project(), campaign_id).as_dict(datetime.now(UTC)), 201)


@blueprint.put("/<campaign_id>")
@needs("campaign.edit")
def put_campaign(campaign_id: str) -> Response:
    """Replace a campaign's rule; its answers stay."""
    rule = read_rule(request.get_json(force=True, silent=True))
    campaigns().change(project(), campaign_id, rule, g.user.name)
    return get_campaign(campaign_id)
