"""A partner's names, domains, hosts and mailboxes are masked as wholes, in every spelling.

The documented set-up is tested: the short name of the partner is a part of its domain.
"""

import json
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.disguises import DISGUISES, NOT_FOUND
from support.examples import examples
from support.hub import GREEN, HubInProcess, indicator, sdo
from support.presence import present

from tocsin.admission import Pipeline, parse_policy
from tocsin.admission.detectors.terms import TermMatcher
from tocsin.admission.formats import ReadOptions, read
from tocsin.admission.model import Candidate, Consent, Submitter, Tlp, Verdict
from tocsin.admission.warninglists.index import WarningLists
from tocsin.config.loading import policy_text
from tocsin.server.model import Partner

NOW = 1_790_000_000_000_000
ACME = Submitter(partner="acme", names=("ACME Corp",), terms=("acme-grid.example",))
KEEPING = parse_policy(
    policy_text(None).replace('custom_properties = "strip"', 'custom_properties = "keep"')
)
SLUGS = ("acme", "nordlicht", "grid7", "zk")
DOMAINS = (
    "{}-grid.example",
    "grid-{}.example",
    "{}.example",
    "net.{}-werke.co.uk",
    "{}-b\u00fcro.de",
)
STAFF = ("jane.doe", "jdoe99", "j_doe+mail", "doe-jane")
MACHINES = ("vpn7", "srv-k12.fra3", "_dmarc9", "owa88.eu2")
many_examples = settings(
    max_examples=examples(150, 30), deadline=None, suppress_health_check=list(HealthCheck)
)


def to_ascii(domain: str) -> str:
    return domain.encode("idna").decode() if not domain.isascii() else domain


HOST_SPELLINGS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "capitals": str.upper,
    "brackets": lambda host: host.replace(".", "[.]"),
    "one bracket": lambda host: "[.]".join(host.rsplit(".", 1)),
    "parentheses": lambda host: host.replace(".", "(.)"),
    "words": lambda host: host.replace(".", "[dot]"),
    "backslashes": lambda host: host.replace(".", "\\."),
    "percent": lambda host: host.replace(".", "%2E"),
    "entities": lambda host: host.replace(".", "&#46;"),
    "punycode": to_ascii,
    "trailing dot": lambda host: f"{host}.",
    "invisible": lambda host: host.replace("e", "e\u200b"),
    "full width": lambda host: host.replace(".", "\uff0e"),
    "port": lambda host: f"{host}:8443",
}
AROUND = (
    "{}",
    "Seen: {} today",
    "({})",
    "hxxps://{}/a/b?c=1",
    "https://{}",
    "\\\\{}\\share",
    "/var/log/{}/x.log",
    "Received: from {} by mx.example.net",
    '"{}"',
    "a,{},b",
)
MAIL_AROUND = (
    "{}",
    "To: {}, x",
    "To: <{}>",
    'Cc: "D." <{}>',
    "mailto:{}",
    "Delivered-To: {}",
    "https://evil.top/?to={}",
    "hxxps://{}/",
    "Message from {}.",
)
AT_SIGNS = ("@", "[@]", "[at]", "(at)", "%40", " @ ")


@st.composite
def planted(draw: Any) -> tuple[Submitter, str, list[str]]:
    """A partner, a text with a host name or a mailbox of it, and what must not remain."""
    slug, pattern = draw(st.sampled_from(SLUGS)), draw(st.sampled_from(DOMAINS))
    domain = pattern.format(slug)
    submitter = Submitter(partner=slug, names=(f"{slug.title()} Energie AG",), terms=(domain,))
    spell = HOST_SPELLINGS[draw(st.sampled_from(sorted(HOST_SPELLINGS)))]
    machine = draw(st.sampled_from(("", *MACHINES)))
    host = spell(f"{machine}.{domain}" if machine else domain)
    secrets = [part for part in machine.split(".") if part]
    around = draw(st.sampled_from(AROUND))
    if draw(st.booleans()):
        person = draw(st.sampled_from(STAFF))
        host = f"{person}{draw(st.sampled_from(AT_SIGNS))}{host}"
        secrets.append(person)
        around = draw(st.sampled_from(MAIL_AROUND))
    named = next(label for label in domain.split(".") if slug in label)
    secrets += [domain, to_ascii(domain), *((named, to_ascii(named)) if len(named) > 4 else ())]
    return submitter, around.format(host), secrets


