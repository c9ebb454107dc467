"""import, export, dataset, lineage: data in, data out, and where it came from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.progress import Progress

from cli.api import data_api
from cli.context import Context, pass_context, shared_options
from contract.errors import ThumbwheelError
from runtime.settings import Settings

if TYPE_CHECKING:
    from processor.importers import ImportReport

IMPORT_FORMATS = ("trl", "sharegpt", "alpaca", "openai", "csv")
EXPORT_FORMATS = ("trl", "sharegpt", "openai")
# The status of an import that did not take all of its file.
NOT_WHOLE = 3


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--format", "form", required=True, type=click.Choice(IMPORT_FORMATS))
@click.option("--mapping", "mappings", multiple=True, metavar="FIELD=COLUMN", help="CSV: which column holds what.")
@click.option("--label", "labels", multiple=True, help="A label on every row, such as support/import.")
@click.option("--replace", is_flag=True, help="Where a row contradicts an earlier import, the row wins.")
@click.option("--dry-run", is_flag=True, help="Read and count, import nothing.")
@shared_options
@pass_context
def import_(
    context: Context, file: Path, form: str, mappings: tuple[str, ...], labels: tuple[str, ...], replace: bool,
    dry_run: bool,
) -> None:  # fmt: skip
    """Bring existing preference data in through the log; importing a file again changes nothing.

    Ends with status 3 where rows were refused or not read, or the file holds none.
    """
    from dataclasses import asdict

    from eventlog.opening import open_log
    from processor.history.archive import with_archive
    from processor.importers import import_file

    mapping = dict(_pair(text) for text in mappings)
    log = with_archive(
        open_log(context.settings.log_url, context.settings.partitions or None), context.settings.archive
    )
    try:
        with Progress(console=context.console, transient=True, disable=context.as_json) as bar:
            task = bar.add_task(f"Reading {file.name}", total=file.stat().st_size if file.is_file() else None)
            report = import_file(
                file, form, context.project, log, mapping=mapping or None, dry_run=dry_run, labels=labels,
                replace=replace, progress=lambda done, total: bar.update(task, completed=done, total=total),
            )  # fmt: skip
    finally:
        log.close()
    context.result(asdict(report), "\n".join([*_told(report), *_about_training(report, context.settings)]))
    if not report.whole:
        click.get_current_context().exit(NOT_WHOLE)


def _told(report: ImportReport) -> list[str]:
    """Return what an import did, as lines: each reason of a refusal once, with the first row it holds for."""
    verb = "would be imported" if report.dry_run else "imported"
    replaced = f" ({report.replaced} in the place of earlier ones)" if report.replaced else ""
    lines = [
        f"{report.imported} of {report.rows} rows {verb}{replaced}, {report.unchanged} unchanged, "
        f"{report.repeated} repeated, {report.quarantined} quarantined."
    ]
    told: set[str] = set()
    for error in report.errors:
        why = error.partition(": ")[2]
        if why not in told:
            told.add(why)
            more = report.reasons.get(why, 1) - 1
            lines.append(f"{error} ({more} more like it)" if more else error)
    if others := report.quarantined - sum(report.reasons[why] for why in told):
        lines.append(f"{others} more were refused for other reasons.")
    if report.unread:
        lines.append(f"{report.unread} {'row was' if report.unread == 1 else 'rows were'} not read.")
    if report.quarantine:
        lines.append(f"Refused rows are in {report.quarantine}.")
    return lines + [f"hint: {hint}" for hint in report.hints]


def _about_training(report: ImportReport, settings: Settings) -> list[str]:
    """Return what imported rows mean for a trainer that runs: it starts by itself when enough is new."""
    new = max(report.kinds.get("choice", 0), report.kinds.get("thumb", 0))
    if not new or report.dry_run:
        return []
    if not settings.train_on_import:
        return ["These rows start no training (THUMBWHEEL_TRAIN_ON_IMPORT); the next run takes them along."]
    enough = "enough for" if new >= settings.train_min_pairs else "counted towards"
    return [
        f"These rows are {enough} a run, which the trainer starts by itself at {settings.train_min_pairs} new ones "
        "(THUMBWHEEL_TRAIN_MIN_PAIRS). With THUMBWHEEL_TRAIN_ON_IMPORT=false imported rows start none."
    ]


def _pair(text: str) -> tuple[str, str]:
    name, found, column = text.partition("=")
    if not found:
        raise ThumbwheelError("bad_mapping", f"--mapping {text!r} is malformed.", "Write --mapping prompt=question.")
    return name, column


@click.command()
@click.argument("dataset_id")
@click.option("--format", "form", required=True, type=click.Choice(EXPORT_FORMATS))
@click.option("--out", type=click.Path(path_type=Path), default=None, help="Folder (default: DATASET_ID-FORMAT).")
@shared_options
@pass_context
def export(context: Context, dataset_id: str, form: str, out: Path | None) -> None:
    """Write a dataset in another format; rows the format cannot hold are counted."""
    from dataclasses import asdict

    from processor.exporters import export_dataset

    folder = context.settings.home / "datasets" / context.project / dataset_id
    target = out or Path(f"{dataset_id}-{form}")
    report = export_dataset(folder, form, target)
    refused = "".join(f"\n{count} rows left out: {reason}" for reason, count in report.refused.items())
    context.result(asdict(report), f"{report.written} of {report.rows} rows written to {target}.{refused}")


@click.group()
def dataset() -> None:
    """Datasets: immutable folders of Parquet, with lineage."""


@dataset.command("build")
@click.option("--filters", default="{}", help='JSON, such as {"include_labels": ["refund"]}.')
@click.option("--max-rows", type=int, default=None)
@shared_options
@pass_context
def build(context: Context, filters: str, max_rows: int | None) -> None:
    """Build a dataset from what is stored."""
    try:
        wanted: dict[str, Any] = json.loads(filters)
    except ValueError as error:
        raise ThumbwheelError("bad_filters", f"--filters is not JSON: {error}", "Write a JSON object.") from error
    if max_rows is not None:
        wanted["max_rows"] = max_rows
    manifest = data_api(context.settings, context.project).post("/api/v1/datasets", wanted)
    context.result(manifest, f"Built {manifest['dataset_id']}: {json.dumps(manifest['counts'])}")


@dataset.command("list")
@shared_options
@pass_context
def list_datasets(context: Context) -> None:
    """List datasets."""
    rows = data_api(context.settings, context.project).items("/api/v1/datasets")
    for row in rows:
        row["rows"] = json.dumps(row.get("counts"))
    context.table(rows, ("dataset_id", "rows", "parent"), "No datasets yet. Build one: thumbwheel dataset build")


@dataset.command("show")
@click.argument("dataset_id")
@shared_options
@pass_context
def show(context: Context, dataset_id: str) -> None:
    """Show a dataset's manifest."""
    from processor.datasets import show_dataset

    context.result(show_dataset(context.settings, context.project, dataset_id))


