"""How far a campaign goes past its quota: real collector, processor and Python SDK, on the embedded log.

    python -m bench.quota [--quota 500] [--answers 50] [--clients 4]

In: a campaign with a quota; `--clients` clients of the SDK, each with its own memory, ask whether to ask about one
interaction after another and send a thumb whenever the answer is yes, `--answers` a second in all. Out: the seconds
between the answer that filled the quota and the last question, and how many answers came after it. The guide says two
minutes (docs/guides/campaigns.md); a client keeps what it was told for one of them. Takes about a minute and a half.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from thumbwheel import Client

from bench.serving import Collector, free_port, running, running_collector
from control_store.campaigns import Campaigns, Rule
from control_store.control import Control

STATED_S = 120.0
# Nobody asks any more once no client was told to for so long.
QUIET_S = 30.0


@dataclass
class Asked:
    """When each answer was asked for, in monotonic seconds, over all clients."""

    times: list[float] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self) -> None:
        """Note one."""
        with self.lock:
            self.times.append(time.monotonic())

    def quiet(self) -> bool:
        """Say whether there were some, and none for a while."""
        with self.lock:
            return bool(self.times) and time.monotonic() - self.times[-1] > QUIET_S


def answer(collector: Collector, number: int, pause_s: float, asked: Asked, stopping: threading.Event) -> None:
    """Ask and answer until told to stop."""
    client = Client(f"http://127.0.0.1:{collector.port}", collector.text, actor={"id": f"u-{number}"})
    count = 0
    while not stopping.wait(pause_s):
        count += 1
        turn = f"turn-{number}-{count}"
        campaign = client.campaign(turn)
        if campaign is not None:
            asked.add()
            client.thumb(turn, "c", "up", campaign=campaign["campaign_id"])
    client.shutdown(5.0)


def measure(quota: int, answers: float, clients: int) -> Asked:
    """Run until nobody is asked any more."""
    asked, stopping = Asked(), threading.Event()
    with tempfile.TemporaryDirectory(prefix="quota-") as folder:
        home = Path(folder)
        env = os.environ | {
            "THUMBWHEEL_HOME": folder, "THUMBWHEEL_CONSOLE_BIND": f"127.0.0.1:{(port := free_port())}",
            "THUMBWHEEL_EMBEDDER": "none",
        }  # fmt: skip
        with (
            running_collector(home) as collector,
            running([sys.executable, "-m", "processor"], port, env, seconds=60, says=False),
        ):
            control = Control.open(f"sqlite:///{home / 'control.db'}")
            Campaigns(control.engine).create("default", Rule(name="all", surface="chat", quota=quota), "bench")
            control.close()
            # A collector knows of it a few seconds later.
            time.sleep(6)
            threads = [
                threading.Thread(target=answer, args=(collector, n, clients / answers, asked, stopping), daemon=True)
                for n in range(clients)
            ]
            for thread in threads:
                thread.start()
            while not asked.quiet():
                time.sleep(1)
            stopping.set()
            for thread in threads:
                thread.join(10)
    return asked


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quota", type=int, default=500)
    parser.add_argument("--answers", type=float, default=50.0)
    parser.add_argument("--clients", type=int, default=4)
    given = parser.parse_args()
    times = measure(given.quota, given.answers, given.clients).times
    over = len(times) - given.quota
    seconds = times[-1] - times[given.quota - 1] if over >= 0 else 0.0
    print(f"quota {given.quota}, about {given.answers:g} answers/s: {len(times)} asked, {over} past the quota, "
          f"the last {seconds:.0f} s after it (stated: {STATED_S:.0f} s)")  # fmt: skip


if __name__ == "__main__":
    main()
