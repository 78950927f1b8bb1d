"""personal_data: names of persons, postal addresses, national and partly hidden numbers."""

import pytest
from support.rules import apply_rule, indicator, sanitise_description

from tocsin.admission.detectors.person_names import find_person_names
from tocsin.admission.model import Action, Verdict
from tocsin.admission.rules import approve_settings

RULE = "personal_data"


class TestNames:
    @pytest.mark.parametrize(
        ("before", "after"),
        [
            ("Reported by Jane Doe on Monday", "Reported by {} on Monday"),
            ("contact: Jürgen von der Müller.", "contact: {}."),
            ("The laptop of Mrs. O'Neill was hit", "The laptop of Mrs. {} was hit"),
            ("Herr Meier opened it", "Herr {} opened it"),
            ("Frau Dr. med. Krause, Herrn Vogt", "Frau Dr. med. {}, Herrn {}"),
            ("M. Julien Moreau, De heer Verhoeven", "M. {}, De heer {}"),
            ("un appel de M. Moreau", "un appel de M. {}"),
            ("a paper of Robert M. Lee in 2016", "a paper of Robert M. Lee in 2016"),
            ("Owner: Karen Whitfield; Zuständig: Jürgen Groß", "Owner: {}; Zuständig: {}"),
            ("It is isolated.\nThanks,\nKaren Whitfield\n", "It is isolated.\nThanks,\n{}\n"),
            ("To: Brennan, Tom; Whitfield, Karen\nSubject: x", "To: {}; {}\nSubject: x"),
            ("An: Vogt, Thomas\nBetreff: x", "An: {}\nBetreff: x"),
            ("Then Karen Whitfield clicked on it", "Then {} clicked on it"),
            ("Yesterday Karen Whitfield told us", "Yesterday {} told us"),
            ("Gestern Karen Whitfield klickte", "Gestern {} klickte"),
            ("Called Tom Brennan at noon", "Called {} at noon"),
            ("Rücksprache mit Sabine Krause: x", "Rücksprache mit {}: x"),
            ("Meeting with Anna Nowak and Tom Brennan", "Meeting with {} and {}"),
            (
                "[10:31] Karen Whitfield: yes\nKaren Whitfield  10:32 AM\nx",
                "[10:31] {}: yes\n{}  10:32 AM\nx",
            ),
            ("Karen Whitfield wrote:\n> x", "{} wrote:\n> x"),
            ("Utilisateur concerné : Julien Moreau", "Utilisateur concerné : {}"),
            ("Karen Whitfield's laptop was hit", "{}'s laptop was hit"),
            ("Jürgen Groß hat auf den Link geklickt", "{} hat auf den Link geklickt"),
            ("Inès Laurent a cliqué", "{} a cliqué"),
            ("Lucía Ferrer abrió el adjunto", "{} abrió el adjunto"),
            ("Hr. Özdemir und Dhr. Jansen", "Hr. {} und Dhr. {}"),
            ("Pani Anna Nowak, paní Nováková", "Pani {}, paní {}"),
            ("Sig.ra Bianchi e Sig. Rossi", "Sig.ra {} e Sig. {}"),
            ("Mevr. Jansen, fru Lindgren", "Mevr. {}, fru {}"),
            ("Our colleague Petra opened it", "Our colleague {} opened it"),
            ("unsere Kollegin Petra Groß rief an", "unsere Kollegin {} rief an"),
            ("AUTHORS:\n\n- Jane Doe, John Q. Public\n", "AUTHORS:\n\n- {}, {}\n"),
            ("employee Jean-Luc Martin clicked", "employee {} clicked"),
            ("Gemeldet von Reto Aebi, Bern", "Gemeldet von {}, Bern"),
            ("signalé par Inès Laurent", "signalé par {}"),
            ("reportado por Lucía Ferrer", "reportado por {}"),
            ("segnalato da Marco Bellini", "segnalato da {}"),
            ("Opfer: Jane Doe", "Opfer: {}"),
            ("please contact Jane Doe about it", "please contact {} about it"),
            ("wenden Sie sich an Jane Doe", "wenden Sie sich an {}"),
            ("contactez Inès Laurent", "contactez {}"),
            ("contactar con Lucía Ferrer", "contactar con {}"),
            ("mr jane doe called", "mr {} called"),
            ("mrs. o'neill said no", "mrs. {} said no"),
            ("an frau müller, bern", "an frau {}, bern"),
            ("señora ferrer y otros", "señora {} y otros"),
            ("Name: Jane Doe", "Name: {}"),
            ("Name: Jane Doe\nPhone: none", "Name: {}\nPhone: none"),
            ("name: jane q. doe\naddress: none", "name: {}\naddress: none"),
            ("First name: jane, surname: doe", "First name: {}, surname: {}"),
            ("Vorname: Jürgen\nNachname: Groß", "Vorname: {}\nNachname: {}"),
            ("Nom : Inès Laurent", "Nom : {}"),
            ("Prénom : Inès", "Prénom : {}"),
            ("Apellidos: Ferrer Ruiz", "Apellidos: {}"),
            ("Cognome: Bellini", "Cognome: {}"),
            ("Achternaam: Jansen", "Achternaam: {}"),
            ("Hi Jane,\nsee below", "Hi {},\nsee below"),
            ("To: Jane Doe <[removed: e-mail address]>", "To: {} <[removed: e-mail address]>"),
            ('Cc: "Doe, Jane" <x>', 'Cc: "{}" <x>'),
            ("Jane Doe lives at the sea", "{} lives at the sea"),
            ("the teller J. R. Doe called", "the teller {} called"),
            ("User Jane Doe opened it", "User {} opened it"),
            ("The Manager Jane Doe paid", "The Manager {} paid"),
            ("Our CFO, Jane Doe, paid", "Our CFO, {}, paid"),
            ("patient Jane Doe’s record", "patient {}’s record"),
            ("der Sachbearbeiter Jürgen Groß", "der Sachbearbeiter {}"),
            ("l'utilisatrice Inès Laurent a ouvert", "l'utilisatrice {} a ouvert"),
            ("laptop of Jane Doe", "laptop of {}"),
            ("ticket opened by Jane Doe", "ticket opened by {}"),
            ("forwarded by Jane Doe to us", "forwarded by {} to us"),
            ("Postfach von Jane Doe", "Postfach von {}"),
            ("le compte de Inès Laurent", "le compte de {}"),
            ("cuenta de Lucía Ferrer", "cuenta de {}"),
            ("signalé par Jean DUPONT", "signalé par {}"),
            ("reported by Łukasz Żak", "reported by {}"),
            ("Contact: MOREAU Claire", "Contact: {}"),
            ("Reporter: Krause, Sabine (HR)", "Reporter: {} (HR)"),
            ("contact: SMITH, JOHN", "contact: {}"),
            ("The victim is Helen Marsh", "The victim is {}"),
            ("Opfer ist Helga Groß", "Opfer ist {}"),
            ("El usuario es Lucía Ferrer", "El usuario es {}"),
            ("cc: Jane Doe; Šárka Groß", "cc: {}; {}"),
        ],
    )
    def test_an_announced_person_is_masked(self, before: str, after: str) -> None:
        assert sanitise_description(RULE, before) == after.replace("{}", "[removed: person's name]")

    @pytest.mark.parametrize("cue", ["Called", "Contact"])
    def test_each_cue_reads_no_more_than_a_list_of_names(self, cue: str) -> None:
        found = list(find_person_names(f"{cue} Aa Bb and " * 300))
        assert 300 <= len(found) < 300 * 50

    @pytest.mark.parametrize(
        "text",
        [
            *("Agent Tesla received a message", "Fancy Bear opened the document", "Then clicked"),
            *("Reported by: ESET Research", "contact: CERT Poland", "Authors: Microsoft, Google"),
            *("the user is Domain Admin", "the victim is United States", "user is Local System"),
            *("we informed Hetzner Online", "Informed Trend Micro", "escalated to Domain Admin"),
            *("handed over to Law Enforcement", "12:04:11 Malwarebytes Premium: blocked"),
            "The malware has called Agent Tesla",
            *("Windows Defender clicked", "Microsoft Word opened the file", "Evil Corp's account"),
            *(
                "Silent Chollima received an email",
                "Volt Typhoon's accounts",
                "Black Basta clicked",
            ),
            *("Many thanks to all\nThreat Intel", "To: Remote Desktop, Windows Server"),
        ],
    )
    def test_acts_of_actors_and_programs_name_nobody(self, text: str) -> None:
        assert sanitise_description(RULE, text) == text

    @pytest.mark.parametrize(
        ("before", "after"),
        [
            ("Jane Doe's SSN 536-22-8726 was sent", "{}'s SSN {ssn} was sent"),
            (
                "Credit Card Number 4111 1111 1111 1111 of Jane Doe",
                "Credit Card Number {card} of {}",
            ),
            ("Applicant Jane Q. Doe, 4111 1111 1111 1111", "Applicant {}, {card}"),
            ("Jane Doe (jane.doe@bank.test)", "{} ({mail})"),
            ("Jane Doe wrote.\nFrom jdoe@bank.test", "{} wrote.\nFrom {mail}"),
            ("Applicant J.Doe (x@bank.test)", "Applicant J.Doe ({mail})"),
            ("Applicant J.Doe (jdoe@bank.test)", "Applicant {} ({mail})"),
            ("Łukasz Żak (lukasz.zak@bank.test)", "{} ({mail})"),
            ("SSN 536-22-8726 4111 1111 1111 1111", "SSN {ssn} {card}"),
            ("4111 1111 1111 1111 4111 1111 1111 1111 x", "{card} {card} x"),
            ("Jane Doe came. It was 4111 1111 1111 1111", "Jane Doe came. It was {card}"),
            ("Jane Doe (helpdesk@bank.test)", "Jane Doe ({mail})"),
            ("First National Bank, 4111 1111 1111 1111", "First National Bank, {card}"),
            ("Cobalt Strike took 4111 1111 1111 1111", "Cobalt Strike took {card}"),
        ],
    )
    def test_a_name_beside_a_number_of_a_person_or_with_their_mailbox_is_masked(
        self, before: str, after: str
    ) -> None:
        masks = {
            "{}": "person's name",
            "{ssn}": "US social security number",
            "{card}": "payment card number",
            "{mail}": "e-mail address",
        }
        for short, kind in masks.items():
            after = after.replace(short, f"[removed: {kind}]")
        assert sanitise_description(RULE, before) == after

    @pytest.mark.parametrize(
        "text",
        [
            "Reported by Palo Alto Networks and Trend Micro",
            "discovered by Threat Intelligence Team",
            "Jane Doe",
            "found by chance, written by hand",
            "Dear Customer, Dear Valued User",
            "Author: Microsoft Corporation",
            "File name: Purchase Order",
            "Gemeldet von Stadtwerke Lahn",
            "Opfer: Klinikum West",
            "signalé par Mairie Valmont",
            "contact Palo Alto Networks or your Security Team",
            "Name: Cobalt Strike",
            "Name: Win32.Agent",
            "File name: invoice.exe",
            "mr and mrs who",
            "Dear Customer, Hello World!",
            "ms word, dr site and miss the point",
            "Host name: srv, domain name: evil.test",
            "User Account Control and User Agent Mozilla",
            "the user Remote Desktop and the Device Manager Console View",
            "the Task Manager Jane Doe",
            "belongs to Silent Starling, used by Mellow Finch",
            "case opened by Palo Alto Networks",
            "forwarded to Security Operations",
            "To: Microsoft Defender",
            "Reported by Trend MICRO",
        ],
    )
    def test_teams_companies_and_unannounced_names_stay(self, text: str) -> None:
        assert sanitise_description(RULE, text) == text

    @pytest.mark.parametrize(
        "name", ["Lazarus Group", "Cobalt Strike", "Agent Tesla", "Wizard Spider"]
    )
    def test_malware_and_actors_are_not_persons(self, name: str) -> None:
        assert (
            sanitise_description(RULE, f"sent in by {name} operators")
            == f"sent in by {name} operators"
        )

    def test_an_analyst_is_asked_about_a_name_and_the_rest_is_published(self) -> None:
        candidate = apply_rule(
            RULE, indicator(description="Reported by Jane Doe"), secrets=["Jane"]
        )
        assert candidate.is_open
        assert [finding.action for finding in candidate.findings] == [Action.ASKED]

    def test_approving_a_name_releases_nothing_else(self) -> None:
        subject = indicator(description="Reported by Jane Doe, jane@bank.test")
        released = apply_rule(RULE, subject, approve_settings(RULE, {})).object["description"]
        assert released == "Reported by Jane Doe, [removed: e-mail address]"

    def test_approving_an_identity_releases_no_address_of_it(self) -> None:
        person = {
            "type": "identity",
            "identity_class": "individual",
            "name": "Jane",
            "contact_information": "jane@bank.test",
        }
        assert apply_rule(RULE, person).verdict is Verdict.HELD
        released = apply_rule(RULE, person, approve_settings(RULE, {}))
        assert released.object["contact_information"] == "[removed: e-mail address]"