def carriers(text: str) -> Iterator[dict[str, Any]]:
    """Objects with the text wherever people write."""
    yield indicator(
        name=text,
        description=f"It says:\n{text}\nand more",
        labels=["phishing", text],
        x_note={"deep": [text]},
        external_references=[
            {"source_name": text, "external_id": "1"},
            {"source_name": "blog", "description": text, "url": f"https://a.example/{text}"},
        ],
    )
    yield sdo("malware", name=text, is_family=True, aliases=[text])
    yield {
        "type": "email-addr",
        "spec_version": "2.1",
        "id": "email-addr--11111111-1111-4111-8111-111111111111",
        "value": "phisher@evil.top",
        "display_name": text,
        "object_marking_refs": [GREEN],
    }


def values(text: str) -> Iterator[dict[str, Any]]:
    """Objects that are about the text."""
    quoted = text.replace("\\", "\\\\").replace("'", "\\'")
    yield indicator(pattern=f"[url:value = '{quoted}']")
    yield indicator(pattern=f"[file:name = '{quoted}']")
    yield {
        "type": "file",
        "spec_version": "2.1",
        "id": "file--11111111-1111-4111-8111-111111111111",
        "name": text,
        "object_marking_refs": [GREEN],
    }


def examine(submitter: Submitter, subjects: Any, policy: Any = KEEPING) -> list[Candidate]:
    sent = [Candidate(i, each, each["id"], each.get("modified")) for i, each in enumerate(subjects)]
    return Pipeline(policy, submitter, WarningLists([])).examine(sent, NOW)


def with_new_id(subject: dict[str, Any]) -> dict[str, Any]:
    return subject | {"id": f"{subject['type']}--{uuid.uuid4()}"}


def description_after(text: str, submitter: Submitter = ACME) -> str:
    (candidate,) = examine(submitter, [indicator(description=text)])
    return str(present(candidate.object)["description"])


class TestHostsAndMailboxes:
    @pytest.mark.slow
    @many_examples
    @given(planted())
    def test_nothing_of_a_host_or_mailbox_below_an_own_domain_is_left_in_a_text(
        self, case: tuple[Submitter, str, list[str]]
    ) -> None:
        submitter, text, secrets = case
        for candidate in examine(submitter, carriers(text)):
            assert candidate.is_open, candidate.findings
            shown = json.dumps(candidate.object, ensure_ascii=False).lower()
            assert not [each for each in secrets if each.lower() in shown], shown

    @pytest.mark.slow
    @many_examples
    @given(planted())
    def test_an_object_about_an_own_host_or_mailbox_is_published_without_it_at_most(
        self, case: tuple[Submitter, str, list[str]]
    ) -> None:
        """A mailbox is cut out of a URL's parameter; everything else is held."""
        submitter, text, secrets = case
        for candidate in examine(submitter, values(text)):
            shown = json.dumps(candidate.object, ensure_ascii=False).lower()
            is_cut = "?" in text and not [each for each in secrets if each.lower() in shown]
            assert not candidate.is_open or is_cut, shown

    @pytest.mark.slow
    @many_examples
    @given(planted())
    def test_a_masked_object_is_not_changed_by_a_second_admission(
        self, case: tuple[Submitter, str, list[str]]
    ) -> None:
        submitter, text, _ = case
        once = [each.object for each in examine(submitter, carriers(text))]
        assert [each.object for each in examine(submitter, once)] == once

    @pytest.mark.parametrize(
        ("before", "after"),
        [
            ("jane.doe@acme-grid.example wrote", "{} wrote"),
            ("at vpn.acme-grid[.]example:8443/x", "at {}:8443/x"),
            ("jane at acme-grid dot example", "{}"),
            ("Seen at acme-grid.example", "Seen at {}"),
            ("to news+jane.doe=acme-grid.example@list.test", "to {}"),
            ("to news+jane.doe=mail.acme-grid.example@list.test", "to {}"),
            ("to jane.doe%acme-grid.example@relay.test", "to {}"),
            ("to =?utf-8?q?Jane_Doe?= <jdoe@acme-grid.example>", "to {}>"),
            ("?domain=acme-grid.example in it", "?domain={} in it"),
            ("to jane.doe(a)acme-grid.example", "to {}"),
            ("to jane.doe -at- acme-grid.example", "to {}"),
            ("to jane.doe@ acme-grid.example now", "to {} now"),
            ("x - acme-grid.example", "x - {}"),
            (r"acme-grid.example\jdoe logged on.", "{} logged on."),
        ],
    )
    def test_the_mask_names_the_domain_and_leaves_the_sentence(
        self, before: str, after: str
    ) -> None:
        mask = "[removed: victim's name, domain or network]"
        assert description_after(before) == after.format(mask)

    @pytest.mark.parametrize(
        ("before", "after"),
        [
            (r"ACME\jdoe logged on", "{} logged on"),
            (r"(ACME\\jane.doe)", "({})"),
            (r"by AcmeCorp\FS01$.", "by {}."),
            (r"C:\Tools\ACME\agent", r"C:\Tools\{}\agent"),
            (r"ACME\agent.exe", r"{}\agent.exe"),
            (r"ACME\tools\x", r"{}\tools\x"),
        ],
    )
    def test_an_account_of_a_domain_with_the_name_is_masked_and_a_path_is_not(
        self, before: str, after: str
    ) -> None:
        assert description_after(before) == after.format("[removed: submitter's name]")

    def test_a_mailbox_elsewhere_that_holds_the_name_is_masked_as_a_whole(self) -> None:
        after = description_after("ask acme.support@mail.com or dc01.acme.local")
        assert after == "ask {0} or {0}".format("[removed: submitter's name]")

    @pytest.mark.parametrize("policy", ['text = "keep"', 'text = "replace"'])
    def test_the_host_goes_with_the_name_though_domains_may_stay(self, policy: str) -> None:
        text = f"{policy_text(None)}\n[rules.victim_terms]\n{policy}\n"
        subject = indicator(description="vpn7.acme-grid.example")
        (candidate,) = examine(ACME, [subject], parse_policy(text))
        assert "vpn7" not in str(candidate.object) and "grid" not in str(candidate.object)


