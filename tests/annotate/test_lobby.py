"""The page before there is anything to ask about."""

import json
import threading
import urllib.error
import urllib.request
from contextlib import suppress

import numpy as np
import pytest
from run_page import digits, make_questions
from website import answer

from idc_jax.annotate import Store, collect
from idc_jax.annotate.page import identify, lodge
from idc_jax.data.progress import progress, tell, told
from idc_jax.errors import UserError

NAME = "annotator=Ann"


def get(url):
    with urllib.request.urlopen(url, timeout=10) as reply:
        return reply.read().decode()


def state(lodging):
    return json.loads(get(f"{lodging.url}api/state?{NAME}"))


@pytest.fixture
def lodging():
    run, token = identify()
    with lodge(title="photos", run=run, token=token, port=0) as found:
        yield found


def test_it_says_how_far_the_preparations_are(lodging):
    assert "photos" in get(lodging.url)
    assert "page.js" in get(lodging.url)
    assert get(f"{lodging.url}static/page.js")
    lodging.progress({"phase": "embedding", "image": np.int64(64), "images": 1000})
    now = state(lodging)
    assert (now["phase"], now["title"]) == ("waiting", "photos")
    assert now["progress"] == {"phase": "embedding", "image": 64, "images": 1000}


def test_it_tells_what_the_page_tells(lodging, tmp_path):
    before = state(lodging)
    with (
        Store(tmp_path / "answers.db") as store,
        lodging.open(store, digits(), num_clusters=10, linger_seconds=0),
    ):
        after = state(lodging)
        assert before.keys() == after.keys()
        assert (after["phase"], after["title"]) == ("waiting", "digits")


def test_a_post_that_comes_too_early_is_to_be_sent_again(lodging, tmp_path):
    body = json.dumps(answer()).encode()
    early = urllib.request.Request(
        f"{lodging.url}api/answer", body, {"Content-Type": "application/json"}
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(early)
    refused.value.close()
    assert refused.value.code == 503
    with (
        Store(tmp_path / "answers.db") as store,
        lodging.open(store, digits(), num_clusters=10, linger_seconds=0),
        pytest.raises(urllib.error.HTTPError) as closed,
    ):
        urllib.request.urlopen(early)
    closed.value.close()
    assert closed.value.code == 503
    # Nor is anything taken once the page is over, while its store is closed.
    with pytest.raises(urllib.error.HTTPError) as over:
        state(lodging)
    over.value.close()
    assert over.value.code == 503


def test_a_run_has_the_address_that_it_had(tmp_path):
    with Store(tmp_path / "answers.db") as store:
        first = identify(store)
        assert identify(store) == first != identify()
        with (
            lodge(title="p", run="early", token="t", port=0) as lodging,
            lodging.open(store, digits(), num_clusters=10, linger_seconds=0),
        ):
            assert identify(store) == first
    with (
        Store(tmp_path / "other.db") as store,
        lodge(title="p", run="early", token="t", port=0) as lodging,
        lodging.open(store, digits(), num_clusters=10, linger_seconds=0),
    ):
        assert identify(store) == ("early", "t")


def test_whoever_listens_hears_of_progress():
    heard = []
    with told(lambda *said: heard.append(said)):
        assert list(progress("abc", 3, "decoding images")) == ["a", "b", "c"]
        tell("embedding", 5, 9)
    tell("embedding", 6, 9)
    assert heard == [(*("decoding images", done), 3) for done in (1, 2, 3)] + [("embedding", 5, 9)]


@pytest.mark.browser
def test_people_see_it_and_are_asked_without_a_reload(lodging, visit, tmp_path):
    ann = visit(lodging.url)
    ann.see("text=Getting ready")
    lodging.progress({"phase": "embedding", "image": 640, "images": 10_000})
    ann.see("text=A network is looking at the images")
    ann.see("text=image 640 of 10,000")
    assert ann.page.inner_text("h1").startswith("photos")
    assert ann.page.title() == "Getting ready · photos"
    with (
        Store(tmp_path / "answers.db") as store,
        lodging.open(store, digits(), num_clusters=10, linger_seconds=0) as page,
    ):
        ann.page.evaluate(
            "Object.defineProperty(document, 'hidden', {value: true, writable: true})"
        )
        asked = store.freeze(make_questions("label", 1, 3, digits()))

        def ask():
            with suppress(UserError):  # the test is over
                collect(store, asked, page.annotator)

        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        ann.see()
        ann.page.wait_for_function("document.title === '● Questions are ready · digits'")
        assert ann.page.inner_text("h1").startswith("digits")
        page.finish()
        thread.join(30)