class TestPostalAddresses:
    @pytest.mark.parametrize(
        "address",
        [
            "1600 Main Street, Springfield, IL 62704",
            "221B Baker Street, London NW1 6XE",
            "Musterstraße 12a, 10115 Berlin",
            "Keizersgracht 123, 1015 CJ Amsterdam",
            "12 rue de la Paix, 75002 Paris",
            "Calle Mayor 5, 28013 Madrid",
            "Via Roma 1, 00184 Roma",
            "ulica Prosta 5, 00-001 Warszawa",
            "ul. Nowa 5/7, 31-000 Kraków",
            "Mariahilfer Straße 10, 1070 Wien",
            "Rue de la Loi 16, 1000 Bruxelles",
            "C/ Mayor 5, 28013 Madrid",
            "PSC 1437, Box 3833\nAPO AA 66791",
            "Unit 2050 Box 4190, APO AP 96278-2050",
            "CMR 402 Box 123, APO AE 09012",
            "USNS Comfort\nFPO AP 96672",
            "BFPO 58",
            "14 Crown Street\n Suite 321\n LONDON\n United Kingdom 75419",
        ],
    )
    def test_street_number_and_postcode_together_are_masked(self, address: str) -> None:
        text = sanitise_description(RULE, f"sent to {address}")
        assert text == "sent to [removed: postal address]"

    @pytest.mark.parametrize(
        "text",
        [
            "Wall Street was hit in 2019, says a report",
            "port 8080 on the main road, build 10115",
            "12 avenues of attack, 75002 hosts in Paris",
            "IP address: 45.12.3.4",
            "the cours of 16 attacks, 1000 Hosts",
            "see Via 5, 12-345 and ring 10, 1070",
            "Address: 0x00401000 of the function",
            "Bitcoin address: 1BoatSLRHtKNngkdXEeobR76b53LETtpyT",
            "lives in the 2 files that it drops",
            "2013 report on Unit 61398 and APT 28",
            "latitude: 37.751 longitude: -97.822",
            "builds 48.137154, 11.576124",
            "the billing address of the victim is stolen with 16 other fields",
        ],
    )
    def test_other_numbers_and_streets_are_no_postal_address(self, text: str) -> None:
        assert sanitise_description(RULE, text) == text

    @pytest.mark.parametrize(
        "text",
        [
            "his billing address {12 Long Street, Springfield}",
            "update the billing address with {4241 Steinfelden 73\nSAVONLINNA\n, SV\n 77233}",
            "Address: {12 Elm Street\nSpringfield\nIL 62704}",
            "Rechnungsadresse: {Lange Gasse 12\n1080 Wien}",
            "adresse de facturation : {12 rue Longue\n75002 Paris}",
            "she lives in {Lange Gasse 12, Wien}",
            "the photo has GPS: {48.137154, 11.576124}",
            "Koordinaten: {48°08'14.0\" N 11°34'31.0\" E}",
        ],
    )
    def test_an_announced_address_is_masked_over_several_lines(self, text: str) -> None:
        before, _, rest = text.partition("{")
        after = sanitise_description(RULE, before + rest.rstrip("}"))
        assert after == f"{before}[removed: postal address]"