@dataset.command("diff")
@click.argument("left")
@click.argument("right")
@shared_options
@pass_context
def diff(context: Context, left: str, right: str) -> None:
    """Compare two datasets."""
    from processor.datasets import diff_datasets

    context.result(diff_datasets(context.settings, context.project, left, right))


@click.command()
@click.argument("subject")
@shared_options
@pass_context
def lineage(context: Context, subject: str) -> None:
    """Show what came from, or led to, an event, interaction, dataset, run or adapter."""
    context.result(data_api(context.settings, context.project).get(f"/api/v1/lineage/{subject}"))


@click.command()
@click.argument("row")
@shared_options
@pass_context
def why(context: Context, row: str) -> None:
    """Show every stage a row passed: what was shown, who said what, what dropped it, where it trained.

    ROW is the id of a pair, a demonstration or an unpaired row, as the page of pairs and a dataset have it.
    """
    found = data_api(context.settings, context.project).get(f"/api/v1/why/{row}")
    context.result(found, "\n".join(_stages(found)))


def _stages(found: dict[str, Any]) -> list[str]:
    """Return every stage of a row, a line each."""
    row, event = found["row"], found["event"] or {}
    verdict = "trains" if row["trainable"] else f"does not train: {_spaced(row['why_not'])}"
    lines = [
        f"{found['table']} {row['row_id']} {verdict}",
        f"shown           {(found['interaction'] or {}).get('prompt_text') or '(no text)'}",
        f"said            {event.get('type')} of {event.get('actor_kind')} {row['actor_id']}, "
        f"{_spaced(event.get('state'))}",
    ]  # fmt: skip
    for one in found["others"]:
        lines.append(f"others          {one['actor_id']} says {'the same' if one['agrees'] else 'the contrary'}")
    for one in found["answers"]:
        value = json.dumps(one["value"], ensure_ascii=False)
        lines.append(f"answer          {one['label']} = {value} of {one['actor_id']}, {_spaced(one['state'])}")
    for one in found["reviews"]:
        lines.append(f"decision        {one['kind']} {one['verdict'] or ''} of {one['actor_id']}")
    for name in ("datasets", "runs", "adapters"):
        held = ", ".join(one[f"{name[:-1]}_id"] for one in found[name])
        lines.append(f"{name:<16}{held or 'none'}")
    return lines


def _spaced(code: object) -> str:
    return str(code).replace("_", " ")


COMMANDS = (import_, export, dataset, lineage, why)
