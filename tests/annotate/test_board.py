"""The board's server: what it shows, what it takes, and what it refuses."""

import io
import json

import numpy as np
import pytest
from PIL import Image
from run_board import embeddings, first_prediction
from website import Site, answer

from idc_jax.annotate import label_questions
from idc_jax.annotate.page.groups import Places, Prediction, split, stand
from idc_jax.annotate.page.pictures import Pictures, sheet_columns
from idc_jax.annotate.page.session import Session


class Table(Site):
    """A site whose board shows a prediction."""

    def show(self, probs=None, slots=None):
        probs = first_prediction() if probs is None else probs
        slots = np.full(probs.shape[1], -1) if slots is None else slots
        self.session.show_groups(probs, slots, embeddings(), self.store.version())

    def do(self, kind, id_, *, who="Ann", **fields):
        body = {"client_id": id_, "annotator": who, "kind": kind, "seconds": 2.0} | fields
        header = {"Content-Type": "application/json"}
        return self.client.post("/api/gesture", content=json.dumps(body), headers=header)

    def groups(self):
        found = self.client.get("/api/board").json()["groups"]
        return {group["name"]: group for group in found}

    def members(self, ref, sort="number", shown="all"):
        query = f"group={ref}&sort={sort}&filter={shown}"
        body = self.client.get(f"/api/board/members?{query}").content
        return np.frombuffer(body, "<u4", len(body) // 6).tolist()


@pytest.fixture
def table(store, dataset):
    found = Table(store, dataset)
    with found.client:
        found.show()
        found.ask(store.freeze(label_questions(1, np.arange(4), np.zeros(4))))
        yield found


def test_every_sample_is_in_one_group(table):
    groups = table.groups()
    assert [group["number"] for group in groups.values()] == list(range(10))
    found = [sample for group in groups.values() for sample in table.members(group["ref"])]
    assert sorted(found) == list(range(1797))
    assert sorted(found) == table.members("everything")
    clusters = first_prediction().argmax(axis=1)
    assert table.members("cluster:3") == np.flatnonzero(clusters == 3).tolist()


def test_the_least_sure_come_first_or_last(table):
    confidence = first_prediction().max(axis=1)
    doubt = confidence[table.members("cluster:3", "doubt")]
    assert (np.diff(doubt) >= 0).all()
    assert (np.diff(confidence[table.members("cluster:3", "sure")]) <= 0).all()
    unsure = table.members("cluster:3", "doubt", "unsure")
    assert len(unsure)
    assert confidence[unsure].max() < 0.5
    assert sorted(table.members("cluster:3", "typical")) == table.members("cluster:3")


def test_a_selection_moves_at_once_and_only_once(table):
    samples = table.members("cluster:3")[:200]
    for _ in range(2):  # a post whose reply was lost
        reply = table.do("move", "g1", samples=samples, new={"key": "k", "name": "threes"})
        assert reply.json() == {"ok": True, "client_id": "g1"}
    groups = table.groups()
    assert (groups["threes"]["size"], groups["threes"]["answered"]) == (len(samples),) * 2
    assert len(table.store.rows()) == len(samples)
    assert not table.client.get("/api/board/version").json()["learned"]
    assert table.do("move", "g1", who="Bob", samples=[0], to="cluster:1").status_code == 409


def test_what_is_right_has_a_name_from_then_on(table):
    table.do("right", "g1", group="cluster:3", samples=table.members("cluster:3")[:5])
    group = table.groups()["cluster 3"]
    assert (group["ref"], group["named"], group["number"]) == ("id:0", True, 3)
    assert group["answered"] in (5, 6)  # with its surest, which stands for it
    # Somebody else still sees it without one.
    assert table.do("rename", "g2", who="Bob", group="cluster:3", name="tres").status_code == 200
    assert table.groups()["tres"]["size"] == group["size"]


def test_what_is_not_of_a_group_goes_where_it_is_likeliest_besides(table):
    samples = table.members("cluster:3")[:5]
    table.do("not", "g1", group="cluster:3", samples=samples)
    assert not set(samples) & set(table.members("cluster:3"))
    assert sum(group["size"] for group in table.groups().values()) == 1797
    table.do("undo", "g2", undoes="g1")
    assert set(samples) <= set(table.members("cluster:3"))


def test_groups_are_merged_split_and_deleted_and_all_of_it_undone(table):
    before = table.groups()
    table.do("rename", "g1", group="cluster:1", name="ones")
    table.do("rename", "g2", group="cluster:7", name="sevens")
    ones, sevens = (table.groups()[name] for name in ("ones", "sevens"))
    assert table.do("delete", "g3", group=ones["ref"]).status_code == 409
    table.do("merge", "g4", group=ones["ref"], to=sevens["ref"])
    assert "ones" not in table.groups()
    parts = table.client.get(f"/api/board/parts?group={sevens['ref']}").json()["parts"]
    shown = [[sample["index"] for sample in part["samples"]] for part in parts]
    new = {"key": "k", "name": "others"}
    table.do("split", "g5", group=sevens["ref"], kept=shown[0], samples=shown[1], new=new)
    assert table.groups()["others"]["size"] == len(shown[1])
    for number, done in enumerate(("g5", "g4", "g2", "g1")):
        assert table.do("undo", f"u{number}", undoes=done).status_code == 200
    assert table.groups() == before
    history = table.client.get("/api/board").json()["history"]
    assert {one["id"] for one in history if one["undone"]} == {"g5", "g4", "g2", "g1"}


def test_any_answer_can_be_looked_up_changed_and_withdrawn(table):
    zero = answer(0, group={"key": "k", "name": "zero"}, annotator="Bob")
    del zero["answer"]
    table.post(**zero)
    (told,) = table.client.get("/api/board/samples/0").json()["answers"]
    assert (told["who"], told["what"], told["round"]) == ("Bob", "zero", 1)
    table.do("withdraw", "g1", answers=[told["client_id"]])
    assert table.client.get("/api/board/samples/0").json()["answers"] == []
    assert table.store.missing(1).tolist() == [0, 1, 2, 3]  # it is asked again
    table.do("move", "g2", samples=[0], new={"key": "l", "name": "oh"})
    assert table.store.missing(1).tolist() == [1, 2, 3]
    assert table.client.get("/api/board/samples/0").json()["answers"][0]["what"] == "oh"


def test_two_who_disagree_are_seen(table):
    table.do("move", "g1", samples=[0, 50], new={"key": "k", "name": "a"})
    table.do("move", "g2", who="Bob", samples=[50], new={"key": "l", "name": "b"})
    assert table.members("everything", "number", "disagreeing") == [50]
    assert table.groups()["b"]["disagreeing"] == 1  # the latest word stands
    assert table.members("everything", "number", "answered") == [0, 50]


@pytest.mark.parametrize(
    ("kind", "fields", "status", "reason"),
    [
        ("fly", {}, 422, "'kind' must be one of"),
        ("move", {"samples": [5000], "to": "cluster:1"}, 422, "no such sample"),
        ("move", {"samples": [], "to": "cluster:1"}, 422, "no sample is selected"),
        ("move", {"samples": [1, 1], "to": "cluster:1"}, 422, "each once"),
        ("move", {"samples": [1.5], "to": "cluster:1"}, 422, "a list of samples"),
        ("move", {"samples": [1], "to": "id:77"}, 409, "no more"),
        ("move", {"samples": [1]}, 409, "no more"),
        ("rename", {"group": "cluster:1", "name": "  "}, 422, "needs a name"),
        ("merge", {"group": "cluster:1", "to": "nowhere"}, 409, "no more"),
        ("delete", {"group": "cluster:1"}, 409, "empty group"),
        ("undo", {"undoes": "nothing"}, 422, "no such thing"),
        ("undo", {"undoes": "names:9"}, 422, "no such thing"),
        ("move", {"samples": [1], "to": "cluster:1", "why": 1}, 422, "unknown field 'why'"),
    ],
)
def test_nonsense_is_refused_and_leaves_nothing(table, kind, fields, status, reason):
    reply = table.do(kind, "g1", **fields)
    assert (reply.status_code, reason in reply.json()["error"]) == (status, True), reply.json()
    assert table.store.version() == (0, 0)


def test_more_groups_than_there_may_be_are_refused_whole(store, dataset):
    table = Table(store, dataset, max_groups=1)
    with table.client:
        table.show()
        table.do("move", "g1", samples=[1], new={"key": "k", "name": "a"})
        reply = table.do("move", "g2", samples=[2], new={"key": "l", "name": "b"})
        assert (reply.status_code, reply.json()["error"]) == (
            409,
            "there are 1 groups already; the most is 1",
        )
        assert len(store.rows()) == 1


def test_a_selection_of_everything_is_taken(table):
    everything = list(range(1797))
    assert table.do("move", "g1", samples=everything, to="cluster:1").status_code == 200
    assert table.groups()["cluster 1"]["size"] == 1797
    # Ordinary posts stay short.
    assert table.post(**answer(0, client_id="x" * 20_000)).status_code == 413


def test_a_sheet_holds_every_pixel(table, dataset):
    samples = [5, 900, 17, 3, 1700]
    path = f"/pictures/r1/sheet/{'-'.join(map(str, samples))}"
    reply = table.client.get(path)
    assert reply.headers["cache-control"] == "private, max-age=31536000, immutable"
    sheet = np.asarray(Image.open(io.BytesIO(reply.content)))
    columns = sheet_columns(len(samples))
    for at, sample in enumerate(samples):
        row, column = divmod(at, columns)
        tile = sheet[8 * row : 8 * row + 8, 8 * column : 8 * column + 8]
        assert np.array_equal(tile, dataset.inputs[sample][..., 0])
    for wrong in ("1-2000", "a", "1--2", "-".join(["1"] * 65)):
        assert table.client.get(f"/pictures/r1/sheet/{wrong}").status_code in (404, 422)
    assert table.client.get(path.replace("r1", "r2")).status_code == 404


def test_pictures_of_all_shapes_fit_a_sheet(tmp_path, dataset):
    sizes = [(300, 40), (40, 300), (20, 20)]
    for n, size in enumerate(sizes):
        Image.new("RGB", size, (200, 0, 0)).save(tmp_path / f"{n}.png")
    names = tuple(str(tmp_path / f"{n}.png") for n in range(3))
    few = dataset._replace(inputs=dataset.inputs[:3], labels=None, names=names)
    sheet = Image.open(io.BytesIO(Pictures(few).sheet((0, 1, 2)).body))
    assert sheet.size == (256, 256)
    assert [sheet.getpixel(at)[3] for at in ((64, 64), (64, 5))] == [255, 0]


def test_before_anything_is_clustered_there_are_no_groups(store, dataset):
    site = Site(store, dataset)
    with site.client:
        found = site.client.get("/api/board").json()
    assert (found["clustered"], found["groups"], found["size"]) == (False, [], 1797)


def test_the_report_and_the_table_are_there_once_they_are_written(table):
    assert table.client.get("/report").status_code == 404
    folder = table.store.path.parent
    (folder / "report.html").write_text("<style>a{}</style><header><h1>Ten groups</h1></header>")
    (folder / "assignments.csv").write_text("sample\n")
    report = table.client.get("/report")
    assert report.text.index('<a href="board">') < report.text.index("<h1>Ten groups</h1>")
    assert "script-src 'none'" in report.headers["content-security-policy"]
    assert "default-src 'none'" in report.headers["content-security-policy"]
    assert table.client.get("/assignments.csv").text == "sample\n"


def test_staying_ends_when_nobody_is_there(store, dataset):
    now = [0.0]
    pictures = Pictures(dataset)
    options = {"title": "t", "max_groups": 3, "votes": 1, "grace_seconds": 0.0}
    session = Session(store, pictures, clock=lambda: now[0], **options)
    session.state("Ann")
    now[0] = 61.0
    assert session.stay(60.0) is False
    store.ask_further(50, 1)
    store.ask_further(50, 1)  # two at once want the same
    session.state("Ann")
    assert session.stay(60.0) is True
    assert store.further() == 50


def test_outputs_find_their_groups_without_slots():
    probs = np.eye(3)[[0, 0, 1, 1, 2, 2]].astype(np.float32)
    from idc_jax.annotate.evidence import gather
    from idc_jax.annotate.questions import answered

    asked = label_questions(1, np.array([0, 1, 2]), np.zeros(3))
    evidence = gather(6, [(asked, answered(asked, [7, 7, 4]))])
    places = Places({7: "cats", 4: "dogs"}, {}, (4, 7), {})
    board = stand(Prediction(probs), evidence, places)
    assert [group.name for group in board.groups] == ["cats", "dogs", "cluster 2"]
    assert board.place.tolist() == [0, 0, 1, 1, 2, 2]


def test_two_clusters_within_are_found():
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal((9, 0, 0), 1, (30, 3)), rng.normal((0, 9, 0), 1, (20, 3))])
    parts = split(x, np.arange(50))
    assert sorted(sorted(part.tolist()) for part in parts) == [
        list(range(30)),
        list(range(30, 50)),
    ]
    alike = split(np.ones((4, 2)), np.arange(4))
    assert sorted(np.concatenate(alike).tolist()) == [0, 1, 2, 3]