class TestNationalNumbers:
    @pytest.mark.parametrize(
        "text",
        [
            "NINO: {AB123456C}",
            "Steuer-ID {36 574 261 809}",
            "DNI {54362315K}",
            "BSN {111222333}",
            "PESEL {44051401359}",
            "CPF {390.533.447-05}",
            "codice fiscale {RSSMRA85T10A562S}",
            "AHV-Nummer {756.9217.0769.85}",
            "personnummer {811228-9874}",
            "NHS number {943 476 5919}",
            "ID card {110101199003074514}",
            "身份证号码 {110101199003074514}",
        ],
    )
    def test_a_national_id_with_its_word_and_check_digits_is_masked(self, text: str) -> None:
        plain = text.replace("{", "").replace("}", "")
        before = text[: text.index("{")]
        assert sanitise_description(RULE, plain) == before + "[removed: national identity number]"

    @pytest.mark.parametrize(
        "text", ["order 44051401359", "PESEL 44051401358", "hash 390.533.447-05", "bsn 12345678"]
    )
    def test_a_national_id_without_word_or_check_digits_stays(self, text: str) -> None:
        assert sanitise_description(RULE, text) == text


class TestNumbersHiddenInPart:
    @pytest.mark.parametrize(
        ("before", "what"),
        [
            ("card 4532************7890, valid", "payment card number"),
            ("paid with **** **** **** 1234", "payment card number"),
            ("XXXX-XXXX-XXXX-1234", "payment card number"),
            ("card #4532 ##******** 7890", "payment card number"),
            ("#" * 1_000_000 + " card #**** **** **** 7890", "payment card number"),
            ("the SSN XXX-XX-2409 of", "US social security number"),
            ("registered under 987-XX-XXXX", "US social security number"),
            ("IBAN CH29 309... was", "IBAN"),
            ("account DE89 3704 **** **** **** 00 was", "IBAN"),
        ],
    )
    @pytest.mark.slow
    def test_a_partly_hidden_number_is_masked(self, before: str, what: str) -> None:
        after = sanitise_description(RULE, before)
        assert f"[removed: {what}]" in after
        assert not any(c.isdigit() for c in after)

    @pytest.mark.parametrize(
        "text",
        [
            "matches C:\\Users\\*\\AppData and xxxxxxxxx",
            "** bold ** 2024 ** and xx-xx-2024",
            "version CH29309... and so on",
            "#### 1234 ####",
            "XXX-XX-XXXX",
        ],
    )
    def test_wildcards_and_headings_are_no_hidden_numbers(self, text: str) -> None:
        assert sanitise_description(RULE, text) == text
