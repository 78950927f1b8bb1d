"""Independent sources: contributions with a common origin count as one."""

from dataclasses import replace
from typing import Any

import pytest
from support.contributions import NOW, SCALE, contribution

from tocsin.admission import formats
from tocsin.admission.merge.sources import early_reports, group_by_origin
from tocsin.admission.merge.statistics import compute_statistics


def count_contributors(*contributions: Any) -> Any:
    return compute_statistics(contributions, (), SCALE, NOW).contributors


def with_reference(**reference: Any) -> Any:
    """Properties with one external reference."""
    return {"external_references": [{"source_name": "blog", **reference}]}


class TestPartners:
    def test_different_partners_are_different_sources(self) -> None:
        assert count_contributors(contribution("a"), contribution("b")) == 2

    def test_partners_of_one_group_are_one_source(self) -> None:
        a, b = contribution("a", group="g"), contribution("b", group="g")
        assert count_contributors(a, b, contribution("c", group="h")) == 2


class TestObjectIds:
    @pytest.mark.parametrize("version", [3, 4, 5])
    def test_a_guessed_id_of_another_partner_confirms_nothing(self, version: int) -> None:
        name = f"indicator--6f1e0c6a-9d1b-{version}f0a-8c3d-1a2b3c4d5e6f"
        a, b = contribution("a", source_id=name), contribution("b", source_id=name)
        assert count_contributors(a, b) == 2

    def test_two_partners_that_list_the_same_value_in_csv_are_two_sources(self) -> None:
        both = [
            next(formats.read("a.csv", f"value\n{value}\n".encode(), formats.ReadOptions(now=NOW)))
            for value in ("evil.top", "evil[.]top")
        ]
        assert both[0].source_id == both[1].source_id
        contributions = [
            contribution(partner, source_id=each.source_id)
            for partner, each in zip("ab", both, strict=True)
        ]
        assert count_contributors(*contributions) == 2


class TestExternalReferences:
    @pytest.mark.parametrize("same", [{"url": "https://a.example/r/1"}, {"external_id": "R-1"}])
    def test_two_partners_that_cite_the_same_report_are_one_source(self, same: Any) -> None:
        report = with_reference(**same)
        assert count_contributors(contribution("a", **report), contribution("b", **report)) == 1

    @pytest.mark.parametrize(
        "common",
        [
            {"url": "https://a.example/"},
            {"source_name": "mitre-attack", "external_id": "T1566"},
            {"source_name": "cve", "external_id": "CVE-2026-1", "url": "https://nvd.example/1"},
        ],
    )
    def test_a_common_site_or_catalogue_does_not_show_a_common_origin(self, common: Any) -> None:
        both = with_reference(**common)
        assert count_contributors(contribution("a", **both), contribution("b", **both)) == 2

    def test_a_source_depends_only_on_sources_that_count(self) -> None:
        first = contribution("a", group="g")
        second = contribution("b", group="g", **with_reference(external_id="R-1"))
        third = contribution("c", **with_reference(external_id="R-1"))
        assert len(group_by_origin([first, third])) == 2
        assert len(group_by_origin([second, third])) == 1
        assert len(group_by_origin([first, second, third])) == 2


def quoting(partner: str, *reports: int, **more: Any) -> Any:
    """A contribution that cites reports by number."""
    cited = [{"source_name": "blog", "external_id": f"R-{each}"} for each in reports]
    return contribution(partner, external_references=cited, **more)


class TestQuotingEverybody:
    """The partner that cites what everybody cites takes no place but its own."""

    def test_the_last_to_report_takes_no_source_away(self) -> None:
        three = [quoting("a", 1), quoting("b", 2), quoting("c", 3)]
        everything = quoting("d", *range(100), received=NOW + 1)
        assert count_contributors(*three) == count_contributors(*three, everything) == 3

    def test_the_first_to_report_takes_no_source_away(self) -> None:
        three = [quoting("a", 1), quoting("b", 2), quoting("c", 3)]
        assert count_contributors(quoting("d", *range(100), received=NOW - 1), *three) == 3

    def test_correcting_an_early_report_takes_no_source_away(self) -> None:
        three = [quoting("a", 1), quoting("b", 2), quoting("c", 3)]
        early = quoting("d", 4, received=NOW - 1)
        later = quoting("d", *range(100), received=NOW + 1, first_reported=NOW - 1)
        assert count_contributors(early, *three) == 4
        assert count_contributors(later, *three) == 3


class TestGuessesAtWhatOthersCite:
    """The references of one partner are published; the counts tell nothing of the others'."""

    @pytest.mark.parametrize("first", [0, 1])
    def test_many_at_once_count_the_same_whether_one_is_right_or_not(self, first: int) -> None:
        cited = quoting("victim", 0, received=NOW)
        guess = quoting("curious", *range(first, first + 20), received=NOW + 1)
        assert count_contributors(cited, guess) == 1

    @pytest.mark.parametrize("more", [{}, {"url": "https://a.example/r/"}])
    @pytest.mark.parametrize(("cited", "sources"), [(8, 2), (9, 1)])
    def test_nine_reports_are_too_many_whether_cited_by_url_too_or_not(
        self, more: dict[str, str], cited: int, sources: int
    ) -> None:
        references = [
            {"source_name": "blog", "external_id": f"R-{each}"}
            | {name: f"{start}{each}" for name, start in more.items()}
            for each in range(cited)
        ]
        many = contribution("curious", external_references=references, received=NOW + 1)
        assert count_contributors(quoting("victim", 99), many) == sources

    @pytest.mark.parametrize("guess", [0, 1])
    def test_late_ones_count_the_same_whether_they_are_right_or_not(self, guess: int) -> None:
        cited = quoting("victim", 0, received=NOW)
        before = quoting("curious", 7, received=NOW - 1)
        late = quoting("curious", guess, 7, received=NOW + 1)
        late = replace(late, early_reports=early_reports(late, [before]))
        assert count_contributors(cited, late) == 2
        assert count_contributors(quoting("north", 7), late) == 1
