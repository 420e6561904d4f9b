"""Finds passwords and tokens that only what stands beside them gives away.

Assignments in code, configuration and environment files (``DB_PASSWORD=…``,
``"api_key": "…"``), what people write (``the password is …``), command line
options, headers, and URLs with a password in them. Not tokens with a form of
their own: see ``tokens``. detect-secrets' ``KeywordDetector`` is not used: it
wants quotes or takes the rest of the line, finds one value in a line, does not
say where, and its time grows with the square of a line's length.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator

from hybrid_coordinator.scrubbing.credential_values import Place, credible
from hybrid_coordinator.scrubbing.kinds import Found, Kind

_IN_ENGLISH = ("pass", "pwd", "secret", "token", "key", "credential", "_auth", "pw")
# Spanish, Dutch, Portuguese, Polish, Russian, Chinese; German's and French's begin with "pass".
_PASSWORDS = ("contraseña", "wachtwoord", "senha", "hasło", "пароль", "密码")
_ROOTS = _IN_ENGLISH + _PASSWORDS
_HEAD_LENGTH = 40

_ASSIGNED = re.compile(
    r"""
    (?P<rest>[A-Za-z0-9_-]{0,40}+)
    (?:
        # name = value, name: type = value, "name": value, name => value, name: value
        (?P<close>(?:\\?["'`\])]){0,3})
        [ \t]{0,20}+
        (?::[ ]?[A-Za-z_][\w.\[\]|]{0,30}[ ]?(?==)|[ ]string[ ](?==))?
        (?P<sep>：|:=|=>|={1,3}|!==?|:(?![:/])|value[ ]?=|>)
        [ \t]{0,20}+
      | (?P<call>\()
      | (?P<told>[ \t]{1,4}(?:is|was|=|to|be|ist|war|lautet|est|es|era)[ \t]{0,4}:?[ \t]{1,4}
          (?:now[ ]|still[ ]|set[ ]to[ ]|just[ ])?)
      | (?P<option>[ \t]{1,20}+)
    )
    (?:
        [@bru$]?(?P<quote>\\?["'`])
            (?P<quoted>[^\n"'`\\]{3,512}(?:\\[^nrt"][^\n"'`\\]{0,256}){0,8})(?P=quote)
      | (?P<bare>[^\s"'`<>]{4,512})
    )
    """,
    re.VERBOSE,
)

_USER_INFO = re.compile(
    r"://(?P<user>[^\s/?#\"'<>@:]{0,128}):(?P<password>[^\s/\"'`<>@]{1,256})@(?=[\w\[.-])"
)
_HEADER = re.compile(
    r"(?:(?P<basic>basic)|bearer|authorization[\"']?[ ]?[:=][ ]?[\"'`]?(?:token|apikey|key))"
    r"[ ]{1,4}(?P<value>[A-Za-z0-9+/=._~:-]{8,4096}+)",
    re.IGNORECASE,
)
_CURL_USER = re.compile(r"(?:-u|--user)[ =]?[\"']?[\w.@+-]{1,64}:(?P<value>[^\s\"'`]{4,128})")
# sshpass' option, the basic authentication of Python's HTTP clients, MySQL's and Oracle's users.
_OTHER_PLACES = re.compile(
    r"(?:sshpass[ ]-p[ ]?[\"']?|identified[ ]by[ ][\"']|auth=\([\"'][^\s\"']{1,64}[\"'],[ ]?[\"'])"
    r"(?P<value>[^\s\"'`]{4,128})",
    re.IGNORECASE,
)


def find(text: str, folded: str) -> Iterator[Found]:
    """Credentials in ``text``; ``folded`` is the same text, as long, in lower case."""
    if "://" in text:
        yield from _in_urls(text)
    for scheme in ("bearer ", "basic ", "authorization"):
        if scheme in folded:
            yield from _in_headers(text, folded, scheme)
    if "curl" in folded:
        for match in _CURL_USER.finditer(text):
            if credible(match["value"], Place.QUOTED, "pass"):
                yield _found(match, "value")
    if "sshpass" in folded or "auth=(" in folded or "identified by" in folded:
        for match in _OTHER_PLACES.finditer(text):
            if credible(match["value"], Place.QUOTED, "pass"):
                yield _found(match, "value")
    for root in _ROOTS:
        yield from _assigned(text, folded, root)


def _in_urls(text: str) -> Iterator[Found]:
    at = text.find("://")
    while at >= 0:
        match = _USER_INFO.match(text, at)
        if match and credible(match["password"], Place.URL, "pass"):
            yield _found(match, "password")
        at = text.find("://", at + 3)


def _in_headers(text: str, folded: str, scheme: str) -> Iterator[Found]:
    at = folded.find(scheme)
    while at >= 0:
        after = at + len(scheme)
        if match := _HEADER.match(text, at):
            value = match["value"].rstrip(".:")
            fits = (
                _is_user_and_password(value)
                if match["basic"]
                else credible(value, Place.HEADER, "token")
            )
            if fits:
                start = match.start("value")
                after = start + len(value)
                yield Found(start, after, Kind.CREDENTIAL, value)
        at = folded.find(scheme, after)


def _is_user_and_password(value: str) -> bool:
    """Whether it is what RFC 7617, section 2, puts after ``Basic``."""
    try:
        return b":" in base64.b64decode(value + "=" * (-len(value) % 4), validate=True)
    except binascii.Error:
        return False


def _assigned(text: str, folded: str, root: str) -> Iterator[Found]:
    at = folded.find(root)
    while at >= 0:
        after = at + len(root)
        if match := _ASSIGNED.match(text, after):
            found = _judged(text, folded, root, at, match)
            if found:
                yield found
                after = found.end
        at = folded.find(root, after)


# The next parameter of a query, a connection string or an argument list.
_FURTHER = re.compile(r"[;&,](?=\w[\w.-]{0,40}=|\Z)")
_HEAD = re.compile(r"[A-Za-z0-9_.$-]*\Z")
_QUALIFIED_KEY = re.compile(
    r"(?:api|access|secret|auth|private|encrypt(?:ion)?|sign(?:ing)?|account|client|service|master|"
    r"shared|storage|subscription|admin|app|application|webhook|deploy|hmac|aes|license|session|"
    r"cipher|crypto|jwt|root|user|bot|wi-?fi|wlan|wpa|api\s?access|x-functions)[_.\s-]?\Z"
)
_OTHER_TOKEN = re.compile(
    r"(?:page|next|prev|continuation|sync|eos|bos|pad|unk|cls|sep|mask|special|stop|start|end|max|min|"
    r"cursor|num|n|per|total|input|output|prompt|completion|new|first|last|of|image|text|word|sub)"
    r"[_.\s-]?\Z"
)
_READING = re.compile(
    r"(?:get|read|fetch|has|find|load|import|env|lookup|need|forgot|reset|show|hide)[_.-]?\w{0,20}\Z"
)
_PASS_WORD = re.compile(r"(?:words?|wd|phrases?|codes?|wort|e|)(?![a-z])")
_WHOLE_HEAD_PASS = re.compile(
    r"(?:^|[^a-z]|db|user|smtp|my|root|admin|mysql|pg|redis|ftp|ldap|mail|require)\Z"
)
_NOT_A_VALUE = re.compile(
    r"(?:names?|ids?|path|file|filename|url|uri|type|length|len|size|count|policy|field|label|env|var|"
    r"ttl|expir\w*|timeout|hint|reset|prompt|manager|provider|store|ref|arn|iz\w*|limit|usage|regex|"
    r"pattern|format|rules?|validator|min|max|age|error|message|text|placeholder|title|version|"
    r"required|enabled|disabled|valid|strength|board\w*|words?|column|index|dir|location|source|"
    r"generator|helper|class|service|map|budget|cost|price|rate|bucket|kind|algorithm|selector|"
    r"input|header|param\w*|attribute|scope|endpoint|of|per|in|s_\w+)\Z"
)


def _judged(text: str, folded: str, root: str, at: int, match: re.Match[str]) -> Found | None:
    head_start = max(at - _HEAD_LENGTH, 0)
    head = _HEAD.search(folded, head_start, at).group()  # type: ignore[union-attr]  # Matches "".
    rest = match["rest"].lower()
    if not _names_a_secret(root, head, rest, folded, at):
        return None
    place, group = _place(text, at - len(head), head, match)
    if place is None:
        return None
    start, end = match.span(group)
    if group == "bare" and place is not Place.ENVIRONMENT:
        bare = _FURTHER.split(match["bare"], maxsplit=1)[0]
        end = start + len(bare.rstrip(".,;:!?)]}|*\\" if match["told"] else ".,;:)]}|*\\"))
    value = text[start:end]
    name = root if root in ("secret", "token", "key", "credential") else "pass"
    return Found(start, end, Kind.CREDENTIAL, value) if credible(value, place, name) else None


def _names_a_secret(root: str, head: str, rest: str, folded: str, at: int) -> bool:
    if root == "pass":
        word = _PASS_WORD.match(rest)
        if word is None or (not word.group() and not _WHOLE_HEAD_PASS.search(head)):
            return False
        rest = rest[word.end() :]
    elif root in ("pw", "_auth"):
        if rest or (root == "pw" and head[-1:].isalnum()):
            return False
    elif root == "key":
        before = head if head else folded[max(at - 12, 0) : at]
        if not _QUALIFIED_KEY.search(before):
            return False
    elif root == "token" and (
        rest.startswith("s") or _OTHER_TOKEN.search(head or folded[max(at - 14, 0) : at])
    ):
        return False
    return not (_NOT_A_VALUE.search(rest) or (head and _READING.search(head)))


def _place(text: str, name_start: int, head: str, match: re.Match[str]) -> tuple[Place | None, str]:
    """How surely the text is a value, by what leads to it; and the group it is in."""
    quoted = match["quoted"] is not None
    group = "quoted" if quoted else "bare"
    if match["call"]:
        return (Place.LOOSE if quoted else None), group
    if match["told"]:
        return (Place.QUOTED if quoted else Place.LOOSE), group
    if match["option"]:
        line_start = text.rfind("\n", max(name_start - 120, 0), name_start) + 1
        line = text[max(line_start, name_start - 120, 0) : name_start]
        # Also SQL's: ALTER USER joe WITH PASSWORD '…'.
        command = quoted or head.startswith("--") or head == "require" or "login " in line
        return (Place.LOOSE if command else None), group
    if match["sep"] == ">":
        if text[name_start - 1 : name_start] != "<" or text[match.end() : match.end() + 2] != "</":
            return None, group
        return Place.QUOTED, group
    if quoted:
        return Place.QUOTED, group
    if match["close"] and match["sep"] != ":":
        return Place.LOOSE, group
    name = text[name_start : match.end("rest")]
    begins = name_start == 0 or text[name_start - 1] in "\n \"'"
    if (
        begins
        and name.isupper()
        and text[match.end("rest")] == "="
        and match.start("bare") == match.end("rest") + 1
    ):
        return Place.ENVIRONMENT, group
    return Place.LOOSE, group


def _found(match: re.Match[str], group: str) -> Found:
    return Found(*match.span(group), Kind.CREDENTIAL, match[group])
