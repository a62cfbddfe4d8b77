"""The page's server without a browser: what it takes, what it refuses, what it never says."""

import contextlib
import json
import sqlite3
import threading
import urllib.request
from io import BytesIO

import numpy as np
import pytest
from run_page import digits, make_questions

from idc_jax.annotate import Store, collect
from idc_jax.data.base import Dataset
from idc_jax.errors import UserError

pytest.importorskip("starlette", reason="the page needs `pip install 'idc_jax[page]'`")
pytest.importorskip("httpx", reason="Starlette's test client needs httpx")

from PIL import Image
from starlette.testclient import TestClient

from idc_jax.annotate.page import galleries, serve
from idc_jax.annotate.page.app import build_app
from idc_jax.annotate.page.guard import MAX_BODY_BYTES, Guard
from idc_jax.annotate.page.pictures import Pictures
from idc_jax.annotate.page.session import Session

HOST = "127.0.0.1:8765"


class Site:
    def __init__(self, store, dataset, *, token=None, votes=1, grace_seconds=30.0, **options):
        self.store = store
        pictures = Pictures(dataset)
        settings = {"title": "digits", "max_groups": 10} | options
        self.session = Session(
            store, pictures, votes=votes, grace_seconds=grace_seconds, **settings
        )
        app = build_app(self.session, pictures, run="r1", title="<digits>")
        hosts = ("127.0.0.1", "localhost") if token is None else None
        guarded = Guard(app, hosts=hosts, token=token)
        self.client = TestClient(guarded, base_url=f"http://{HOST}", raise_server_exceptions=False)
        self.thread = None

    def ask(self, questions):
        self.thread = threading.Thread(target=self.session.ask, args=(questions,), daemon=True)
        self.thread.start()
        while self.session.state("x")["phase"] != "asking":
            pass

    def post(self, kind="answer", *, headers=None, **body):
        content = json.dumps(body)
        headers = {"Content-Type": "application/json"} | (headers or {})
        return self.client.post(f"/api/{kind}", content=content, headers=headers)


def answer(position=0, client_id=None, **fields):
    return {
        "client_id": client_id or f"c{position}",
        "annotator": "Ann",
        "round": 1,
        "position": position,
        "answer": "none",
        "seconds": 1.5,
    } | fields


@pytest.fixture
def dataset():
    return digits()


@pytest.fixture
def site(store, dataset):
    found = Site(store, dataset)
    with found.client:
        found.ask(store.freeze(make_questions("cluster", 1, 6, dataset)))
        yield found


def test_an_answer_is_a_row_before_it_is_acknowledged(site):
    reply = site.post(**answer())
    assert reply.status_code == 200
    (row,) = site.store.rows()
    assert (row.client_id, row.annotator, row.choice, row.seconds) == ("c0", "Ann", -1, 1.5)
    assert site.post(**answer()).status_code == 200
    assert len(site.store.rows()) == 1


@pytest.mark.parametrize(
    ("change", "status", "reason"),
    [
        ({"round": "1"}, 422, "'round' must be a whole number"),
        ({"round": True}, 422, "'round'"),
        ({"position": -1}, 422, "'position'"),
        ({"position": 6}, 422, "no question 6"),
        ({"position": 1e9}, 422, "'position'"),
        ({"answer": "maybe"}, 422, "is no answer"),
        ({"answer": 99}, 422, "is no answer"),
        ({"answer": None}, 422, "'answer' must be"),
        ({"answer": [1]}, 422, "'answer' must be"),
        ({"answer": "same"}, 422, "is no answer"),
        ({"seconds": -1}, 422, "'seconds'"),
        ({"seconds": float("nan")}, 422, "'seconds'"),
        ({"seconds": float("inf")}, 422, "'seconds'"),
        ({"annotator": ""}, 422, "'annotator'"),
        ({"annotator": " Ann"}, 422, "'annotator'"),
        ({"annotator": "a\nb"}, 422, "'annotator'"),
        ({"annotator": "x" * 61}, 422, "'annotator'"),
        ({"client_id": "x" * 81}, 422, "'client_id'"),
        ({"client_id": 5}, 422, "'client_id'"),
        ({"more": 1}, 422, "unknown field 'more'"),
        ({"group": {"key": "k", "name": "n"}}, 422, "exactly one"),
        ({"round": 2}, 503, "not open yet"),
    ],
)
def test_a_wrong_answer_changes_nothing_and_hears_why(site, change, status, reason):
    reply = site.post(**answer(**change))
    assert reply.status_code == status
    assert reason in reply.json()["error"]
    assert site.store.rows() == ()


