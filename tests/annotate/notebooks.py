"""A real JupyterLab, with everything that it keeps in a folder of its own."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import urllib.request

import nbformat
from browsing import ROOT, WAIT_SECONDS, free_port, until

TOKEN = "secret"
# Neither news nor updates: nothing is fetched from anywhere.
SETTINGS = {"notification": {"fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": True}}


class Lab:
    """JupyterLab on this machine, showing one notebook of the given cells."""

    def __init__(self, folder, cells, *, theme="JupyterLab Light"):
        home, self.work = folder / "home", folder / "work"
        self.work.mkdir(parents=True)
        notebook = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(cell) for cell in cells],
            # Or it asks which.
            metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
        )
        nbformat.write(notebook, self.work / "ask.ipynb")
        settings = home / "settings" / "@jupyterlab" / "apputils-extension"
        settings.mkdir(parents=True)
        for name, values in (SETTINGS | {"themes": {"theme": theme}}).items():
            (settings / f"{name}.jupyterlab-settings").write_text(json.dumps(values))
        self._port = free_port()
        self._log = (folder / "lab.log").open("w")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
            + [f"--port={self._port}", "--ServerApp.port_retries=0", "--ip=127.0.0.1"]
            + [f"--IdentityProvider.token={TOKEN}", f"--ServerApp.root_dir={self.work}"],
            stdout=self._log,
            stderr=subprocess.STDOUT,
            env=os.environ
            | {"PYTHONPATH": f"{ROOT}:{ROOT}/tests/annotate", "HOME": str(home), "IPYTHONDIR": str(home / "ipython")}
            | {"JUPYTER_CONFIG_DIR": str(home / "config"), "JUPYTER_DATA_DIR": str(home / "data")}
            | {"JUPYTERLAB_SETTINGS_DIR": str(home / "settings")}
            | {"JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces")},
        )
        self.url = f"http://127.0.0.1:{self._port}/lab/tree/ask.ipynb?token={TOKEN}"

    def wait(self):
        """Until it serves pages."""
        until(self._serves, "JupyterLab")
        return self

    def _serves(self):
        assert self._process.poll() is None, "JupyterLab ended; see lab.log"
        with contextlib.suppress(OSError):
            return urllib.request.urlopen(f"http://127.0.0.1:{self._port}/api", timeout=10)

    def open(self, page):
        """Open the notebook in ``page``, and run its cells."""
        page.set_default_timeout(1000 * WAIT_SECONDS)
        page.goto(self.url)
        page.get_by_text("| Idle").wait_for()  # before that, nothing is run
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_role("menuitem", name="Run All Cells", exact=True).click()

    def close(self):
        self._process.terminate()
        self._process.wait(WAIT_SECONDS)
        self._log.close()
