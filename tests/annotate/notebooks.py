"""Real notebooks that show a session's widget; what they write is in a folder of their own."""

import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.request
from urllib.parse import urlsplit

from browsing import BOUNCE_SECONDS, ROOT, WAIT_SECONDS, Asked, free_port, until

TOKEN = "secret"
# Neither news nor updates: nothing is fetched from anywhere.
QUIET = {"fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": True}
SESSION = """
from idc_jax import Session, data
session = Session(data.load("digits", limit=120).inputs, 10)
session.save("kept")
session.widget(per_round=4)
"""


class Served:
    """A notebook's server on this machine."""

    def __init__(self, folder):
        self.home, self.work = folder / "home", folder / "work"
        self.work.mkdir(parents=True)
        self.home.mkdir()
        self._log, self._port = folder / "server.log", free_port()
        self.url = f"http://127.0.0.1:{self._port}/"

    def start(self, *command, **environment):
        """Run Python's module ``command``, until it serves pages."""
        # Whatever is there of the person's own is not touched.
        home = {"HOME": str(self.home), "XDG_CONFIG_HOME": str(self.home / "config")}
        path = {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests' / 'annotate'}"}
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *command, f"--port={self._port}"],
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.work,
                env=os.environ | home | path | environment,
            )
        until(self._serves, "the notebook's server")

    def _serves(self):
        assert self._process.poll() is None, f"it ended: {self._log.read_text()}"
        with contextlib.suppress(OSError):
            return urllib.request.urlopen(self.url, timeout=10)

    def close(self):
        self._process.terminate()
        self._process.wait(WAIT_SECONDS)


class Lab(Served):
    """JupyterLab, with one notebook of the given cells."""

    def __init__(self, folder, cells, *, theme="JupyterLab Light"):
        import nbformat

        super().__init__(folder)
        notebook = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(cell) for cell in cells],
            # Or it asks which.
            metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
        )
        nbformat.write(notebook, self.work / "ask.ipynb")
        settings = self.home / "settings" / "@jupyterlab" / "apputils-extension"
        settings.mkdir(parents=True)
        for name, values in {"notification": QUIET, "themes": {"theme": theme}}.items():
            (settings / f"{name}.jupyterlab-settings").write_text(json.dumps(values))
        self.start(
            *("jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1"),
            *("--ServerApp.port_retries=0", f"--IdentityProvider.token={TOKEN}"),
            IPYTHONDIR=str(self.home / "ipython"),
            JUPYTER_CONFIG_DIR=str(self.home / "config"),
            JUPYTER_DATA_DIR=str(self.home / "data"),
            JUPYTERLAB_SETTINGS_DIR=str(self.home / "settings"),
            JUPYTERLAB_WORKSPACES_DIR=str(self.home / "workspaces"),
        )

    def open(self, page):
        """Open the notebook in ``page``, and run its cells."""
        page.goto(f"{self.url}lab/tree/ask.ipynb?token={TOKEN}")
        page.get_by_text("| Idle").wait_for()  # before that, nothing is run
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_role("menuitem", name="Run All Cells", exact=True).click()


class Marimo(Served):
    """A marimo notebook of one cell, run as an app."""

    def __init__(self, folder, cell):
        super().__init__(folder)
        lines = "".join(f"    {line}\n" for line in cell.strip().splitlines())
        text = f"import marimo\n\napp = marimo.App()\n\n\n@app.cell\ndef _():\n{lines}    return\n"
        (self.work / "ask.py").write_text(text)
        self.start("marimo", "run", "ask.py", "--headless", "--no-token")

    def open(self, page):
        """Open the app in ``page``."""
        page.goto(self.url)


class Notebook:
    """Somebody at a notebook that is open in a browser."""

    def __init__(self, served, browser, **options):
        self.work = served.work
        self.page = browser.new_context(**options).new_page()
        self.page.set_default_timeout(1000 * WAIT_SECONDS)
        self.hosts, self.errors = set(), []
        self.page.on("request", lambda request: self.hosts.add(urlsplit(request.url).hostname))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        served.open(self.page)

    def asked(self, name):
        """What is in a store of the notebook's folder."""
        asked = Asked(self.work)
        asked.path = self.work / name
        return asked

    def press(self, *keys):
        for key in keys:
            self.page.keyboard.press(key)
            time.sleep(BOUNCE_SECONDS)

    def name_a_group(self, name):
        self.page.keyboard.type(name)
        self.press("Enter")

    def close(self):
        self.page.context.close()
        assert self.errors == []
        # Nothing was fetched from anywhere else; pictures are data and have no host.
        assert self.hosts <= {"127.0.0.1", None, ""}