@pytest.mark.parametrize("missing", sorted(answer()))
def test_a_missing_field(site, missing):
    body = answer()
    del body[missing]
    reply = site.post(**body)
    assert reply.status_code == 422
    assert site.store.rows() == ()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"\xff\xfe", 400),
        (b"[" * 10_000, 400),
        (b"[]", 422),
        (b"null", 422),
        (b" " * (MAX_BODY_BYTES + 1), 413),
    ],
)
def test_a_body_that_is_no_answer(site, body, status):
    headers = {"Content-Type": "application/json"}
    reply = site.client.post("/api/answer", content=body, headers=headers)
    assert reply.status_code == status
    assert set(reply.json()) == {"error"}


def test_a_long_body_without_a_length(site):
    def endless():
        for _ in range(100):
            yield b" " * 1000

    headers = {"Content-Type": "application/json"}
    assert site.client.post("/api/answer", content=endless(), headers=headers).status_code == 413


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": f"http://{HOST}.evil.example"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Host": "evil.example"}, 403),
        ({"Origin": f"http://{HOST}", "Sec-Fetch-Site": "same-origin"}, 200),
    ],
)
def test_posts_come_from_this_page_alone(site, headers, status):
    assert site.post(headers=headers, **answer()).status_code == status
    assert len(site.store.rows()) == (status == 200)


def test_reads_need_the_right_host_too(site):
    for path in ("/", "/api/state?annotator=Ann", "/pictures/r1/tile/0"):
        assert site.client.get(path).status_code == 200
        assert site.client.get(path, headers={"Host": "evil.example"}).status_code == 403


@pytest.mark.parametrize(
    "path",
    [
        "/pictures/r1/tile/1797",
        "/pictures/r1/tile/-1",
        "/pictures/r1/tile/..%2f..%2fsecret",
        "/pictures/other/tile/0",
        "/pictures/r1/tile/0.png",
        "/pictures/r1/tile/photo.png",
        "/static/../session.py",
        "/static/%2e%2e/session.py",
        "/session.py",
        "/api/answers",
    ],
)
def test_there_is_nothing_else_to_get(site, path):
    assert site.client.get(path).status_code in (404, 405)


@pytest.mark.parametrize(
    "query", ["", "annotator=", "annotator=Ann&held=x", "annotator=Ann&count=-1"]
)
def test_wrong_queries(site, query):
    assert site.client.get(f"/api/questions?{query}").status_code == 422


def test_headers_of_every_reply(site):
    for path in ("/", "/static/page.js", "/api/state?annotator=Ann", "/nowhere"):
        headers = site.client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "server" not in headers
    assert "immutable" in site.client.get("/pictures/r1/tile/0").headers["cache-control"]
    assert site.client.get("/api/state?annotator=Ann").headers["cache-control"] == "no-store"


def test_the_document_has_nothing_inline_and_escapes_its_title(site):
    text = site.client.get("/").text
    assert "&lt;digits&gt;" in text
    assert "<digits>" not in text
    assert "style=" not in text
    assert "http://" not in text
    assert "https://" not in text
    assert text.count("<script") == 1
    assert '<script type="module" src="static/page.js"></script>' in text


def test_no_stack_trace_leaves_the_server(site, monkeypatch):
    def fail(*_):
        raise RuntimeError("secret detail")

    monkeypatch.setattr(site.session, "state", fail)
    monkeypatch.setattr(site.session, "_take", fail)
    for reply in (site.client.get("/api/state?annotator=Ann"), site.post(**answer())):
        assert reply.status_code == 500
        assert set(reply.json()) == {"error"}
        assert "secret" not in reply.text
        assert "Traceback" not in reply.text


def test_the_token_is_the_only_way_in(store, dataset):
    site = Site(store, dataset, token="s3cret")
    with site.client:
        for path in ("/", "/wrong/", "/s3cre/", "/s3crets/", "/api/state?annotator=Ann"):
            assert site.client.get(path).status_code == 404
        assert site.client.get("/s3cret/").status_code == 200
        assert site.client.get("/s3cret/static/page.js").status_code == 200
        assert site.client.get("/s3cret/api/state?annotator=Ann").json()["phase"] == "waiting"
        assert site.post(**answer()).status_code == 404


def test_another_host_needs_a_flag_and_gets_a_token(store, dataset):
    with (
        pytest.raises(UserError, match="allow_remote"),
        serve(store, dataset, num_clusters=10, host="0.0.0.0", port=0),
    ):
        pass
    urls = []
    for _ in range(2):
        with serve(
            store,
            dataset,
            num_clusters=10,
            host="0.0.0.0",
            port=0,
            allow_remote=True,
            linger_seconds=0,
        ) as page:
            urls.append(page.url)
    tokens = {url.split("/")[3] for url in urls}
    assert len(tokens) == 1  # a restart keeps the links that people have
    assert len(tokens.pop()) >= 20


