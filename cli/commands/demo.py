"""demo: the wheel turns by itself."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from cli.context import Context, pass_context, shared_options
from contract.errors import ThumbwheelError
from runtime.settings import Settings

if TYPE_CHECKING:
    from cli.demo.raters import Person

COMPARE_NEEDED = 96
# How long a service of the stack may take to come back before the demo gives up.
RESTART_SECONDS = 90.0


@click.command()
@click.option("--turns", default=1, show_default=True, type=click.IntRange(1, 100), help="How often the wheel turns.")
@click.option("--interactions", default=160, show_default=True, type=click.IntRange(8, 10_000), help="Per turn.")
@click.option("--rater", default="concise", show_default=True, help="concise, polite, direct, or module:function.")
@click.option(
    "--raters", default=1, show_default=True, type=click.IntRange(1, 100), help="So many people rate, in turns."
)
@click.option(
    "--contrary", default=0, show_default=True, type=click.IntRange(0), help="So many of them prefer the opposite."
)
@click.option("--base", default=None, help="Base model: demo, a folder, or a Hugging Face id.")
@click.option("--prompts", type=click.Path(path_type=Path), default=None, help="JSON list of strings, or one a line.")
@click.option("--max-tokens", default=80, show_default=True, type=click.IntRange(8, 1024), help="Longest reply.")
@click.option("--seed", default="0", show_default=True, help="Which prompts, and the rater's chance.")
@shared_options
@pass_context
def demo(
    context: Context, turns: int, interactions: int, rater: str, raters: int, contrary: int, base: str | None,
    prompts: Path | None, max_tokens: int, seed: str,
) -> None:  # fmt: skip
    """Turn the wheel unattended with simulated raters, in the project demo."""
    from cli.demo.prompts import load_prompts
    from cli.demo.raters import find_people
    from cli.demo.report import terminal_lines, write_html
    from cli.demo.turn import TRAIN_SHARE, Wheel

    people = find_people(rater, raters, contrary)
    train = round(interactions * TRAIN_SHARE)
    small = interactions < 160
    texts = load_prompts(prompts, train, interactions - train if small else max(interactions - train, COMPARE_NEEDED))
    settings = replace(context.settings, base_model=base) if base else context.settings
    with (
        _running(context, settings) as services,
        _bars(context) as track,
        services.desk(people, max_tokens) as desk,
    ):
        wheel = Wheel(desk, texts, interactions, f"{rater}/{seed}", track, context.say)
        reports = []
        for number in range(1, turns + 1):
            reports.append(wheel.turn(number))
            context.say(f"Turn {number}: {reports[-1].decision} {reports[-1].reason}")
        comparison = wheel.compare()
    path = settings.home / "reports" / f"demo-{time.strftime('%Y%m%d-%H%M%S')}.html"
    write_html(path, f"Thumbwheel demo: rater {rater}", reports, comparison)
    body = {"turns": [asdict(report) for report in reports], "comparison": comparison, "report": str(path)}
    context.result(body, "\n".join([*terminal_lines(reports, comparison), "", f"Report with charts: {path}"]))


class Services:
    """Where the demo's services are and how it talks to them."""

    def __init__(self, settings: Settings, addresses: dict[str, Any]) -> None:
        from cli.home import DEMO_PROJECT, read_dev_keys
        from runtime.data_api import Api

        keys = read_dev_keys(settings.home)
        if keys is None:
            raise ThumbwheelError("no_key", f"{settings.home} has no dev.toml.", "Run `thumbwheel up` once.")
        self._keys = keys
        self._collector = addresses["collector"]
        self._path = settings.collector_path
        self._gateway = Api(addresses["gateway"], keys.demo_secret, DEMO_PROJECT)
        self._data = Api(
            addresses["console"], settings.service_key or keys.service, DEMO_PROJECT, patience_s=RESTART_SECONDS
        )

    @contextmanager
    def desk(self, people: Sequence[Person], max_tokens: int) -> Iterator[Any]:
        """Yield the desk that collects picks; its SDK client is flushed at the end."""
        import thumbwheel

        from cli.demo.collect import Desk

        client = thumbwheel.Client(
            self._collector, self._keys.demo_secret, actor=people[0].actor, source="demo", path=self._path
        )  # fmt: skip
        try:
            yield Desk(self._gateway, self._data, client, people, max_tokens)
        finally:
            client.shutdown(5.0)


@contextmanager
def _running(context: Context, settings: Settings) -> Iterator[Services]:
    """Use the `up` that runs in this home, or start one for the time of the demo."""
    from cli.home import find_running

    addresses = find_running(settings.home)
    if addresses:
        if settings.base_model != context.settings.base_model:
            raise ThumbwheelError("already_running", "An `up` with another base model runs here.", "Stop it first.")
        yield Services(settings, addresses)
        return
    import threading

    from cli.up import running

    context.say(f"No `thumbwheel up` runs in {settings.home}; starting one for the demo.")
    with running(settings, context.say) as (supervisor, _):
        if supervisor.stopping:
            raise click.Abort
        watcher = threading.Thread(target=supervisor.watch, daemon=True)
        watcher.start()
        try:
            with _ended_by_signal():
                yield Services(settings, find_running(settings.home) or {})
        finally:
            supervisor.stopping = True
            watcher.join()


@contextmanager
def _ended_by_signal() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end the block; what it started is stopped after it."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, signal.default_int_handler) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


@contextmanager
def _bars(context: Context) -> Iterator[Callable[[str, int], Callable[[int], None]]]:
    """Yield `track(text, total)`, which adds a progress bar and returns the function that advances it."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=context.console, disable=context.as_json) as progress:

        def track(text: str, total: int) -> Callable[[int], None]:
            task = progress.add_task(text, total=total)
            return lambda count: progress.advance(task, count)

        yield track


COMMANDS = (demo,)
