"""Who may talk to the page: hosts, origins, tokens, paths, and what never leaves the server."""

import pytest
from website import HOST, Site, answer

from idc_jax.annotate.page import serve
from idc_jax.errors import UserError


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