def test_a_taken_port_is_one_line(store, dataset):
    options = {"num_clusters": 10, "linger_seconds": 0}
    with serve(store, dataset, port=0, **options) as page:
        port = int(page.url.split(":")[2].strip("/"))
        with (
            pytest.raises(UserError, match=f"127.0.0.1:{port}") as raised,
            serve(store, dataset, port=port, **options),
        ):
            pass
    assert "\n" not in str(raised.value)


def test_undo_is_ones_own_and_once(site):
    site.post(**answer())
    undo = {"client_id": "u", "annotator": "Ann", "undoes": "c0"}
    assert site.post("undo", **undo | {"undoes": "nothing"}).status_code == 422
    assert site.post("undo", **undo | {"annotator": "Bob"}).status_code == 422
    assert site.post("undo", **undo).status_code == 200
    assert site.post("undo", **undo).status_code == 200
    assert site.post("undo", **undo | {"client_id": "v"}).status_code == 200
    assert len(site.store.rows()) == 2
    assert site.store.live(1) == ()
    assert site.post("undo", **undo | {"client_id": "w", "undoes": "u"}).status_code == 422


def test_a_client_id_is_not_taken_over(site):
    site.post(**answer())
    assert site.post(**answer(annotator="Bob")).status_code == 409


def test_a_round_closes_and_its_answers_are_refused(store, dataset):
    site = Site(store, dataset, grace_seconds=0.0)
    with site.client:
        site.ask(store.freeze(make_questions("cluster", 1, 2, dataset)))
        finish = {"annotator": "Ann", "round": 1}
        assert site.post("finish", **finish).status_code == 409
        site.post(**answer(0))
        site.post(**answer(1))
        site.thread.join(5)
        late = site.post(**answer(1, client_id="late"))
        assert late.status_code == 409
        assert "closed" in late.json()["error"]
        assert site.post(**answer(1)).status_code == 200  # the same again: it was taken
        assert site.post("undo", client_id="u", annotator="Ann", undoes="c1").status_code == 409
        assert len(store.rows()) == 2


def test_questions_are_leased_and_given_to_others_later(store, dataset):
    now = [0.0]
    site = Site(store, dataset, clock=lambda: now[0])
    with site.client:
        site.ask(store.freeze(make_questions("cluster", 1, 20, dataset)))

        def get(name, count, held="", spare=""):
            query = f"annotator={name}&count={count}&held={held}&spare={spare}"
            found = site.client.get(f"/api/questions?{query}").json()
            return [question["position"] for question in found["questions"]], found["taken"]

        # Eight are kept for Ann, the other four are hers until somebody else wants them.
        assert get("Ann", 12) == (list(range(12)), [])
        assert get("Bob", 8) == (list(range(8, 16)), [])
        assert get("Ann", 0, "0,1,2", "8,9") == ([], [8, 9])
        now[0] = 50.0
        get("Ann", 0, "0,1")  # still at these two
        now[0] = 70.0
        assert get("Bob", 3, "8,9") == ([2, 3, 4], [])
        # An undone answer is nobody else's, even before the undo arrives.
        site.post(**answer(0, annotator="Ann"))
        assert get("Ann", 0, "0,1") == ([], [])


def test_a_full_disk_refuses_and_the_same_answer_is_taken_later(site):
    site.post(**answer(0))
    pages = site.store._db.execute("PRAGMA page_count").fetchone()[0]
    site.store._db.execute(f"PRAGMA max_page_count = {pages}")
    refused, number = None, 0
    while refused is None:
        number += 1
        assert number < 2000
        reply = site.post(**answer(1, client_id=f"{number:080d}"))
        refused = reply if reply.status_code != 200 else None
    assert refused.status_code == 503
    assert "full" in refused.json()["error"]
    assert len(site.store.rows()) == number
    site.store._db.execute("PRAGMA max_page_count = 100000")
    assert site.post(**answer(1, client_id=f"{number:080d}")).status_code == 200
    assert len(site.store.rows()) == number + 1


