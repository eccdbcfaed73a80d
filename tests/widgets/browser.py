"""A browser and a JupyterLab for tests: the system's Chromium, else Playwright's own."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from playwright.sync_api import Browser, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
TOKEN = "tests"


def find_browser() -> tuple[str, str]:
    """(path of a Chromium, "") or ("", why there is none)."""
    for name in NAMES:
        if found := shutil.which(name):
            return found, ""
    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
    if Path(own).exists():
        return own, ""
    return "", "no Chromium: apt-get install chromium"


@contextmanager
def open_browser() -> Iterator[Browser]:
    """A headless Chromium."""
    path, reason = find_browser()
    if not path:
        raise RuntimeError(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


class Lab:
    """A JupyterLab over a folder, as a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self.port = found.getsockname()[1]
        home = folder / ".home"
        settings = home / "lab" / "@jupyterlab"
        (settings / "apputils-extension").mkdir(parents=True)
        self._settings = settings / "apputils-extension"
        self._set("notification", {"fetchNews": "false", "checkForUpdates": False})
        environment = {
            **os.environ,
            "JUPYTER_CONFIG_DIR": str(home),
            "JUPYTERLAB_SETTINGS_DIR": str(home / "lab"),
            "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
            "IPYTHONDIR": str(home / "ipython"),
            "OMP_NUM_THREADS": "1",
        }
        command = [sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root", f"--port={self.port}"]
        command += [f"--IdentityProvider.token={TOKEN}", f"--ServerApp.root_dir={folder}", "--ServerApp.port_retries=0"]
        command += ["--expose-app-in-browser"]
        self.log = (folder / "lab.log").open("w")
        self._process = subprocess.Popen(command, env=environment, stdout=self.log, stderr=self.log)
        self._wait()

    def url(self, notebook: str) -> str:
        """The address of a notebook."""
        return f"http://127.0.0.1:{self.port}/lab/tree/{notebook}?reset&token={TOKEN}"

    def set_theme(self, name: str) -> None:
        """The theme of pages that are loaded from now on."""
        self._set("themes", {"theme": name})

    def hand_over(self, notebook: str) -> bool:
        """Give the kernel that runs to another notebook, which is not open yet; return whether there is one."""
        sessions = json.loads(self.ask("api/sessions"))
        if len(sessions) != 1:
            self.end_sessions()
            return False
        moved = {"path": notebook, "name": notebook.rpartition("/")[2], "type": "notebook"}
        self.ask(f"api/sessions/{sessions[0]['id']}", "PATCH", json.dumps(moved).encode())
        return True

    def end_sessions(self) -> None:
        """End all kernels; one that is just being restarted cannot be ended until it has."""
        for session in json.loads(self.ask("api/sessions")):
            for _ in range(60):
                try:
                    self.ask(f"api/sessions/{session['id']}", "DELETE")
                    break
                except HTTPError as error:
                    if error.code == 404:
                        break
                    time.sleep(1)

    def close(self) -> None:
        """End the kernels and the server, which may hang on a kernel that is starting; that ends with it."""
        with suppress(OSError):
            self.end_sessions()
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self.log.close()

    def _set(self, name: str, values: dict[str, Any]) -> None:
        (self._settings / f"{name}.jupyterlab-settings").write_text(json.dumps(values))

    def ask(self, path: str, method: str = "GET", body: bytes | None = None) -> bytes:
        """What the server answers, as a program asks it."""
        address, headers = f"http://127.0.0.1:{self.port}/{path}", {"Authorization": f"token {TOKEN}"}
        with urlopen(Request(address, body, headers, method=method), timeout=60) as answer:
            return answer.read()

    def _wait(self, seconds: float = 90) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                self.ask("api/status")
                return
            except OSError:
                time.sleep(0.05)
        raise TimeoutError("JupyterLab did not start; see lab.log")