class TestBesideNames:
    @pytest.mark.parametrize(
        "text",
        [
            r"\\acme-fs01\home$\jdoe\x",
            r"\\fs01.acme-grid.example\Users\jdoe",
            r"C:\Users\ACME.jdoe\x",
            r"account AcmeBank\jdoe",
            "https://acme-my.sharepoint.com/personal/jdoe_acme_example/x",
            "https://jdoe:x12@vpn.acme-grid.example/",
            "GET /login?domain=acme&user=jdoe HTTP/1.1",
            "CN=jdoe,OU=Users,DC=acme-grid,DC=example",
            "CN=jdoe,OU=ACME Corp,DC=corp,DC=local",
            "logged on to acme-srv01 as j.jdoe",
            "https://acme-grid.example/login?token=jdoe",
            "hxxps://vpn[.]acme-grid[.]example/?sid=jdoe",
            r"psexec \\acme-srv -u acme\admin -p jdoe",
            "Uid=acme;Pwd=jdoe",
            "curl -u acme:jdoe http://a.test",
        ],
    )
    def test_people_and_secrets_beside_the_submitters_name_are_masked_too(self, text: str) -> None:
        """The mask of the name must not hide from the other rules what stands beside it."""
        after = description_after(f"Seen: {text}").lower()
        assert "[removed: " in after and "jdoe" not in after and "acme" not in after

    @pytest.mark.parametrize(
        "text",
        [
            r"user: ACME Corp\jdoe",
            r"runas /user:ACME Corp\jdoe",
            "user: A.C.M.E. Corp",
            "user: svc.acme corp",
            "X-Api-Key: A.C.M.E. Corp",
            "/var/mail/acme corp",
        ],
    )
    def test_no_part_of_the_name_remains_behind_the_mask_of_an_account(self, text: str) -> None:
        after = description_after(f"Seen: {text}")
        assert "[removed: " in after
        assert not [each for each in ("jdoe", "acme", "corp") if each in after.lower()]

    def test_the_name_stays_behind_one_if_its_owner_consents(self) -> None:
        submitter = replace(ACME, consent=Consent.EVERYONE)
        text = "user: A.C.M.E. Corp"
        assert description_after(text, submitter) == "user: [removed: account name]. Corp"


