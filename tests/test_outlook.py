"""What a method expects, as people are told it."""

import pytest

from idc_jax.outlook import expected_gain
from idc_jax.runs.answering import announce
from idc_jax.runs.outlook import outlook

INFO = {
    "answered": 100.0,
    "classes_named": 10.0,
    "expected_accuracy": 0.5811,
    "expected_accuracy_low": 0.512,
    "expected_accuracy_high": 0.643,
    "expected_groups": 10.0,
    "expected_groups_low": 10.0,
    "expected_groups_high": 12.0,
}


def test_the_outlook_of_what_was_learned():
    told = outlook(INFO, 4.0)
    assert (told["accuracy"], told["accuracy_low"], told["accuracy_high"]) == (0.5811, 0.512, 0.643)
    assert (told["groups"], told["groups_high"], told["named"]) == (10, 12, 10)
    gain = expected_gain(0.5811, 100, 10, told["further"])
    assert (told["gain"], told["gain_low"], told["gain_high"]) == tuple(gain)
    assert told["go_on"]
    assert told["told"].startswith("Expected: 58 % (51 to 64) right, 10 groups (10 to 12). Go on: ")


def test_ten_minutes_hold_as_many_answers_as_people_take():
    assert outlook(INFO, 4.0)["further"] == 150
    assert outlook(INFO, 30.0)["further"] == 20


def test_about_as_good_as_it_gets():
    near = {"expected_accuracy": 0.999, "expected_accuracy_low": 0.99, "expected_accuracy_high": 1}
    told = outlook(INFO | near | {"answered": 2000.0}, 4.0)
    assert not told["go_on"]
    assert "This is about as good as it gets: 150 more answers" in told["told"]


def test_a_group_without_a_name_is_a_reason_to_go_on():
    near = {"expected_accuracy": 0.999, "answered": 2000.0, "expected_groups": 12.0}
    told = outlook(INFO | near, 4.0)
    assert told["go_on"]
    assert "about 2 groups seem to have no name yet" in told["reason"]


@pytest.mark.parametrize("info", [{}, {"loss": 1.0, "expected_accuracy": 0.5}])
def test_methods_that_expect_nothing(info):
    assert outlook(info, 4.0) is None


def test_the_line_of_a_round_tells_it(capsys):
    round_ = {"round": 2, "questions": 100, "metrics": {"acc": 0.6}, "health": {}}
    announce("evaluated", round_ | {"outlook": outlook(INFO, 4.0)})
    announce("evaluated", round_ | {"outlook": None})
    first, told, plain = capsys.readouterr().out.splitlines()
    assert first == plain == "round 2,  100 questions: acc 0.600"
    assert told == f"  {outlook(INFO, 4.0)['told']}"
