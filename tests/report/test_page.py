import re
from html.parser import HTMLParser

import numpy as np
import pytest

from idc_jax.data.base import Skipped
from idc_jax.errors import UserError
from idc_jax.report import ReportOptions, write_report
from tests.report import runs

NO_MAP = ReportOptions(draw_map=False)
VOID = {"meta", "img", "br", "source", "path", "circle"}


class Balance(HTMLParser):
    """Tracks open tags, so that a page with a forgotten end tag fails."""

    def __init__(self):
        super().__init__()
        self.open = []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag


def render(tmp_path, run, options=NO_MAP):
    page = write_report(tmp_path, **run, options=options).read_text()
    balance = Balance()
    balance.feed(page)
    assert not [tag for tag in balance.open if tag not in ("dt", "dd")]
    return page


def text_of(page):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page))


def test_headline_says_what_the_answers_bought(tmp_path):
    run = runs.make_run()
    page = render(tmp_path, run)
    before, after = run["result"]["initial"]["acc"], run["result"]["final"]["acc"]
    # Three were asked, one was skipped.
    assert f"2 answers took accuracy from {before:.2f} to {after:.2f}</h1>" in page


def test_page_is_self_contained(tmp_path):
    page = render(tmp_path, runs.make_run())
    sources = re.findall(r'(?:src|srcset|href)="([^"]*)"', page)
    assert sources
    assert all(source.startswith(("data:", "#")) for source in sources)
    assert list(tmp_path.iterdir()) == [tmp_path / "report.html"]


def test_loss_of_accuracy_is_said(tmp_path):
    run = runs.make_run()
    result = run["result"]
    result["initial"], result["final"] = result["final"], result["initial"]
    assert "2 answers: accuracy fell from" in render(tmp_path, run)


def test_without_labels(tmp_path):
    page = render(tmp_path, runs.make_run(labelled=False))
    assert re.search(r"2 answers moved \d+ of 60 samples to another cluster</h1>", page)
    assert "Confusion matrix" not in page
    assert "NMI" not in page
    assert "mean confidence" in page


@pytest.mark.parametrize("kind", ["images", "features"])
def test_labels_known_in_part(tmp_path, kind):
    run = runs.make_run(kind=kind)
    labels = run["dataset"].labels.copy()
    labels[::2] = -1
    run["dataset"] = run["dataset"]._replace(labels=labels)
    page = render(tmp_path, run, ReportOptions())
    # Of the samples 4, 5 and 6 only 5 has a label: 29 of 30 known ones were never asked about.
    assert "final, the 29 samples never asked about" in page
    assert "thing -1" not in page


def test_labels_all_unknown_are_no_labels(tmp_path):
    run = runs.make_run(labelled=False)
    run["dataset"] = run["dataset"]._replace(labels=np.full(60, -1, np.int32))
    assert "Confusion matrix" not in render(tmp_path, run)


def test_no_questions(tmp_path):
    page = render(tmp_path, runs.make_run(rounds=[]))
    assert "No answers took accuracy" in page
    assert "nobody was asked" in page


def test_one_cluster(tmp_path):
    run = runs.make_run(n=12, clusters=1)
    page = render(tmp_path, run, ReportOptions())
    assert "2 answers left accuracy at 1.000" in page
    assert "1 cluster." in text_of(page)


def test_a_hundred_classes(tmp_path):
    options = ReportOptions(draw_map=False, clusters=100, images=1)
    page = render(tmp_path, runs.make_run(n=400, clusters=100), options)
    assert page.count('class="card cluster"') == 100
    assert "76 more clusters" in page


def test_features_are_shown_by_name_and_neighbours(tmp_path):
    page = render(tmp_path, runs.make_run(kind="features"))
    assert 'class="thumb' not in page
    assert re.search(r"\d+ × class thing \d", page)


def test_features_without_labels_show_the_neighbours_clusters(tmp_path):
    page = render(tmp_path, runs.make_run(kind="features", labelled=False))
    assert re.search(r"\d+ × cluster \d", page)


def test_map_rings_the_picks(tmp_path):
    options = ReportOptions(map_points=40)
    page = text_of(render(tmp_path, runs.make_run(), options))
    assert "40 of 60 samples drawn at random" in page
    assert "Rings: the 3 samples asked about" in page


def test_gallery_marks_the_choice_and_says_none_and_skip(tmp_path):
    page = render(tmp_path, runs.make_run())
    assert page.count('class="thumb chosen"') == 1
    cards = re.findall(r'<article class="card question">.*?</article>', page, re.S)
    assert [text_of(card).split()[2:4] for card in cards] == [
        ["cluster", "1"],
        ["none", "of"],
        ["skipped", "thing"],
    ]


