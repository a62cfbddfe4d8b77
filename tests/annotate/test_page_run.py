"""A whole run on the digits, answered at the page, against the same run with the same answers."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from browsing import ROOT, free_port

from idc_jax.annotate import NONE_OF_THESE, Store

pytestmark = [pytest.mark.browser, pytest.mark.slow]

COMMAND = [
    sys.executable,
    str(ROOT / "launch.py"),
    f"--config={ROOT}/configs/digits.py",
    "--config.budget=12",
    "--config.pretrain.epochs=2",
    "--config.finetune.epochs=2",
    "--config.idc.head_steps=5",
    "--config.report.map=False",
    "--config.progress=False",
]


def launch(workdir, *flags):
    return subprocess.Popen(
        [*COMMAND, f"--workdir={workdir}", *flags],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"},
    )


def outcome(workdir):
    with Store(workdir / "answers.db") as store:
        questions = store.questions(1)
        choice = {row.position: row.choice for row in store.live(1)}
    result = json.loads((workdir / "result.json").read_text())
    return questions, choice, result


def test_the_page_ends_where_the_simulated_annotator_ends(tmp_path, visit):
    simulated, answered = tmp_path / "simulated", tmp_path / "answered"
    assert launch(simulated).wait(timeout=300) == 0
    questions, truth, expected = outcome(simulated)
    by_sample = {int(sample): truth[place] for place, sample in enumerate(questions.indices)}

    flags = ["--config.annotator.kind=page", f"--config.annotator.port={free_port()}"]
    run = launch(answered, *flags)
    try:
        url = next(word for line in run.stdout for word in line.split() if word.startswith("http"))
        ann = visit(url)
        for place in range(questions.count):
            ann.page.wait_for_selector(".question", timeout=120_000)
            (sample,) = ann.shown()
            right = by_sample[sample]
            offered = questions.candidates[place].tolist()
            ann.press("n" if right == NONE_OF_THESE else "abcde"[offered.index(right)])
        ann.page.wait_for_selector("text=All 12 questions are answered")
        ann.page.keyboard.press("Enter")
        ann.page.wait_for_selector("text=The run is over", timeout=120_000)
        assert run.wait(timeout=120) == 0
    finally:
        run.kill()

    asked, given, result = outcome(answered)
    np.testing.assert_array_equal(asked.indices, questions.indices)
    np.testing.assert_array_equal(asked.candidates, questions.candidates)
    assert given == truth
    for moment in ("initial", "final", "best"):
        assert result[moment] == expected[moment]
    assert result["questions"] == expected["questions"]
    wanted, got = ((at / "assignments.csv").read_text() for at in (simulated, answered))
    assert got == wanted
