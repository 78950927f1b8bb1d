"""user_paths: passwords on command lines."""

import time
from typing import Any

import pytest
from support.rules import apply_rule, indicator, sanitise_description
from support.slowness import measure_slowness

from tocsin.admission.detectors.command_passwords import find_command_passwords
from tocsin.admission.model import Verdict

RULE = "user_paths"
MASK = "[removed: password in a command]"
SECRET = "Winter7"
COMMANDS = [
    r"net use \\fs01\share Winter7 /user:x",
    r"NET.EXE use Z: \\fs01\c$ /user:x Winter7",
    r"net use Z: \\fs01\c$ /USER:x Winter7 /persistent:no",
    r'net use "\\fs01\my share" "Winter7" /user:"x"',
    "mysql -u root -pWinter7 db",
    "mysqldump --user=root --password=Winter7 db",
    "mariadb-dump -uroot -pWinter7",
    "sshpass -p Winter7 ssh root@fs01",
    "sshpass -pWinter7 scp a b",
    "PGPASSWORD=Winter7 psql -h db",
    "export MYSQL_PWD=Winter7; mysql -u root",
    '$env:PGPASSWORD = "Winter7"',
    r"psexec \\fs01 -u CORP\x -p Winter7 cmd.exe",
    r'PsExec64.exe -accepteula \\fs01 -u "CORP\x y" -p "Winter7" cmd',
    "psexec -i -p Winter7 -u x cmd",
    r"schtasks /create /tn a /ru CORP\x /rp Winter7 /tr a.exe",
    r"schtasks.exe /query /s fs01 /u CORP\x /p Winter7",
    "wmic /node:fs01 /user:x /password:Winter7 process call create a.exe",
    'wmic /node:"fs01" /password:"Winter7" /user:"x" os get caption',
    "cmdkey /add:fs01 /user:x /pass:Winter7",
    r"sc \\fs01 config svc obj= CORP\x password= Winter7",
    "plink.exe -ssh -pw Winter7 root@fs01",
    "smbclient -U CORP/x%Winter7 //fs01/c$",
    "wget --user=x --password=Winter7 ftp://fs01/a",
    "net\tuse\t\\\\fs01\\c$\tWinter7\t/user:x",
    r'"C:\Windows\net.exe" use \\fs01\c$ Winter7 /user:x',
    "net use https://dav.test/a Winter7 /user:x",
    r"net use /user:x \\fs01\c$ Winter7",
    "psexec -u x -s -h -p Winter7 cmd",
    "schtasks /create /s fs01 /p Winter7 /u x",
    'schtasks /create /tr "a.exe /u x /p 443" /u x /p Winter7',
    "sshpass -v -p Winter7 ssh -p 2222 root@fs01",
    'mysql -u root -e "select a from b" -pWinter7',
    "smbclient //fs01/c$ --user=x%Winter7",
    "PGPASSWORD: Winter7",
    r"net use \\fs01\c$ Winter7",
    r'net use Z: "\\fs01\my share" "Winter7" /persistent:no',
    "crackmapexec smb 192.0.2.0/24 -u x -p 'Winter7' --shares",
    "nxc smb fs01 -u users.txt -p Winter7",
    "evil-winrm -i fs01 -u x -p Winter7",
    "xfreerdp /v:fs01 /u:x /p:Winter7",
    "sqlcmd -S fs01 -U sa -P Winter7 -Q x",
    "redis-cli -h fs01 -a Winter7 ping",
    "ConvertTo-SecureString 'Winter7' -AsPlainText -Force",
    r'reg add "HKLM\Software\x y" /v DefaultPassword /t REG_SZ /d Winter7 /f',
    r'reg.exe add HKLM\x /d "Winter7" /t REG_SZ /v AltDefaultPassword',
    r"Set-ItemProperty -Path 'HKLM:\x y' -Name DefaultPassword -Value 'Winter7'",
    r'New-ItemProperty HKLM:\x "DefaultPassword" -Type String -Value Winter7',
    r"Set-ItemProperty HKLM:\x DefaultPassword Winter7",
]
LOGINS = [
    "curl -u jdoe:Winter7 ftp://fs01/",
    "curl -sk --user='jdoe:Winter7' ftp://fs01/",
    "psexec.py CORP/jdoe:Winter7@192.0.2.7 whoami",
    "impacket-secretsdump -dc-ip 192.0.2.7 -just-dc 'CORP/jdoe:Winter7@fs01'",
]
HARMLESS = [
    r"net use",
    r"net use \\fs01\share /delete",
    r"reg add HKLM\x /v DefaultPassword /t REG_SZ /f",
    r"reg add HKLM\x /v AutoAdminLogon /t REG_SZ /d 1 /f",
    r"reg query HKLM\x /v DefaultPassword",
    r"Set-ItemProperty -Path HKLM:\x -Name AutoAdminLogon -Value 1",
    r"net use \\fs01\share /persistent:no",
    r"net use \\fs01\share * /user:x",
    r'net use \\fs01\share "" /user:x',
    r"net use \\fs01\share PASSWORD /user:x",
    r"net use \\fs01\share <password> /user:x",
    r"net use /user:x \\fs01\share",
    r"net use \\fs01\share with /user:x",
    r"net use \\fs01\share /user:x and then copies 7 files",
    "net use %s %s /user:%s",
    "net user x Winter7 /add",
    "net users use Winter7 /user:x",
    "mysql -u root -p db",
    "mysql -uroot -P3306 -h db",
    "mysql --password=$PW db",
    "mysqldump -u %s -p%s",
    "sshpass -f file ssh fs01",
    "sshpass -e ssh fs01",
    "sshpass -p to supply it",
    'a = "sshpass -p " ascii b = "x"',
    "PGPASSWORD=$PW psql",
    'PGPASSWORD="" psql',
    r"psexec \\fs01 -s cmd.exe",
    r"psexec \\fs01 -u x -p",
    'psexec", " -u ", " -p ", "x"',
    "schtasks /create /tn a /ru SYSTEM /rp * /tr a.exe",
    'schtasks /create /tn a /tr "a.exe /p 443" /sc daily',
    'wmic process call create "a.exe /password:Winter7"',
    "curl -u admin ftp://fs01/",
    "curl -u $U:$P ftp://fs01/",
    "curl -u x:$P ftp://fs01/",
    "curl -A x:Winter7 ftp://fs01/",
    "rar a -hpWinter7 a.rar",
    "7z x -pWinter7 a.7z",
    "locker.exe -pWinter7 --access-token 7",
    "sc query svc",
    "putty.exe -ssh fs01",
    "smbclient -N //fs01/c$",
    'schtasks /create /tr "a.exe -u x -p 443" /ru SYSTEM',
    r"net use \\fs01\c$ /user:x T1021.002",
    r"net use \\fs01\c$ /user:x, 192.0.2.7 and psexec64.exe",
    r"net use \\fs01\c$ /user:x&copy a1.exe",
    r"net use \\fs01\c$ /user:x 2>&1",
    r"net use \\!host!\c$ !pw! /user:!u!",
    r"net use \\fs01\c$ pass /user:x",
    "MySQL servers were found with nmap -p3306",
    "the mysql backup was made with tar -pczf",
    "docker run --name mysql -p3306:3306 mysql:5",
    "mysql -u root -p`cat /etc/pw` db",
    "sshpass -e ssh -p 2222 root@fs01",
    "sshpass, then ssh -p 2222 or docker run -p 80:80",
    "apk add sshpass=1.09-r0",
    '"sshpass": "1.06"',
    "PGPASSWORD: variable of psql",
    'PGPASSWORD=os.getenv("X1")',
    "psexec -c a.exe -u http://192.0.2.7 -p 443",
    "curl -u anonymous:a@b.test ftp://fs01/",
    "curl -u user:pass ftp://fs01/",
    *("curl -u evil.com:8080", "curl -U 192.0.2.7:3128 -x a"),
    *(r"net use \\fs01\c$ T1021.002", r"net use \\fs01\c$ on fs02", r"net use \\fs01\c$, Event7"),
    *(
        r"net use \\fs01\c$ psexec64.exe",
        r"net use \\fs01\c$ [12]",
        r"net use \\fs01\c$ CVE-2021-1",
    ),
    *(r"net use W: \\evil.test@ssl\u && C:\a.exe W:\v.dll", r"net use \\fs01\share password"),
    *("psexec.py domain/user:password@host", "psexec.py %s:%s@%s", "psexec.py {u}:{p}@{h}"),
    *("psexec.py CORP/x@192.0.2.7 -hashes :aa", "services.py and a few others: a:b@c"),
    *("nxc smb fs01 -u users.txt -p rockyou.txt", "crackmapexec smb fs01 -u x -p"),
    "xfreerdp /v:fs01 /u:x /p",
]
"""Commands without a password, and with those of attackers' own programs."""