def test_gallery_is_capped_and_says_so(tmp_path):
    rounds = [runs.label_round(r, [10 * r, 10 * r + 1], [0, 1]) for r in (1, 2, 3)]
    options = ReportOptions(draw_map=False, questions=4)
    page = text_of(render(tmp_path, runs.make_run(rounds=rounds), options))
    assert "4 of 6 shown" in page
    # The best of every round, then the second best of the first.
    shown = re.findall(r"round (\d) · question (\d)", page)
    assert shown == [("1", "1"), ("1", "2"), ("2", "1"), ("3", "1")]


def test_pairs_show_both_samples(tmp_path):
    rounds = [runs.pair_round(1, [[0, 3], [1, 2]], [1, 0])]
    page = render(tmp_path, runs.make_run(rounds=rounds))
    cards = re.findall(r'<article class="card question">.*?</article>', page, re.S)
    assert [card.count("<img") for card in cards] == [2, 2]
    assert "same" in cards[0]
    assert "different" in cards[1]
    # Same or different gives no class to write over a sample.
    assert "set to the truth" not in page


def test_skipped_files_are_named_and_escaped(tmp_path):
    skipped = [Skipped("a<b>.png", "truncated"), Skipped("c.png", "not an image")]
    page = render(tmp_path, runs.make_run(skipped=skipped))
    assert (
        "2 left out:</b> 1 .png: a&lt;b&gt;.png (truncated); 1 .png: c.png (not an image)" in page
    )
    assert "a&lt;b&gt;.png" in page
    assert "truncated" in page


def test_collapse_is_warned_of(tmp_path):
    run = runs.make_run()
    run["final_probabilities"] = np.tile([1.0, 0.0, 0.0], (60, 1))
    assert "only 1 of 3 clusters are alive" in text_of(render(tmp_path, run))


def test_the_annotator_and_the_run_are_stated(tmp_path):
    page = text_of(render(tmp_path, runs.make_run()))
    assert "simulated annotator that knows the labels (oracle exemplar, error rate 0.25)" in page
    assert "jax 1.2.3" in page
    assert "2.5 in all" in page


def test_learning_curve_needs_three_rounds(tmp_path):
    run = runs.make_run(rounds=[runs.label_round(r, [r], [0]) for r in (1, 2)])
    assert "Metrics by questions asked" not in render(tmp_path, run)
    entries = run["result"]["rounds"]
    entries.append({"round": 2, "questions": 2, "metrics": run["result"]["final"]})
    assert "Metrics by questions asked" in render(tmp_path, run)


def test_what_was_expected_is_told(tmp_path):
    run = runs.make_run()
    assert "What to expect" not in render(tmp_path, run)
    outlook = {"accuracy": 0.5812, "gain": 0.024, "further": 50}
    run["result"]["rounds"][1]["outlook"] = outlook
    page = text_of(render(tmp_path, run))
    assert "0.581" in page
    assert "+0.024 with 50 more answers" in page


def test_ranges_advice_and_candidates_are_told(tmp_path):
    run = runs.make_run()
    told = "Expected: 58 % (51 to 64) right, 3 groups. Go on: 150 more answers."
    expected = {"accuracy": 0.58, "accuracy_low": 0.51, "accuracy_high": 0.64, "told": told}
    groups = {"groups": 3.0, "groups_low": 3.0, "groups_high": 4.0}
    gain = {"gain": 0.02, "gain_low": -0.01, "gain_high": 0.05, "further": 150}
    run["result"]["rounds"][1]["outlook"] = expected | groups | gain
    assert "How many groups?" not in render(tmp_path, run)
    run["result"]["candidates"] = {"numbers": [2, 3, 5], "stability": [0.61, 0.97, 0.5]}
    page = text_of(render(tmp_path, run))
    for shown in (
        "0.580 (0.510 to 0.640)",
        "3 (3 to 4)",
        "+0.020 (-0.010 to +0.050)",
        told,
        "0.97",
    ):
        assert shown in page


def test_arrays_that_do_not_belong_together(tmp_path):
    run = runs.make_run()
    run["embeddings"] = run["embeddings"][:-1]
    with pytest.raises(UserError, match="one row per sample"):
        write_report(tmp_path, **run)
    assert not list(tmp_path.iterdir())


def test_where_people_disagreed_is_told(tmp_path):
    run = runs.make_run()
    run["result"]["disagreement"] = {
        "questions": 3,
        "disputed": 1,
        "people": {"Ann": {"answers": 3, "agreed": 1.0}, "<Bob>": {"answers": 3, "agreed": 2 / 3}},
        "examples": [{"round": 1, "position": 1, "votes": {"Ann": 1, "<Bob>": "none"}, "fused": 1}],
    }
    page = render(tmp_path, run)
    assert "<Bob>" not in page
    text = text_of(page)
    assert "did not all agree on 1 of them" in text
    assert "&lt;Bob&gt; 3 67 %" in text
    assert "1 2 Ann: 1, &lt;Bob&gt;: none 1" in text
