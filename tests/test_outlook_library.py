"""How good it is, how many groups there are, when to stop: any probabilities, any answers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit

from idc_jax.outlook import (
    FOUND,
    WANTED,
    Estimate,
    Trials,
    advise,
    candidates,
    expected_accuracy,
    expected_gain,
    no_trials,
    number_of_groups,
    seconds_per_answer,
    tried,
)
from idc_jax.outlook.accuracy import LINE, Line, Traits, accuracy_of

N = 2000


def predictions(rng: np.random.Generator, right: float, groups: int = 4) -> tuple:
    """Probabilities of one confidence, of which a share is right, and the truth."""
    truth = rng.integers(groups, size=N)
    wrong = (truth + rng.integers(1, groups, size=N)) % groups
    told = np.where(rng.random(N) < right, truth, wrong)
    probs = np.full((N, groups), 0.3 / (groups - 1), np.float32)
    probs[np.arange(N), told] = 0.7
    return probs, truth


def heard(truth: np.ndarray, count: int) -> np.ndarray:
    return np.where(np.arange(N) < count, truth, -1)


def test_trials_are_predictions_before_their_answers() -> None:
    probs = np.array([[0.8, 0.2], [0.4, 0.6], [0.9, 0.1]])
    trials = tried(no_trials(3), probs, np.array([0, 1, 2]), np.array([0, 0, -3]))
    np.testing.assert_allclose(trials.confidence, [0.8, 0.6, 0.0], atol=1e-6)
    np.testing.assert_array_equal(trials.right, [True, False, False])
    # What was entered stays as it was.
    again = tried(trials, probs, np.array([2]), np.array([0]))
    assert trials.confidence[2] == 0 < again.confidence[2]


def test_accuracy_by_hand() -> None:
    traits = Traits(sure=0.5, each=1.0, unnamed=0.1, tested=0.2, trials=2.0)
    height = LINE.start + 0.5 * LINE.sure + LINE.each + 0.1 * LINE.unnamed + 0.2 * LINE.tested
    reach = LINE.reach * np.exp(LINE.doubt + LINE.higher * height + 2 * LINE.tried)
    # A million samples leave nothing to luck; a tenth is known, of which 90 % agree.
    found = accuracy_of(traits, 90_000, 100_000, 1_000_000)
    ends = expit([height, height - reach, height + reach])
    np.testing.assert_allclose(found, 0.09 + 0.9 * ends, atol=2e-3)
    few = accuracy_of(traits, 9, 10, 100)
    assert few.low < found.low < found.value < found.high < few.high


def test_trials_draw_the_expectation_to_what_they_say() -> None:
    # Constants of its own: how trials count is looked at, not what was fitted to courses.
    line = Line(0.49, 0.62, 0.11, -3.28, 0.98, doubt=-0.34, higher=0.45, tried=-0.2, reach=1.59)
    found = {}
    for right in (0.4, 0.6, 0.8, 0.95):
        probs, truth = predictions(np.random.default_rng(0), right)
        choice = heard(truth, 300)
        trials = tried(no_trials(N), probs, np.arange(300), truth[:300])
        before = expected_accuracy(probs, choice, no_trials(N), line=line)
        found[right] = expected_accuracy(probs, choice, trials, line=line)
        assert found[right].high - found[right].low < before.high - before.low
    values = [estimate.value for estimate in found.values()]
    assert values == sorted(values)
    assert values[-1] - values[0] > 0.3


def test_later_trials_count_for_more() -> None:
    probs, _truth = predictions(np.random.default_rng(1), 0.7)
    wrong_first = np.where(np.arange(N) < 150, (probs.argmax(1) + 1) % 4, probs.argmax(1))
    trials = tried(no_trials(N), probs, np.arange(300), wrong_first[:300])
    choice = heard(wrong_first, 300)
    rounds = np.where(np.arange(N) < 150, 1, 2)
    later = expected_accuracy(probs, choice, trials, order=rounds)
    earlier = expected_accuracy(probs, choice, trials, order=3 - rounds)
    assert later.value > earlier.value + 0.02


def test_groups_without_a_name_lower_the_expectation() -> None:
    probs, truth = predictions(np.random.default_rng(2), 0.8)
    told = [expected_accuracy(probs, heard(truth, 40), no_trials(N), unnamed=u) for u in (0, 0.2)]
    assert told[1].value < told[0].value - 0.05


def test_what_is_answered_is_known() -> None:
    probs, truth = predictions(np.random.default_rng(3), 0.6)
    assert expected_accuracy(probs, truth, no_trials(N)).value == np.mean(probs.argmax(1) == truth)


def test_no_answers_and_no_samples_are_no_error() -> None:
    probs, _ = predictions(np.random.default_rng(4), 0.6)
    found = expected_accuracy(probs, np.full(N, -3), no_trials(N))
    assert 0 < found.low < found.value < found.high < 1
    empty = expected_accuracy(np.zeros((0, 3)), np.zeros(0, int), no_trials(0))
    assert tuple(empty) == (0.5, 0.0, 1.0)
    # One group, of which everything is: certain, and finite.
    one = expected_accuracy(np.ones((5, 1)), np.array([0, -1, -1, -1, -1]), no_trials(5))
    assert np.isfinite(one).all()


def test_gain_shrinks_with_the_answers_and_ends_at_perfection() -> None:
    gains = [expected_gain(0.7, answered, 10, 50) for answered in (20, 100, 500)]
    assert gains[0].value > gains[1].value > gains[2].value > 0
    assert all(gain.low < gain.value < gain.high for gain in gains)
    more = [expected_gain(0.7, 100, 10, further).value for further in (0, 10, 100, 1000)]
    assert more == sorted(more)
    assert tuple(expected_gain(0.7, 100, 10, 0)) == (0, 0, 0)
    assert expected_gain(1.0, 100, 10, 50).high == 0
    # Before the first answer there is nothing to go by.
    assert 0 < expected_gain(0.3, 0, 0, 50).value < 0.7


def test_error_falls_as_a_power_of_the_answers() -> None:
    # Twice 100 answers more come to as much as 200, whatever the power.
    once = expected_gain(0.7, 100, 100, 100).value
    left = 0.3 - once
    power = np.log(0.3 / left) / np.log(2)
    assert expected_gain(0.7, 100, 100, 300).value == pytest.approx(0.3 * (1 - 4**-power))


def test_number_of_groups_narrows_as_people_answer() -> None:
    rng = np.random.default_rng(0)
    said = rng.integers(10, size=500)
    widths = []
    for answers in (0, 20, 100, 500):
        found = number_of_groups(np.bincount(said[:answers], minlength=10), 17).estimate
        assert found.low <= 10 <= found.high
        widths.append(found.high - found.low)
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] == 0
    # Whoever wants a number is likelier to be right than what was found in the samples.
    wanted = number_of_groups(np.zeros(0, int), 17, spread=WANTED).estimate
    found = number_of_groups(np.zeros(0, int), 17, spread=FOUND).estimate
    assert found.low < wanted.low < 17 < wanted.high < found.high


def test_an_eleventh_group_is_never_too_many() -> None:
    found = number_of_groups(np.ones(40, int), 2)
    assert found.estimate.low >= 40
    assert found.unnamed > 0.2
    assert number_of_groups(np.full(40, 50), 2).unnamed < 1e-3
    # There are no more groups than samples.
    most = number_of_groups(np.ones(5, int), 4, limit=5)
    assert tuple(most.estimate) == (5, 5, 5)
    assert most.unnamed == pytest.approx(0)


def test_blobs_suggest_their_number() -> None:
    rng = np.random.default_rng(0)
    centers = 8 * rng.normal(size=(6, 8))
    x = np.concatenate([c + rng.normal(size=(60, 8)) for c in centers])
    found = candidates(jax.random.key(0), x)
    assert found.guess == round((6 * 10) ** 0.5)
    assert found.peaks[list(found.numbers).index(6)]
    assert found.stability[list(found.numbers).index(6)] > 0.95


@pytest.mark.parametrize("n", [2, 3, 11])
def test_few_samples_suggest_something(n: int) -> None:
    for x in (np.random.default_rng(0).normal(size=(n, 3)), np.ones((n, 3))):
        found = candidates(jax.random.key(0), x)
        assert found.guess >= 2
        assert np.isfinite(found.stability).all()


def test_advice_and_its_reason() -> None:
    much, little = Estimate(0.03, 0.0, 0.06), Estimate(0.004, -0.002, 0.01)
    go_on = advise(much, 150, 10, 0.2)
    assert go_on.go_on
    assert go_on.reason == (
        "150 more answers, about 10 minutes, would bring 3.0 points (0.0 to 6.0)"
    )
    assert not advise(little, 150, 10, 0.4).go_on
    missing = advise(little, 150, 10, 1.0)
    assert missing.go_on
    assert missing.reason.startswith("1 group seems to have no name yet, and 150 more answers")


def test_seconds_are_peoples_own_once_there_are_enough() -> None:
    assert seconds_per_answer([], "label") == seconds_per_answer([9.0] * 19, "label")
    assert seconds_per_answer([9.0] * 20, "label") == 9.0
    assert seconds_per_answer([0.0, np.nan] * 50, "pair") < seconds_per_answer([], "label")


def test_trials_on_a_device_are_read_without_a_warning(recwarn):
    rng = np.random.default_rng(0)
    probs = rng.dirichlet(np.ones(3), 40).astype(np.float32)
    choice = np.where(np.arange(40) < 10, np.arange(40) % 3, -1)
    tested = Trials(np.where(choice >= 0, 0.6, 0.0).astype(np.float32), choice == 0)
    told = expected_accuracy(probs, choice, tested)
    assert expected_accuracy(probs, choice, Trials(*map(jnp.asarray, tested))) == told
    assert not recwarn.list
