"""Texts about an incident: what may be the writer's or a victim's is held."""

import pytest
from support.reading import values

from tocsin.admission import formats
from tocsin.admission.formats import ReadOptions
from tocsin.admission.model import Candidate, Verdict

NOW = 1_790_000_000_000_000
OTHER, OWN = "45.9.70.7", "81.2.3.4"


def read(text: str, name: str = "ticket.txt") -> list[Candidate]:
    return list(formats.read(name, text.encode(), ReadOptions(now=NOW)))


def taken(text: str, name: str = "ticket.txt") -> list[str]:
    """The values that are not held."""
    return values(read(text, name))


def held(text: str) -> list[str]:
    return [
        each.object["pattern"].split("'")[-2]
        for each in read(text)
        if each.object and each.verdict is Verdict.HELD
    ]


class TestTextsAboutIncidents:
    @pytest.mark.parametrize(
        "line",
        [
            *("The machine is 10.1.2.3.", "User: jane", "Victim: Lab", "Kind regards,"),
            *("We blocked it on our proxy.", "Bitte prüfen Sie Ihren Server.", "当社の端末です。"),
            "Please tell Jane Doe (jane@lab.org) about the call today.",
            "src=45.9.70.1 dst=45.9.70.2 action=allow",
        ],
    )
    def test_a_value_that_nobody_calls_an_attackers_is_held(self, line: str) -> None:
        assert OWN in held(f"Ticket 7\n{line}\n\nThe address is {OWN} since May.\n")

    @pytest.mark.parametrize(
        "line",
        ["The malware is new.", "Questions: see below", "Our researchers saw it.", ""],
    )
    def test_in_other_texts_it_is_taken(self, line: str) -> None:
        assert taken(f"Report 7\n{line}\n\nThe address is {OWN} since May.\n") == [OWN]

    def test_a_private_address_between_values_makes_none(self) -> None:
        assert OWN in taken(f"{OWN} and 10.1.2.3")

    def test_in_a_file_that_is_called_indicators_it_is_taken(self) -> None:
        text = f"Seen by our proxy.\n\nThe address is {OWN} since May.\n"
        assert (taken(text), taken(text, "c2s.txt")) == ([], [OWN])

    def test_the_finding_names_the_line_and_what_to_do(self) -> None:
        (candidate,) = read(f"Seen on our server.\n\nThe address is {OWN} since May.\n")
        (finding,) = candidate.findings
        assert finding.message.startswith("line 3: the text also names what is yours")
        assert "defang it" in finding.message

    def test_many_lines_are_a_log_that_nobody_wrote_about_an_incident(self) -> None:
        text = "Seen on our server.\n" + "\n" * 2_000 + f"The address is {OWN} since May.\n"
        assert taken(text) == [OWN]

    def test_values_beyond_those_that_are_looked_at_in_time_are_held(self) -> None:
        lines = [" | ".join(f"c2 evil{n}-{m}.top" for m in range(60)) for n in range(12)]
        found = read("\n".join(["Seen on our server.", "The C2 is first.top.", *lines]))
        verdicts = [each.verdict for each in found]
        assert len(verdicts) == 721 and verdicts[:100] == [Verdict.OPEN] * 100
        assert verdicts[-1] is Verdict.HELD


class TestWhomAnAttackHit:
    @pytest.mark.parametrize(
        "sentence",
        [
            *(
                "The attacker attacked {}.",
                "There was a DDoS attack against {}.",
                "Angriff auf {}.",
            ),
            *("The attacker logged in to {}.", "They exploited {}.", "attaque contre {}"),
            *("Malware was found on {}.", "There was C2 traffic from {} to 45.9.70.7."),
            *("Hosts attacked by the malware:\n{}", "Systems that the malware encrypted:\n{}"),
            *("The attacker had access to:\n{}", "phishing recipients:\n{}"),
        ],
    )
    def test_is_held(self, sentence: str) -> None:
        assert OWN in held(f"Seen on our server.\n\n{sentence.format(OWN)}\n")

    @pytest.mark.parametrize(
        "sentence",
        [
            *("The attack came from {}.", "We were attacked from {}.", "Angriff von {}."),
            *("Our server had C2 traffic to {}.", "Malware was loaded from {}.", "C2: {}"),
        ],
    )
    def test_where_it_came_from_is_taken(self, sentence: str) -> None:
        assert taken(f"Seen on our server.\n\n{sentence.format(OTHER)}\n") == [OTHER]