def test_a_locked_database_refuses_and_the_same_answer_is_taken_later(tmp_path, dataset):
    with Store(tmp_path / "answers.db", busy_seconds=0.05) as store:
        site = Site(store, dataset)
        with site.client:
            site.ask(store.freeze(make_questions("cluster", 1, 6, dataset)))
            with contextlib.closing(sqlite3.connect(store.path, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                reply = site.post(**answer())
                assert reply.status_code == 503
                assert "locked" in reply.json()["error"]
                assert site.client.get("/api/state?annotator=Ann").json()["given"] == 0
                other.execute("ROLLBACK")
            assert site.post(**answer()).status_code == 200
            assert len(store.rows()) == 1


def test_results_and_progress_survive_json(site):
    site.session.progress({"loss": float("nan"), "step": np.int64(3), "share": np.float32(0.5)})
    site.session.show_result({"after": {"acc": np.float64(1)}, "galleries_after": [np.arange(3)]})
    state = site.client.get("/api/state?annotator=Ann").json()
    assert state["progress"] == {"loss": None, "step": 3, "share": 0.5}
    assert state["results"] == 1
    assert state["result"] == {"after": {"acc": 1.0}, "galleries_after": [[0, 1, 2]]}


def test_another_phase_of_training_has_a_curve_of_its_own(site):
    site.session.progress({"phase": "pretrain", "pretrain/loss": 5.0})
    site.session.progress({"phase": "finetune", "loss": 2.0})
    site.session.progress({"phase": "finetune", "loss": 1.0})
    assert site.client.get("/api/state?annotator=Ann").json()["losses"] == [2.0, 1.0]


def test_galleries_by_hand():
    probabilities = [[0.9, 0.1, 0], [0.6, 0.4, 0], [0.2, 0.8, 0], [1, 0, 0]]
    assert galleries(probabilities, 2) == [[3, 0], [2], []]


def test_the_served_page_collects(store, dataset, tmp_path):
    """Over a real socket: what the thread of the experiment gets is what was posted."""
    questions = store.freeze(make_questions("pair", 1, 3, dataset))
    with serve(
        store, dataset, num_clusters=10, port=0, grace_seconds=0.0, linger_seconds=0
    ) as page:
        got = []
        thread = threading.Thread(
            target=lambda: got.append(collect(store, questions, page.annotator))
        )
        thread.start()
        for position, said in enumerate(("same", "different", "skip")):
            body = json.dumps(answer(position, answer=said)).encode()
            request = urllib.request.Request(
                f"{page.url}api/answer", body, {"Content-Type": "application/json"}
            )
            assert urllib.request.urlopen(request).status == 200
        thread.join(10)
    assert got[0].choice.tolist() == [1, 0, -2]


def pictured(inputs, names=(), kind="images"):
    inputs = np.asarray(inputs)
    return Pictures(
        Dataset("d", kind, inputs, None, (), tuple(names), np.ones(len(inputs), bool), ())
    )


def opened(rendered):
    return Image.open(BytesIO(rendered.body))


@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_are_shown_as_they_are(channels):
    inputs = np.random.default_rng(0).integers(0, 256, (3, 5, 7, channels), dtype=np.uint8)
    shown = np.asarray(opened(pictured(inputs).render(2, False)))
    np.testing.assert_array_equal(shown, inputs[2, ..., 0] if channels == 1 else inputs[2])
    assert pictured(inputs).describe(2)["side"] == 7


def test_files_are_shown_larger_but_bounded(tmp_path):
    path = tmp_path / "photo.png"
    Image.new("RGB", (3000, 1500), (200, 10, 10)).save(path)
    inputs = np.zeros((2, 8, 8, 3), np.uint8)
    pictures = pictured(inputs, [str(path), str(tmp_path / "gone.png")])
    assert opened(pictures.render(0, True)).size == (1024, 512)
    assert opened(pictures.render(0, False)).size == (256, 128)
    assert opened(pictures.render(1, True)).size == (8, 8)
    assert pictures.describe(0)["name"] == "photo.png"
    assert pictures.describe(0)["side"] is None


def test_features_without_names_are_shown_as_a_heat_map():
    pictures = pictured(np.asarray([[1.0, -1.0, 0.0, 0.5, 0.0]]), kind="features")
    shown = np.asarray(opened(pictures.render(0, False)))
    assert shown.shape == (3, 3, 3)
    assert shown[0, 0].argmax() == 0  # the largest is red
    assert shown[0, 1].argmax() == 2  # the smallest is blue
    assert pictures.describe(0)["picture"]


def test_features_with_names_are_shown_by_name_and_neighbours():
    inputs = np.asarray([[0.0], [0.1], [5.0], [0.3], [5.1]], np.float32)
    names = ["apple", "pear", "https://example.org/car", "plum", "bus"]
    pictures = pictured(inputs, names, kind="features")
    assert pictures.describe(0) == {
        "index": 0,
        "name": "apple",
        "picture": False,
        "side": 1,
        "link": None,
        "near": ["pear", "plum", "https://example.org/car"],
    }
    assert pictures.describe(2)["link"] == "https://example.org/car"