def command_pattern(command: str, operator: str = "=") -> str:
    quoted = command.replace("\\", "\\\\").replace("'", "\\'")
    return f"[process:command_line {operator} '{quoted}']"


class TestTexts:
    @pytest.mark.parametrize("command", COMMANDS)
    def test_the_password_is_masked_and_the_command_stays(self, command: str) -> None:
        text = f"then ran {command}"
        assert sanitise_description(RULE, text) == text.replace(SECRET, MASK)

    @pytest.mark.parametrize("command", LOGINS)
    def test_a_login_in_one_argument_is_masked_as_a_whole(self, command: str) -> None:
        masked = command.replace(f"jdoe:{SECRET}", MASK)
        assert sanitise_description(RULE, command) == masked

    @pytest.mark.parametrize("command", HARMLESS)
    def test_a_command_without_a_password_and_other_programs_stay(self, command: str) -> None:
        for text in (command, f"They ran `{command}`, and more.", f"{command}\nWinter7"):
            assert sanitise_description(RULE, text) == text

    @pytest.mark.parametrize(
        "text",
        [
            "`mysql -p{}`, then",
            "sshpass -p {} ssh a\nnet use",
            r'{"cmd": "net use \\\\a\\b \"{}\" /user:x"}',
            "sshpass -p '{}' ssh a",
            'sshpass -p "{} and more" ssh a',
            "sshpass -p {} ssh a && sshpass -p {} ssh b",
            "schtasks /u x /p {} /ru y /rp {} /tn a",
        ],
    )
    def test_quotes_and_several_passwords_are_read(self, text: str) -> None:
        masked = text.replace("{} and more", MASK).replace("{}", MASK)
        assert sanitise_description(RULE, text.replace("{}", SECRET)) == masked

    def test_the_command_line_of_a_process_is_masked_too(self) -> None:
        process = {"type": "process", "command_line": "sshpass -p Winter7 ssh a"}
        masked = apply_rule(RULE, process, secrets=[SECRET]).object
        assert masked["command_line"] == f"sshpass -p {MASK} ssh a"

    @pytest.mark.parametrize("mode", ["keep", "refuse", "hold"])
    def test_the_setting_for_credentials_is_that_of_commands(self, mode: str) -> None:
        subject = indicator(description=COMMANDS[4])
        verdict = apply_rule(RULE, subject, {"credentials": mode}, secrets=[SECRET]).verdict
        wanted = {"keep": Verdict.OPEN, "refuse": Verdict.REFUSED, "hold": Verdict.HELD}
        assert verdict is wanted[mode]

    @pytest.mark.parametrize(
        "piece",
        [
            *("net use ", r"net use \\a\b ", "/user:x ", "mysql -p", "sshpass -p ", "curl -u a:"),
            *("-u a -p ", "psexec.py -a ", "a:b@"),
            *('psexec -u "', "schtasks /rp ", "wmic /user:x /a:b ", "sc ", "PGPASSWORD=", "\\"),
            *(
                "reg add /v DefaultPassword /d ",
                "reg add /d a ",
                "set-itemproperty -a DefaultPassword ",
            ),
        ],
    )
    def test_searching_hostile_commands_takes_linear_time(self, piece: str) -> None:
        text = f"net use {piece * (60_000 // len(piece))}"
        apply_rule(RULE, indicator(description=text), {"users": "keep", "tokens": "keep"})

    def test_an_option_on_the_next_line_of_a_command_is_its_own(self) -> None:
        text = "curl ftp://fs01/ \\\n  -u jdoe:{}"
        masked = text.format(MASK).replace("jdoe:", "")
        assert sanitise_description(RULE, text.format(SECRET)) == masked

    @pytest.mark.parametrize(
        "program",
        [
            *("net use ", "curl ", "mysql ", "psexec ", "psexec.py "),
            *("reg add /v DefaultPassword ", "set-itemproperty DefaultPassword "),
        ],
    )
    @pytest.mark.parametrize(
        "end", ["\t", " ", "-p", "/u:", '"a" ', "/user:x/user:", " /d a", " -a b", " /v a /d b"]
    )
    def test_searching_one_hostile_command_is_quick(self, program: str, end: str) -> None:
        backslashes = "\\" * 300
        commands = f"{program}{backslashes}{end * (290 // len(end))}\n" * 100
        began = time.process_time()
        list(find_command_passwords(commands))
        assert time.process_time() - began < 1 * measure_slowness()


