"""What a stranger sees first, and what is on the page of every group."""

import html
import json
import re

import numpy as np
from PIL import Image

from idc_jax.report import ReportOptions, write_report
from idc_jax.report.curves import training_panels
from idc_jax.report.figures import draw_curves
from idc_jax.report.palette import LIGHT
from tests.report import runs
from tests.report.test_page import render, text_of


def named_run(**options):
    rounds = [runs.label_round(1, [0, 1, 2, 3], [0, 1, 2, 0])]
    return runs.make_run(rounds=rounds, **options)


def test_it_says_what_was_sorted_into_what_how_surely_and_what_to_do(tmp_path):
    run = named_run(labelled=False)
    run["result"]["rounds"][1]["outlook"] = {"accuracy": 0.71, "gain": 0.024, "further": 50}
    run["final_probabilities"][0] = [0.4, 0.35, 0.25]
    page = render(tmp_path, run, ReportOptions(draw_map=False, answer_names=("cat", "dog", "owl")))
    text = text_of(page)
    assert "toy: 60 images in 3 groups" in text
    first = page[page.index("</header>") : page.index('id="groups"')]
    tiles = re.findall(r'<a class="tile".*?</a>', first, re.S)
    assert [text_of(tile).split()[0] for tile in tiles] == ["cat", "dog", "owl"]
    assert [tile.count("<img") for tile in tiles] == [3, 3, 3]
    assert "71% expected accuracy" in text_of(first)
    assert "1 unsure less than 50% sure" in text_of(first)
    assert "50 more answers are likely to bring 2.4 points" in first
    assert "--config.budget=54" in first
    assert f"python -m idc_jax export {tmp_path}" in first


def test_without_answers_it_says_how_to_give_some(tmp_path):
    page = render(tmp_path, runs.make_run(rounds=[], labelled=False))
    assert "--config.annotator.kind=page" in page
    assert "Cluster 0" in page


def test_every_member_is_on_the_page(tmp_path):
    run = named_run()
    page = render(tmp_path, run)
    found = re.findall(r'data-titles="(.*?)"', page)
    titles = [json.loads(html.unescape(one)) for one in found]
    own = run["final_probabilities"].argmax(1)
    shown = [sorted(int(title.split(" ")[0]) for title in one) for one in titles]
    assert shown == [np.flatnonzero(own == cluster).tolist() for cluster in range(3)]
    # The least sure first.
    confidence = [[float(title.rsplit(" ", 1)[1]) for title in one] for one in titles]
    assert all(one == sorted(one) for one in confidence)


def test_an_image_in_a_file_can_be_opened(tmp_path):
    run = named_run()
    path = tmp_path / "a photo.png"
    Image.new("RGB", (8, 8)).save(path)
    run["dataset"] = run["dataset"]._replace(names=(str(path),) * 60)
    page = render(tmp_path, run)
    assert f'data-file="{path.as_uri()}"' in page
    assert "--to=folders" in page


def test_one_number_means_one_cluster_on_every_map(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        "idc_jax.report.page.draw_map", lambda p, slots, texts, *_: drawn.append(texts) or b""
    )
    run = named_run()
    # As clusters are found: before any answer they had other numbers.
    run["initial_probabilities"] = run["initial_probabilities"][:, [1, 2, 0]]
    write_report(tmp_path, **run, options=ReportOptions(map_points=60))
    assert len(drawn) == 6
    assert all(texts == drawn[0] for texts in drawn)


def test_counts_have_whole_ticks(tmp_path):
    clusters = [8, 9, 9, 9]
    log = [{"phase": "pretrain", "live_clusters": n, "step": i} for i, n in enumerate(clusters)]
    picture = draw_curves(training_panels(log), "step", LIGHT).decode()
    ticks = re.findall(r"<!-- ([\d.]+) -->", picture)
    assert ticks
    assert all(float(tick).is_integer() and "." not in tick for tick in ticks)


def test_a_quantity_is_drawn_once():
    log = [{"phase": "a", "loss": 1 / i, "a/loss": 1 / i} for i in range(1, 5)]
    log += [{"phase": "evaluate", "acc": 0.1 * i, "live_clusters": 3} for i in range(4)]
    assert [title for title, _ in training_panels(log)] == ["a · loss"]
