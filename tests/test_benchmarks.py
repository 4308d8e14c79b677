"""The tables and the watch of the benchmarks. No test checks the figures themselves."""

from pathlib import Path

import pytest
from table import Headline, Row, Target, between_markers, headline_cells, markdown, plain, target_cells
from watch import Watch

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PAGE = ROOT / "docs" / "explanation" / "benchmarks.md"


@pytest.mark.parametrize(
    ("target", "figure", "verdict"),
    [
        (Target(0.4, stretch=0.3), 0.41, "missed"),
        (Target(0.4, stretch=0.3), 0.4, "met"),
        (Target(0.4, stretch=0.3), 0.3, "met, stretch too"),
        (Target(5, stretch=6.5, relation=">="), 4.9, "missed"),
        (Target(5, stretch=6.5, relation=">="), 5, "met"),
        (Target(5, stretch=6.5, relation=">="), 6.5, "met, stretch too"),
        (Target(1, relation="<"), 1, "missed"),
        (Target(1, relation="<"), 0.9, "met"),
        (Target(0), 0, "met"),
    ],
    ids=str,
)
def test_a_target_is_met_or_missed(target: Target, figure: float, verdict: str) -> None:
    """A figure equal to the bound meets the target, except with `<`; a stretch is an optional harder target."""
    assert verdict == target.verdict(figure)


def test_tables_show_what_was_measured() -> None:
    """A table has a line for each figure, with its target and verdict, in text and in Markdown."""
    rows = [
        Row("wall", "0.2 s", "1.5 s", 7.4567, Target(5, relation=">=")),
        Row("memory", "51 MiB", "42 MiB", 9.0, Target(8), " MiB"),
        Row("start", "1 ms", "2 ms", 0.5),
    ]
    assert [
        "what    ours    reference  result  target",
        "wall    0.2 s   1.5 s      7.46    >= 5      met",
        "memory  51 MiB  42 MiB     9 MiB   <= 8 MiB  missed",
        "start   1 ms    2 ms       0.5",
    ] == plain(target_cells(rows)).splitlines()
    assert [
        "| what | ours | reference | result | target |  |",
        "| --- | --- | --- | --- | --- | --- |",
        "| wall | 0.2 s | 1.5 s | 7.46 | >= 5 | met |",
    ] == markdown(target_cells(rows[:1])).splitlines()


def test_headlines_are_few_and_plain() -> None:
    """The README's table has the figures with a headline, without targets."""
    rows = [
        Row("CPU: ours / other", "2 ms", "4 ms", 0.5, Target(1), headline=Headline("CPU time", "other")),
        Row("CPU: ours / floor", "2 ms", "1 ms", 2),
    ]
    assert [("", "ours", "compared with", ""), ("CPU time", "2 ms", "other", "4 ms")] == headline_cells(rows)


def test_text_is_put_between_markers() -> None:
    """Only the text between the markers is replaced; a second time changes nothing."""
    document = "before <!-- name -->old<!-- end of name --> after"
    written = between_markers(document, "name", "new")
    assert "before <!-- name -->\n\nnew\n\n<!-- end of name --> after" == written
    assert written == between_markers(written, "name", "new")


@pytest.mark.parametrize("document", ["", "<!-- name -->", "<!-- end of name --><!-- name -->", "<!-- name -->" * 2])
def test_markers_that_are_not_there_are_missed(document: str) -> None:
    """A document without the markers is an error."""
    with pytest.raises(ValueError, match=r"one <!-- name --> and one <!-- end of name -->"):
        between_markers(document, "name", "new")


@pytest.mark.parametrize("path", [README, PAGE], ids=lambda path: path.stem)
def test_there_is_a_place_for_the_figures(path: Path) -> None:
    """README and page have the markers, and show the chart in benchmarks/."""
    document = path.read_text()
    assert "\n\nnew\n\n" in between_markers(document, "benchmarks", "new")
    assert "benchmarks/speed.svg)" in document
    assert (ROOT / "benchmarks" / "speed.svg").is_file()


def test_the_readme_shows_the_figures_of_the_page() -> None:
    """The README shows six figures, and each is in the whole table with both of its values."""
    page = PAGE.read_text()
    shown = README.read_text().partition("<!-- benchmarks -->")[2].partition("<!-- end")[0].strip().splitlines()[2:]
    assert 6 == len(shown)
    for line in shown:
        _, ours, _, reference = line.strip("| ").split(" | ")
        assert f"| {ours} | {reference} |" in page


def test_the_longest_block_is_noted() -> None:
    """The longest time from the end of a wait to the start of the next counts; waits do not."""
    times = iter([0, 1, 10, 14, 20, 22, 30])  # the start, then begin and end of each wait
    with Watch(clock=lambda: next(times)) as watch:
        for _ in range(3):
            watch.select(timeout=0)
    assert 4 == watch.longest