class TestPatterns:
    @pytest.mark.parametrize("command", [*COMMANDS, *LOGINS])
    def test_a_pattern_with_a_password_is_held_unchanged(self, command: str) -> None:
        pattern = command_pattern(command)
        candidate = apply_rule(RULE, indicator(pattern), secrets=[SECRET])
        assert candidate.verdict is Verdict.HELD and candidate.object["pattern"] == pattern

    @pytest.mark.parametrize("command", HARMLESS)
    def test_a_pattern_without_a_password_passes(self, command: str) -> None:
        for operator in ("=", "LIKE"):
            pattern = command_pattern(command, operator)
            assert apply_rule(RULE, indicator(pattern)).findings == ()

    @pytest.mark.parametrize(
        "pattern",
        [
            "[process:command_line LIKE '%net use%/user:%']",
            "[process:command_line LIKE '%sshpass -p %']",
            r"[process:command_line MATCHES 'net\\s+use\\s+.*\\s+/user:.*']",
            r"[process:command_line MATCHES 'psexec.* -u \\S+ -p \\S+']",
            r"[process:command_line MATCHES 'schtasks.*/rp [^ ]+']",
            "[process:command_line LIKE '%mysql%' AND process:command_line LIKE '% -p%']",
        ],
    )
    def test_a_pattern_on_a_kind_of_command_passes(self, pattern: str) -> None:
        assert apply_rule(RULE, indicator(pattern)).findings == ()

    def test_rules_of_other_languages_on_a_kind_of_command_pass(self) -> None:
        sigma = (
            "detection:\n  s:\n    CommandLine|contains|all:\n      - 'net use'\n      - '/user:'"
        )
        yara = r'strings: $a = "net use \\\\%s\\IPC$ \"%s\" /user:\"%s\"" $b = "schtasks /rp "'
        for language, pattern in (("sigma", sigma), ("yara", yara)):
            subject = {**indicator(pattern), "pattern_type": language}
            assert apply_rule(RULE, subject).findings == ()

    def test_a_rule_of_another_language_with_a_password_is_held(self) -> None:
        subject = {**indicator('strings: $a = "sshpass -p Winter7 ssh"'), "pattern_type": "yara"}
        assert apply_rule(RULE, subject, secrets=[SECRET]).verdict is Verdict.HELD

    def test_a_password_may_be_generalised_or_kept(self) -> None:
        subject = indicator(command_pattern("sshpass -p Winter7 ssh a"))
        widened = apply_rule(RULE, subject, {"value_credentials": "generalise"}).object
        assert widened["pattern"] == command_pattern("sshpass -p % ssh a", "LIKE")
        kept: Any = apply_rule(RULE, subject, {"value_credentials": "keep"})
        assert kept.object == subject
