"""The data API: `GET /api/v1/...` as JSON, for programs with a secret or service key and for a session."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import duckdb
from flask import Blueprint, Response, g, request, send_file
from flask import json as flask_json

from contract.errors import ThumbwheelError
from control_store.keys import EVERY_PROJECT
from processor.console.access import known_projects, needs
from processor.console.services import datasets, project, reading, services
from processor.queries import facts, interactions, overview, pairs, rejected
from processor.queries.lineage import lineage
from processor.queries.reading import NotFound, Page, Row, decode_key, encode_key, jsonable, parse_limit
from processor.queries.trials import list_support

blueprint = Blueprint("api", __name__, url_prefix="/api/v1")
MAX_VISIBLE = 1000


def answer(value: Any, status: int = 200) -> Response:
    """Return a value as JSON."""
    return Response(flask_json.dumps(jsonable(value), ensure_ascii=False), status, mimetype="application/json")


def read(question: Callable[[duckdb.DuckDBPyConnection], Any]) -> Response:
    """Answer with what `question` finds in one state of the tables; a Page becomes {items, next}."""
    with reading() as cursor:
        found = question(cursor)
    return answer({"items": found.items, "next": found.next} if isinstance(found, Page) else found)


def paging() -> dict[str, Any]:
    """Return `cursor` and `limit` of the request."""
    return {"after": request.args.get("cursor"), "limit": parse_limit(request.args.get("limit"))}


def slice_page(items: Sequence[Row], key: str) -> Page:
    """Return a page of a list that is whole in memory, read on after the item the cursor names."""
    limit = parse_limit(request.args.get("limit"), 200)
    start = 0
    if after := request.args.get("cursor"):
        wanted = decode_key(after)
        places = [index for index, item in enumerate(items) if item[key] == wanted]
        if not places:
            raise ThumbwheelError("bad_cursor", "The cursor's item is gone.", "Read from the start.", "cursor")
        start = places[0] + 1
    taken = list(items[start : start + limit])
    return Page(taken, encode_key(taken[-1][key]) if taken and start + limit < len(items) else None)


def blind(cursor: duckdb.DuckDBPyConnection) -> list[str]:
    """Return the challengers whose test is undecided: who wrote what stays hidden from people."""
    if g.user.key is not None and g.user.key.kind == "service":
        return []
    return facts.challengers_under_test(cursor, project())


class Behind(ThumbwheelError):
    """The tables are incomplete: what is decided over them waits."""

    status = 503


def refuse_while_behind() -> None:
    """Raise Behind to the trainer, which then asks again later; people are told on every page."""
    key, late = g.user.key, services().freshness.behind()
    if late and key is not None and key.kind == "service":
        names = ", ".join(map(str, late))
        raise Behind("behind", f"Partitions {names} are behind the log.", "Ask again once the processors caught up.")


@blueprint.get("/overview")
def get_overview() -> Response:
    """Everything the overview page shows."""
    return read(lambda cursor: overview.overview(cursor, project(), services().settings, datasets()))


@blueprint.get("/projects")
def get_projects() -> Response:
    """Every project with a key or with data, and its number of events; a key of one project sees that one."""
    key = g.user.key
    own = key is not None and key.project != EVERY_PROJECT
    items = [{"project": name, "events": n} for name, n in known_projects().items() if not own or name == project()]
    return answer({"items": items, "next": None})


@blueprint.get("/interactions")
def get_interactions() -> Response:
    """Interactions, newest first, filtered by label, q, surface, source, show."""
    given: dict[str, Any] = {name: request.args.get(name) for name in ("label", "q", "surface", "source", "show")}
    return read(lambda c: interactions.list_interactions(c, project(), blind=blind(c), **paging(), **given))


@blueprint.get("/interactions/<path:interaction_id>")
def get_interaction(interaction_id: str) -> Response:
    """One interaction with its messages, candidates, feedback, events and conflicts."""
    return read(lambda c: interactions.find_interaction(c, project(), interaction_id, blind(c)))


@blueprint.get("/pairs")
def get_pairs() -> Response:
    """Pairs, newest first, filtered by kind, model, interaction, trainable (true or false)."""
    given: dict[str, Any] = {name: request.args.get(name) for name in ("kind", "model", "interaction")}
    trainable = {"true": True, "false": False}.get(request.args.get("trainable", ""))
    return read(lambda c: pairs.list_pairs(c, project(), blind=blind(c), trainable=trainable, **paging(), **given))


@blueprint.get("/datasets")
def get_datasets() -> Response:
    """Manifests, newest first."""
    return read(lambda _: slice_page(datasets().manifests(), "dataset_id"))


@blueprint.get("/datasets/<dataset_id>")
def get_dataset(dataset_id: str) -> Response:
    """One manifest."""
    return answer(datasets().manifest(dataset_id))


@blueprint.get("/datasets/<dataset_id>/files/<path:name>")
def get_dataset_file(dataset_id: str, name: str) -> Response:
    """One file of a dataset."""
    return send_file(datasets().file(dataset_id, name), as_attachment=True, download_name=name.rsplit("/", 1)[-1])


@blueprint.get("/runs")
def get_runs() -> Response:
    """Training runs, newest first."""
    return read(lambda cursor: slice_page(facts.list_runs(cursor, project()), "run_id"))


@blueprint.get("/runs/<run_id>")
def get_run(run_id: str) -> Response:
    """One run with its metrics by step."""
    return read(lambda cursor: facts.find_run(cursor, project(), run_id))


@blueprint.get("/models")
def get_models() -> Response:
    """Adapters, newest first, with the champion and the challenger."""

    def question(cursor: duckdb.DuckDBPyConnection) -> Row:
        found = facts.list_adapters(cursor, project())
        page = slice_page(found["items"], "adapter_id")
        return {**found, "items": page.items, "next": page.next}

    return read(question)


@blueprint.get("/support")
def get_support() -> Response:
    """Blind tests, newest first, and comparisons of a size fixed beforehand."""
    refuse_while_behind()
    return read(lambda c: {**list_support(c, project(), services().settings, datasets()), "next": None})


@blueprint.get("/readiness")
def get_readiness() -> Response:
    """What is new since the last finished run."""
    refuse_while_behind()
    return read(lambda cursor: overview.readiness(cursor, project(), services().settings, datasets()))


@blueprint.get("/rejected")
def get_rejected() -> Response:
    """Rejected events, newest first, filtered by code."""
    unknown = g.user.key is None or g.user.key.kind == "service"
    code = request.args.get("code")
    return read(lambda c: rejected.list_rejected(c, project(), code=code, unknown=unknown, **paging()))


@blueprint.get("/lineage/<path:subject>")
def get_lineage(subject: str) -> Response:
    """What came from, or led to, an event, interaction, dataset, run or adapter."""
    return read(lambda cursor: lineage(cursor, project(), datasets(), subject))


@blueprint.get("/requests")
def get_requests() -> Response:
    """Wishes in order, after the one named."""
    after, limit = request.args.get("after"), parse_limit(request.args.get("limit"), 500)
    return read(lambda cursor: Page(facts.list_requests(cursor, project(), after, limit)))


@blueprint.get("/facts")
def get_facts() -> Response:
    """Facts in order, by type (or its family) and subject."""
    kind, subject = request.args.get("type"), request.args.get("subject")
    return read(lambda cursor: Page(facts.list_facts(cursor, project(), kind, subject)))


@blueprint.get("/visible")
def get_visible() -> Response:
    """Which of the named events the tables do not hold yet."""
    wanted = request.args.getlist("event_id")
    if len(wanted) > MAX_VISIBLE:
        raise ThumbwheelError("too_many", f"{len(wanted)} event ids.", f"Ask for at most {MAX_VISIBLE}.", "event_id")
    return read(lambda cursor: {"missing": interactions.missing_events(cursor, project(), wanted)})


@blueprint.get("/keys/audit")
@needs("admin")
def get_key_changes() -> Response:
    """What happened to the project's keys, newest first: created, rotated, revoked, by whom, when."""
    return answer({"items": [change.as_dict() for change in services().control.list_key_changes(project())]})


@blueprint.route("/<path:rest>", methods=["GET", "POST"])
def unknown(rest: str) -> Response:
    """Anything else."""
    raise NotFound("unknown_address", f"The data API has no /{rest}.", "See the data API reference.")