class TestWordsForAttackers:
    @pytest.mark.parametrize(
        "words",
        [
            *("C2: {}", "Attacker IP: {}", "the attacker came from {}", "{} (C2)", "- {} is a C2"),
            *("beacons to {} each minute", "connections to {}, port 443", "{} was blocked"),
            *("{}, which we blocked", "Angreifer-IP {}", "Verbindungen zu {} auf Port 443"),
            *("connexion vers {}", "conexión hacia {}", "l'attaccante usa {}", "praat met {}"),
            *("połączenie z atakującym: {}", "útočník z {}", "攻击者IP:{}", "通信先は {} です"),
            *("зловмисники: {}", "공격 IP: {}", "saldırgan IP: {}", "angriparen: {}"),
            "brute force from 45.9.70.9 and {}",
            "| C2 | {} | May |",
            "10.1.2.3 -> {} (C2)",
        ],
    )
    def test_make_it_one(self, words: str) -> None:
        text = f"Seen on our server.\n\n{words.format(OTHER)}\n"
        assert OTHER in taken(text), held(text)

    def test_above_a_list_count_for_its_members(self) -> None:
        text = f"Seen on our server.\n\nScanners that attack us:\n- {OTHER}\n- 45.9.70.8\n"
        assert taken(text) == [OTHER, "45.9.70.8"]

    def test_a_value_that_is_defanged_is_one(self) -> None:
        assert taken("Our server saw\n\n45.9.70[.]7 and evil[.]com\n") == [
            OTHER,
            "evil.com",
        ]

    def test_hashes_and_hidden_services_are_never_held(self) -> None:
        md5, onion = "e" * 32, "a" * 56 + ".onion"
        assert set(taken(f"Seen on our server.\n\n{md5} and {onion}\n")) == {md5, onion}

    def test_the_mailbox_of_a_ransom_note_is_never_held(self) -> None:
        note = "Your files are encrypted on your network.\nWrite us: joe@bad.com or ann@bad.com\n"
        assert "joe@bad.com" in taken(note)


class TestWordsForTheOwnSide:
    @pytest.mark.parametrize(
        "words",
        [
            *("C2 traffic from our gateway {} today", "your address {} contacted a C2"),
            *("infected host {} was seen", "Public IP: {}", "{} (our NAT) was attacked by many"),
            *("blocked on the firewall {} at noon", "phishing was blocked on our proxy {}"),
            *("von Ihrer Adresse {} kam Malware", "{} is our scanner, do not block"),
            *("attack via the test system {}", "Angriff über den alten Server {}"),
            *("当社のアドレス {} が攻撃された", "我司公网IP {} 遭到攻击", "피해 서버 {} 공격"),
            "| victim | {} | C2 traffic |",
        ],
    )
    def test_keep_it(self, words: str) -> None:
        text = f"Seen on our server.\n\n{words.format(OWN)}\n"
        assert OWN not in taken(text)

    def test_in_one_place_outweigh_those_for_attackers_in_another(self) -> None:
        text = f"Seen on our server.\n\nC2 traffic to {OWN} was seen.\n{OWN} is our own resolver.\n"
        assert taken(text) == []

    def test_both_ends_of_a_connection_are_told_apart(self) -> None:
        text = f"From our server {OWN} we saw connections to {OTHER}, port 443.\n"
        assert taken(text) == [OTHER]

    def test_the_sender_of_a_text_that_begins_as_a_mail_is_held(self) -> None:
        text = "From: Jane <jane@lab.org>\nTo: soc@cert.example\n\nOur server was attacked.\n"
        assert held(text) == ["jane@lab.org"]

    def test_in_one_place_of_a_line_outweigh_those_for_attackers_in_another(self) -> None:
        seen = f"C2 traffic to {OWN} was seen, but {OWN} is our own resolver."
        text = f"Seen on our server.\n\n{seen}\n"
        assert held(text) == [OWN]

    def test_a_longer_value_is_another_one(self) -> None:
        text = f"On our server: C2 145.9.70.71 was blocked. Then there is {OTHER} too.\n"
        assert held(text) == [OTHER]

    def test_a_host_below_a_domain_that_is_called_onion_is_no_hidden_service(self) -> None:
        assert held("Seen on our server.\n\nThen vpn.onion.lab.org\n") == ["vpn.onion.lab.org"]
