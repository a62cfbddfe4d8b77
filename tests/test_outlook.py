"""What a method expects, as people are told it."""

from idc_jax.runs.answering import announce
from idc_jax.runs.outlook import in_words, outlook

INFO = {"answered": 100.0, "expected_accuracy": 0.5811, "expected_gain_of_50": 0.024}


def test_the_outlook_of_what_was_learned():
    expected = outlook(INFO)
    assert expected == {"accuracy": 0.5811, "gain": 0.024, "further": 50}
    assert in_words(expected) == "expected acc 0.581, +0.024 with 50 more answers"


def test_methods_that_expect_nothing():
    assert outlook({}) is None
    assert outlook({"loss": 1.0, "expected_accuracy": 0.5}) is None


def test_the_line_of_a_round_tells_it(capsys):
    round_ = {"round": 2, "questions": 100, "metrics": {"acc": 0.6}, "health": {}}
    announce("evaluated", round_ | {"outlook": outlook(INFO)})
    announce("evaluated", round_ | {"outlook": None})
    told, plain = capsys.readouterr().out.splitlines()
    assert plain == "round 2,  100 questions: acc 0.600"
    assert told == f"{plain}  (expected acc 0.581, +0.024 with 50 more answers)"
