"""A whole run on the digits, answered at the page, against the same run with the same answers."""

import contextlib
import csv
import json
import threading
import urllib.request

import numpy as np
import pytest
from browsing import WAIT_SECONDS, free_port, until

from configs import digits
from idc_jax.annotate import NONE_OF_THESE, Store
from idc_jax.runs import compose
from idc_jax.runs.compose import run_experiment

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def small_config(**annotator):
    config = digits.get_config()
    config.budget = 12
    config.pretrain.epochs = config.finetune.epochs = 2
    config.idc.head_steps = 5
    config.progress = config.report.map = False
    config.annotator.update(annotator)
    return config


def start(config, workdir):
    """Run beside the browser, whose event loop has the thread of the test."""
    failed = []

    def run():
        try:
            run_experiment(config, workdir)
        except Exception as error:
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()

    def end():
        thread.join(3 * WAIT_SECONDS)
        assert failed == []
        assert (workdir / "result.json").exists()

    return end


def outcome(workdir):
    with Store(workdir / "answers.db") as store:
        questions = store.questions(1)
        choice = {row.position: row.choice for row in store.live(1)}
    result = json.loads((workdir / "result.json").read_text())
    return questions, choice, result


def table(workdir):
    with (workdir / "assignments.csv").open() as file:
        return list(csv.DictReader(file))


def is_served(url):
    with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=10) as reply:
        return reply.status == 200
    return False


def test_the_page_ends_where_the_simulated_annotator_ends(tmp_path, visit, monkeypatch):
    simulated, answered = tmp_path / "simulated", tmp_path / "answered"
    start(small_config(), simulated)()
    questions, truth, expected = outcome(simulated)
    by_sample = {int(sample): truth[place] for place, sample in enumerate(questions.indices)}

    seen, write = threading.Event(), compose.write_outcome

    def write_once_seen(*args):
        assert seen.wait(WAIT_SECONDS)
        return write(*args)

    monkeypatch.setattr(compose, "write_outcome", write_once_seen)
    port = free_port()
    end = start(small_config(kind="page", port=port), answered)
    url = f"http://127.0.0.1:{port}/"
    until(lambda: is_served(url), "the page")
    ann = visit(url)
    for place in range(questions.count):
        ann.see()
        (sample,) = ann.shown()
        right = by_sample[sample]
        offered = questions.candidates[place].tolist()
        ann.press("n" if right == NONE_OF_THESE else "abcde"[offered.index(right)])
    ann.page.wait_for_selector("text=All 12 questions are answered")
    ann.page.keyboard.press("Enter")
    ann.page.wait_for_selector("text=The report is being written")
    seen.set()
    ann.page.click("text=Close for everyone")
    ann.page.wait_for_selector("text=The run is over")
    end()

    asked, given, result = outcome(answered)
    np.testing.assert_array_equal(asked.indices, questions.indices)
    np.testing.assert_array_equal(asked.candidates, questions.candidates)
    assert given == truth
    for moment in ("initial", "final", "best"):
        assert result[moment] == expected[moment]
    assert result["questions"] == expected["questions"]
    wanted, got = (table(at) for at in (simulated, answered))
    for one, other in zip(got, wanted, strict=True):
        # On a busy machine sums are not always taken in one order.
        assert float(one.pop("confidence")) == pytest.approx(
            float(other.pop("confidence")), abs=1e-4
        )
        assert one == other
    check_totals(answered)


def check_totals(workdir):
    """Every line of a training says how far it is, and the last one that it is through."""
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    epochs = [
        (line["pretrain/epoch"], line["pretrain/epochs"])
        for line in lines
        if line["phase"] == "pretrain"
    ]
    assert epochs == [(1, 2), (2, 2)]
    steps = [(line["step"], line["steps"]) for line in lines if line["phase"] == "finetune"]
    assert steps
    assert all(0 < step <= total for step, total in steps)
    assert steps[-1][0] == steps[-1][1]