class TestCamelCase:
    GRID = ("KestrelGrid",)

    @pytest.mark.parametrize(
        "text",
        ["kestrel-grid", "KESTREL_GRID", "Kestrel Grid", "kestrelGridVPN", "KestrelgridVPN"],
    )
    def test_the_parts_of_a_name_are_found_apart(self, text: str) -> None:
        ((start, end),) = set(TermMatcher(self.GRID).find(f"at {text} now"))
        assert (start, end) >= (3, 3 + len("kestrelGrid"))

    def test_common_words_are_not_a_name_in_camel_case(self) -> None:
        assert not TermMatcher(("PowerGrid",)).find("an outage of the power grid")


class TestLegalForms:
    @pytest.mark.parametrize("name", ["Nord Energie GmbH", "Nord Energie S.A.", "Nord Energie Ltd"])
    def test_a_name_is_found_without_its_legal_form(self, name: str) -> None:
        assert TermMatcher((name,)).find("at nord-energie now") == [(3, 15)]

    def test_one_word_without_its_legal_form_is_too_common(self) -> None:
        assert not TermMatcher(("Delta AG",)).find("the delta variant")


class TestWildcards:
    @pytest.mark.parametrize("text", ["nordw_nd", "%Nordw_nd%"])
    def test_a_pattern_with_a_name_of_which_one_letter_may_be_any_is_held(self, text: str) -> None:
        subject = indicator(name="a", pattern=f"[process:command_line LIKE '{text}']")
        (found,) = examine(replace(ACME, names=("Nordwind",)), [subject])
        assert found.verdict is Verdict.HELD

    @pytest.mark.parametrize("text", ["nord_ind_a", "%wind_nord%", "%nor_d%"])
    def test_other_words_with_wildcards_are_not_held(self, text: str) -> None:
        subject = indicator(name="a", pattern=f"[process:command_line LIKE '{text}']")
        (found,) = examine(replace(ACME, names=("Nordwind",)), [subject])
        assert found.verdict is not Verdict.HELD


class TestShortName:
    @pytest.mark.parametrize("value", ["helpdesk.acme@bad.com", "help-acme@bad.com"])
    def test_a_value_with_the_short_name_is_held_for_its_masked_name_says_whose_it_is(
        self, value: str
    ) -> None:
        subject = indicator(name=value, pattern=f"[email-addr:value = '{value}']")
        (found,) = examine(ACME, [subject])
        assert found.verdict is Verdict.HELD
        (named,) = examine(replace(ACME, consent=Consent.EVERYONE), [with_new_id(subject)])
        assert named.verdict is not Verdict.HELD


class TestWholeHub:
    @pytest.mark.slow
    def test_no_reader_gets_a_host_or_mailbox_from_a_raw_post(self, hub: HubInProcess) -> None:
        hub.join(Partner("grid7", "Grid7 Energie AG", terms=("net.grid7-b\u00fcro.de",)))
        for spell in HOST_SPELLINGS.values():
            host = spell("vpn77.net.grid7-b\u00fcro.de")
            for text in (f"https://{host}/x", f"To: <jane.doe@{host}>", f"jdoe99[at]{host}"):
                hub.push(*map(with_new_id, (*carriers(text), *values(text))), who="grid7")
        shown = json.dumps(hub.feed("green", "north"), ensure_ascii=False).lower()
        assert "evil-portal" in shown
        secrets = ("vpn77", "jane", "jdoe99", "grid7", "b\u00fcro", "bro-")
        assert not [each for each in secrets if each in shown], shown

    def test_no_indicator_is_made_from_an_own_host_in_a_report(self) -> None:
        report = (
            b"Incident report\n\nThe mail to jane.doe@acme-grid[.]example came from"
            b" evil-portal[.]top (198.51.99.7) and led to"
            b" hxxps://vpn7[.]acme-grid[.]example/login on their network.\n"
        )
        found = list(read("report.txt", report, ReadOptions(now=NOW, tlp=Tlp.GREEN)))
        examined = Pipeline(KEEPING, ACME, WarningLists([])).examine(found, NOW)
        shown = json.dumps([each.object for each in examined if each.is_open])
        assert "evil-portal.top" in shown
        assert not [each for each in ("vpn7", "jane.doe", "acme", "-grid") if each in shown]


