"""In: settings and a project. Out: the data API of the `up` that runs in this home, or of THUMBWHEEL_CONSOLE_URL."""

from __future__ import annotations

from cli.home import find_running
from runtime.data_api import Api, find_service_key
from runtime.settings import Settings


def data_api(settings: Settings, project: str) -> Api:
    """Return the client; raises SettingsError where no service key is known."""
    running = find_running(settings.home)
    url = settings.console_url or (running or {}).get("console") or settings.console_bind.url
    return Api(url, find_service_key(settings), project)
