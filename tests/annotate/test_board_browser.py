"""The board in a real Chromium: selecting, moving, two people, a killed server, accessibility."""

import time

import pytest
from browsing import Person, Process, until

from idc_jax.annotate import Store

pytestmark = pytest.mark.browser
CELL = ".cell:not([hidden])"


class Table(Process):
    """A board in a process of its own, which can be killed and started again on its store."""

    script = "run_board.py"


@pytest.fixture
def table(tmp_path):
    found = Table(tmp_path)
    yield found
    found.kill()


class Player(Person):
    """Somebody at the board."""

    def open(self, name):
        self.page.click(f'[data-do="open"]:has(.name:text-is("{name}"))')
        self.reads("#group-name", name)
        self.page.wait_for_function("() => document.getElementById('grid').dataset.view")

    def come(self, url, name="Ann"):
        super().come(url and f"{url}board", name)
        self.page.wait_for_selector(CELL)

    def size(self, name):
        facts = self.page.query_selector(f'[data-do="open"]:has(.name:text-is("{name}")) .facts')
        return int(facts.inner_text().split(" ")[0].replace(",", "")) if facts else None

    def has(self, name, size):
        until(lambda: self.size(name) == size, f"{size} in {name}")

    def selected(self):
        text = self.page.inner_text("#selected")
        return 0 if text == "Nothing selected" else int(text.split(" ")[0].replace(",", ""))

    def type(self, *keys):
        for key in keys:
            self.page.keyboard.press(key)

    def move_to(self, name):
        self.type("m")
        self.page.keyboard.type(name)
        self.type("Enter")


@pytest.fixture
def sit(browser, table):
    people = []

    def come(name="Ann", **options):
        people.append(Player(browser, table.url, name, **options))
        return people[-1]

    yield come
    for person in people:
        person.close()


def center(page, at):
    box = page.query_selector_all(CELL)[at].bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_a_selection_is_made_in_every_way_and_moved(sit):
    ann = sit()
    ann.open("cluster 3")
    before = ann.size("cluster 3")
    page = ann.page
    page.mouse.click(*center(page, 0))
    page.mouse.click(*center(page, 2))
    assert ann.selected() == 2
    page.keyboard.down("Shift")
    page.mouse.click(*center(page, 4))
    page.keyboard.up("Shift")
    assert ann.selected() == 4  # 0, and 2 to 4
    ann.type("Escape")
    page.mouse.move(*center(page, 0))
    page.mouse.down()
    page.mouse.move(*center(page, 12), steps=4)
    page.mouse.up()
    framed = ann.selected()
    assert framed > 2
    ann.type("Escape", "Home", " ", "Shift+ArrowRight", "Shift+ArrowRight")
    assert ann.selected() == 3
    ann.move_to("threes")
    ann.has("threes", 3)
    assert ann.size("cluster 3") == before - 3
    ann.type("Control+a")
    assert ann.selected() == before - 3
    ann.move_to("Threes")  # the same one
    ann.has("threes", before)
    ann.type("u")
    ann.has("threes", 3)
    ann.type("u")
    ann.has("cluster 3", before)
    assert ann.size("threes") is None


def test_two_people_see_the_same_and_a_killed_server_loses_nothing(sit, table):
    ann, bob = sit("Ann"), sit("Bob")
    for person in (ann, bob):
        person.open("cluster 3")
    ann.type("Home", " ", "Shift+ArrowRight", "Shift+ArrowRight")
    ann.move_to("ones")
    bob.has("ones", 3)
    bob.open("cluster 5")
    table.kill()
    bob.type("Home", " ", "Shift+ArrowRight")
    bob.move_to("fives")
    until(lambda: "No connection" in bob.page.inner_text("#saved"), "the loss of the server")
    table.start()
    for person in (ann, bob):
        person.reads("#saved", "All saved")
    for person in (ann, bob):
        until(lambda person=person: person.size("fives"), "fives")
    seen = [
        {name: person.size(name) for name in ("ones", "fives", "cluster 8", "Everything")}
        for person in (ann, bob)
    ]
    assert seen[0] == seen[1]
    with Store(table.path) as store:
        ids = [row.client_id for row in store.rows()]
    assert len(ids) == len(set(ids)) == 5
    # Each takes back their own.
    ann.type("u")
    until(lambda: bob.size("ones") is None, "the end of ones")
    assert bob.size("fives")


def test_what_was_said_in_a_round_that_is_over_is_undone_on_the_board(sit, table, browser):
    ann = sit()
    page = ann.page
    for at, name in enumerate(("zero", "one", "two", "three")):
        said = {"client_id": f"c{at}", "annotator": "Ann", "round": 1, "position": at, "seconds": 1}
        page.evaluate(
            "body => fetch('api/answer', {method: 'POST', body: JSON.stringify(body), "
            "headers: {'Content-Type': 'application/json'}})",
            said | {"group": {"key": name, "name": name}},
        )
    until(lambda: 2 in table.read(Store.rounds), "round 2")
    page.click("text=Questions")
    page.click("text=Board")
    page.wait_for_selector(CELL)
    page.select_option("#filter", "answered")
    until(lambda: page.inner_text("#group-facts").startswith("4 shown"), "four answers")
    ann.type("Home", "Enter")
    page.click('#closer [data-do="withdraw"]')
    until(lambda: len(table.live(1)) == 3, "the withdrawal")
    page.keyboard.press("Escape")
    ann.type("u")
    until(lambda: len(table.live(1)) == 4, "the undone withdrawal")


def test_few_nodes_show_any_number_of_samples(sit):
    ann = sit()
    page = ann.page
    nodes = page.evaluate("document.querySelectorAll('.cell').length")
    assert nodes < 200 < 1797
    ann.type("End")
    assert page.evaluate("document.querySelectorAll('.cell').length") == nodes
    last = page.get_attribute(".cell.active", "aria-posinset")
    assert last == "1797"
    seen = page.eval_on_selector_all(
        CELL, "nodes => nodes.map(node => Number(node.getAttribute('aria-posinset')))"
    )
    assert max(seen) == 1797
    assert len(set(seen)) == len(seen)


@pytest.mark.parametrize("size", [(1280, 800), (390, 844), (844, 390)], ids=str)
def test_axe_finds_nothing_and_nothing_runs_over(sit, size):
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="pip install axe-playwright-python"
    )
    ann = sit(viewport={"width": size[0], "height": size[1]})
    page = ann.page

    def check(what):
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            found = axe.Axe().run(page).response["violations"]
            assert [(one["id"], one["nodes"][0]["html"]) for one in found] == [], what
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, what

    ann.open("cluster 3")
    page.focus("#grid")
    ann.type("Home", " ", "Shift+ArrowRight")
    check("a selection")
    for keys, dialog in ((["m"], "target"), (["Enter"], "closer")):
        ann.type(*keys)
        page.wait_for_selector(f"#{dialog}-dialog[open]")
        check(dialog)
        page.keyboard.press("Escape")
        page.focus("#grid")
    for what, dialog in (("split", "split"), ("rename", "rename"), ("history", "history")):
        page.click(f'[data-do="{what}"]')
        page.wait_for_selector(f"#{dialog}-dialog[open]")
        check(dialog)
        page.keyboard.press("Escape")
    time.sleep(0.1)