class TestDisguises:
    @pytest.mark.parametrize("kind", sorted(DISGUISES))
    def test_a_disguised_name_is_masked_in_a_text(self, kind: str) -> None:
        after = description_after(f"Seen by {DISGUISES[kind]} on Monday")
        assert after.startswith("Seen by ") and after.endswith(" on Monday")
        assert "[removed: submitter's name]" in after
        assert DISGUISES[kind] not in after

    @pytest.mark.parametrize(
        ("name", "disguise", "text"),
        [
            ("Nordbank", "N0rdbank", "seen for {}"),
            ("Nordbank", "NordbankVPN", "server {}"),
            ("Nordbank", "N\u043erdbank", "for {} today"),
            ("Nordbank", "N.o.r.d.b.a.n.k", "for {}"),
            ("Nordbank", "Nord<b>bank</b>", "our {}"),
            ("Nordbank AG", "N0rdbank%20AG", "path={}"),
            ("nordbank.example", "n\u043erdbank[dot]example", "at {}"),
            ("nordbank.example", "n\u043erdbank dot example", "at {}"),
            ("Ventura", "V3ntura", "Liv {}"),
            ("Kohler", "K0hler", "{} network"),
            ("Markus Werke", "rn4rkus vv3rke", "for {}"),
        ],
    )
    def test_a_disguised_name_is_masked_whatever_stands_beside_it(
        self, name: str, disguise: str, text: str
    ) -> None:
        submitter = Submitter(partner="zk", names=(name,), terms=(name,))
        assert len(TermMatcher((name,)).find(text.format(disguise))) == 1
        after = description_after(text.format(disguise), submitter)
        assert "[removed: " in after and disguise not in after

    @pytest.mark.parametrize(
        "name", ["Internet Security AG", "Global Data Services Ltd", "Delta AG"]
    )
    def test_without_its_legal_form_a_name_of_ordinary_words_stays(self, name: str) -> None:
        text = f"The {name.rpartition(' ')[0]} report of Monday"
        assert description_after(text, Submitter(partner="zk", names=(name,))) == text

    @pytest.mark.parametrize("kind", sorted(NOT_FOUND))
    def test_a_disguise_that_the_documents_name_as_not_found_stays(self, kind: str) -> None:
        text = f"Seen by {NOT_FOUND[kind]} on Monday"
        assert description_after(text) == text

    @pytest.mark.parametrize(
        "text",
        [
            "acmecorporation, pharmacmetric, an acne cream and the academe",
            "a c.m and e; 4 cm 3 mm; d41d8cd98f00b204e9800998ecf8427e",
            "RedAcorn, macOS, ACM Europe, A.C. Milan and E",
            "SGVsbG8gd29ybGQ= is hello, 48656c6c6f too",
            "hxxps://evil[.]top/acm/e?x=acm%65x",
        ],
    )
    def test_words_that_only_look_like_a_name_stay(self, text: str) -> None:
        assert description_after(text) == text

    @pytest.mark.parametrize(
        "name",
        [
            *("Acme **Corp**", "AC**ME** Corp", "Acme~~ ~~Corp", "Acme` `Corp"),
            *("Acme&ensp;Corp", "Acme&thinsp;Corp", "Acme&NonBreakingSpace;Corp", "Acme&Tab;Corp"),
        ],
    )
    def test_nothing_between_the_words_of_a_name_hides_it(self, name: str) -> None:
        after = description_after(f"Seen by {name} on Monday")
        assert "[removed: submitter's name]" in after and "Corp" not in after

    def test_the_name_of_an_actor_that_holds_a_partners_name_stays(self) -> None:
        delta = Submitter(partner="delta", names=("Delta Bank",))
        assert description_after("used by RedDelta.", delta) == "used by RedDelta."

    @pytest.mark.parametrize(
        "piece",
        [
            *("acme ", "acme.", "a.", "acme-grid.example ", "@acme", "A.C.M.E", "<b>", "<a", "[.]"),
            *("\u0430cme ", "AcmeAcme", "acme@", "QWNtZSBDb3Jw ", " dot ", "-\n", "Name: ", "To: "),
            *("Jane Doe ", "Suite 1 ", "12 a b ", "address: ", "Dear A,", "User: a ", "A\n"),
            *("acme*", "acme`~", "41 ", "41 00 ", "4100", "0041", "41 41 41 41x "),
            *("45.12.", "45.12.x."),
        ],
    )
    @pytest.mark.slow
    def test_a_hostile_text_is_searched_in_linear_time(self, piece: str) -> None:
        times, size = [], 20_000
        for length in (size, 8 * size):
            subject = indicator(description=(piece * length)[:length])
            started = time.thread_time()
            examine(ACME, [subject])
            times.append(time.thread_time() - started)
        assert times[1] < 19 * times[0] + 0.2, times
