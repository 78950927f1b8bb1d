"""Names of fields, in many languages: of senders, of recipients, of other people."""

import pytest

from tocsin.admission.extraction.field_names import (
    holds_people,
    names_people,
    names_recipients,
    names_senders,
    normalise_heading,
)
from tocsin.admission.word_lists import load_words

HEADS = [
    *(("От", "Кому"), ("Від", "Копія"), ("От", "До"), ("差出人", "宛先"), ("发件人", "收件人地址")),
    *(
        ("寄件者", "副本"),
        ("보낸 사람", "받는 사람"),
        ("Από", "Προς"),
        ("من", "إلى"),
        ("מאת", "אל"),
    ),
    *(("Odesílatel", "Komu"), ("Feladó", "Másolatot kap"), ("Lähettäjä", "Vastaanottaja")),
    *(("Kimden", "Alıcı"), ("Šalje", "Prima"), ("De la", "Către"), ("Od", "Kópia"), ("Od", "Za")),
    *(("Saatja", "Adressaat"), ("No", "Kam"), ("Nuo", "Gavėjas"), ("Dari", "Kepada")),
    *(("Absenderadresse", "Empfängeradresse"), ("Afzenderadres", "Ontvangeradres")),
    *(("Адрес отправителя", "Адрес получателя"), ("Адреса відправника", "Адреса одержувача")),
    *(("عنوان المرسل", "عنوان المستلم"), ("Địa chỉ người gửi", "Địa chỉ người nhận")),
    *(("Alamat pengirim", "Alamat penerima"), ("Feladó címe", "Címzett címe")),
    *(("Avsändaradress", "Mottagaradress"), ("Afsenderadresse", "Modtageradresse")),
    *(("จาก", "ถึง"), ("ผู้ส่ง", "ผู้รับ"), ("प्रेषक", "प्रति"), ("فرستنده", "گیرنده"), ("از", "به")),
    *(("Adres nadawcy", "Adresat"), ("寄件人", "受文者"), ("발신인", "수신인")),
    *(("Từ", "Đến"), ("Från", "Till"), ("Fra", "Til"), ("Fra", "Kopi"), ("Od", "DW")),
]
"""The fields `From` and one of `To` and `Cc` in one language each."""


@pytest.mark.parametrize(("sender", "recipient"), HEADS)
def test_labels_of_mails_are_known_in_many_languages(sender: str, recipient: str) -> None:
    assert names_senders(sender) and not names_people(sender)
    assert names_recipients(recipient) and not names_senders(recipient)


@pytest.mark.parametrize(
    "name",
    [
        *("P1Sender", "headerReplyTo", "reply_to_address", "ForwardTo", "Responder para"),
        *("Antwoord aan", "Odpověď komu", "الرد إلى", "Trả lời đến", "Svara till", "Odpowiedz do"),
    ],
)
def test_a_field_of_senders_is_none_of_people(name: str) -> None:
    assert names_senders(name) and not holds_people(name)


@pytest.mark.parametrize(
    "name",
    [
        "destination_address",
        "orig_to",
        "usrName",
        "suid",
        "UserId",
        "UserIds",
        "AccountUpn",
        "addressee_email",
    ],
)
def test_a_field_of_people_is_known_if_it_holds_a_mailbox(name: str) -> None:
    assert holds_people(name)


@pytest.mark.parametrize("name", ["emailAddress", "Email to block", "messagesDelivered", "to_ids"])
def test_other_fields_are_of_nobody(name: str) -> None:
    assert not holds_people(name) and not names_senders(name)


def test_words_of_different_scripts_are_separate() -> None:
    assert normalise_heading("IP地址, Ärzte_Łódź") == "ip 地址 arzte lodz"


def test_each_word_and_phrase_of_recipients_is_a_field_by_itself() -> None:
    package = "tocsin.admission.extraction"
    for name in ("recipient_words", "recipient_phrases"):
        for each in load_words(package, name):
            assert names_recipients(each) or each == "a", each
            assert not names_senders(each), each


@pytest.mark.parametrize(
    "name",
    ["tO", "cC", "T\u00ado", "Reci\u200bpient", "Empfa\u0308nger", "Victim\u2060s\u2019 e-mail"],
)
def test_a_disguised_name_of_recipients_is_known(name: str) -> None:
    assert names_recipients(name) and holds_people(name)


@pytest.mark.parametrize("name", ["Affected users", "Betroffene Postfächer", "Usuarios afectados"])
def test_words_for_victims_may_stand_beside_other_people(name: str) -> None:
    assert names_recipients(name)


@pytest.mark.parametrize("name", ["Opened by", "Ansprechpartner", "*Gemeldet von*", "참조"])
def test_labels_of_lines_are_fields_too(name: str) -> None:
    assert holds_people(name)
