"""Finds API tokens by their own form: detect-secrets' plugins, and our table beside them.

Not passwords and other values that only a name next to them gives away: see
``credentials``. The plugins' patterns are used directly, each anchored where a
literal that begins it was found, because ``analyze_line`` keeps no positions,
reports only the prefix of some tokens, and consults detect-secrets' global
settings, which are not made for threads. Of its plugins these are not used:
those for entropy, since digests, UUIDs and encoded pictures have as much as a
token; those for keywords, npm and basic authentication, which ``credentials``
covers; that for OpenAI, which our table covers; that for IP addresses.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from detect_secrets.plugins.artifactory import ArtifactoryDetector
from detect_secrets.plugins.aws import AWSKeyDetector
from detect_secrets.plugins.azure_storage_key import AzureStorageKeyDetector
from detect_secrets.plugins.base import RegexBasedDetector
from detect_secrets.plugins.cloudant import CloudantDetector
from detect_secrets.plugins.discord import DiscordBotTokenDetector
from detect_secrets.plugins.github_token import GitHubTokenDetector
from detect_secrets.plugins.gitlab_token import GitLabTokenDetector
from detect_secrets.plugins.ibm_cloud_iam import IbmCloudIamDetector
from detect_secrets.plugins.ibm_cos_hmac import IbmCosHmacDetector
from detect_secrets.plugins.jwt import JwtTokenDetector
from detect_secrets.plugins.mailchimp import MailchimpDetector
from detect_secrets.plugins.pypi_token import PypiTokenDetector
from detect_secrets.plugins.sendgrid import SendGridDetector
from detect_secrets.plugins.slack import SlackDetector
from detect_secrets.plugins.softlayer import SoftlayerDetector
from detect_secrets.plugins.square_oauth import SquareOAuthDetector
from detect_secrets.plugins.stripe import StripeDetector
from detect_secrets.plugins.telegram_token import TelegramBotTokenDetector
from detect_secrets.plugins.twilio import TwilioKeyDetector

from hybrid_coordinator.scrubbing.kinds import Found, Kind
from hybrid_coordinator.scrubbing.token_formats import TOKEN_FORMATS

_LONGEST_TOKEN = 8_192
_SHORTEST_GROUP = 12
"""A pattern's group shorter than this is a prefix, not the secret."""


class _Anchored(NamedTuple):
    """A plugin whose patterns begin with one of some literals.

    ``lead`` is how many characters a pattern has before the literal; ``folded``
    says that the case of the literal does not count.
    """

    plugin: RegexBasedDetector
    literals: tuple[str, ...]
    lead: int = 0
    folded: bool = False


class _Nearby(NamedTuple):
    """A plugin whose bounded patterns are tried around a literal, in its line."""

    plugin: RegexBasedDetector
    literals: tuple[str, ...]
    before: int
    after: int


_ANCHORED = (
    _Anchored(AWSKeyDetector(), ("AKIA", "ASIA", "ABIA", "ACCA", "A3T")),
    _Anchored(AWSKeyDetector(), ("aws",), folded=True),
    _Anchored(ArtifactoryDetector(), ("AKC", "APA", "APB", "APC", "APD", "APE", "APF"), lead=1),
    _Anchored(AzureStorageKeyDetector(), ("AccountKey=",)),
    _Anchored(GitHubTokenDetector(), ("ghp_", "gho_", "ghu_", "ghs_", "ghr_")),
    _Anchored(
        GitLabTokenDetector(),
        tuple(f"gl{k}-" for k in ("pat", "dt", "ft", "rt", "cbt", "imt", "ptt", "agent", "oas")),
    ),
    _Anchored(JwtTokenDetector(), ("eyJ",)),
    _Anchored(PypiTokenDetector(), ("pypi-AgE",)),
    _Anchored(SendGridDetector(), ("SG.",)),
    _Anchored(SlackDetector(), ("xox",)),
    _Anchored(SlackDetector(), ("https://hooks.slack.com/services/",)),
    _Anchored(SquareOAuthDetector(), ("sq0csp-",)),
    _Anchored(StripeDetector(), ("sk_live_", "rk_live_")),
    _Anchored(TwilioKeyDetector(), ("AC", "SK")),
)
_NEARBY = (
    _Nearby(CloudantDetector(), ("cloudant",), 64, 256),
    _Nearby(DiscordBotTokenDetector(), ("discord",), 128, 256),
    _Nearby(IbmCloudIamDetector(), ("ibm",), 32, 128),
    _Nearby(IbmCosHmacDetector(), ("cos_", "cos-"), 32, 128),
    _Nearby(MailchimpDetector(), ("-us",), 40, 8),
    _Nearby(SoftlayerDetector(), ("softlayer",), 32, 192),
    _Nearby(TelegramBotTokenDetector(), (":aa",), 16, 48),
)
_MORE = re.compile(r"[A-Za-z0-9_-]{0,256}")


def find(text: str, folded: str) -> Iterator[Found]:
    """Tokens in ``text``; ``folded`` is the same text, as long, in lower case."""
    for anchored in _ANCHORED:
        searched = folded if anchored.folded else text
        for literal in anchored.literals:
            if literal in searched:
                yield from _at(text, searched, literal, anchored)
    for form in TOKEN_FORMATS:
        for prefix in form.prefixes:
            if prefix in text:
                yield from _with_prefix(text, prefix, form.rest)
    for nearby in _NEARBY:
        for literal in nearby.literals:
            if literal in folded:
                yield from _near(text, folded, literal, nearby)


def _at(text: str, searched: str, literal: str, row: _Anchored) -> Iterator[Found]:
    at = searched.find(literal)
    while at >= 0:
        after = at + len(literal)
        if _begins_a_word(text, at):
            for pattern in row.plugin.denylist:
                start = max(at - row.lead, 0)
                match = pattern.match(text, start, at + _LONGEST_TOKEN)
                if match and (found := _whole(text, match, row.plugin)):
                    yield found
                    after = max(after, found.end)
                    break
        at = searched.find(literal, after)


def _with_prefix(text: str, prefix: str, rest: re.Pattern[str]) -> Iterator[Found]:
    at = text.find(prefix)
    while at >= 0:
        after = at + len(prefix)
        if _begins_a_word(text, at) and (match := rest.match(text, after)):
            value = text[at : match.end()].rstrip(".")
            end = at + len(value)
            # Nine of ten tokens of 20 random characters have a digit; words with dashes have none.
            if _random(value[len(prefix) :]) and not _continues(text, end):
                yield Found(at, end, Kind.API_KEY, value)
                after = end
        at = text.find(prefix, after)


def _near(text: str, folded: str, literal: str, row: _Nearby) -> Iterator[Found]:
    at = folded.find(literal)
    done = 0
    while at >= 0:
        start = max(done, at - row.before, text.rfind("\n", max(at - row.before, 0), at) + 1)
        line_end = text.find("\n", at, at + row.after)
        end = line_end if line_end >= 0 else min(at + row.after, len(text))
        done = max(at + len(literal), end - row.before)
        for pattern in row.plugin.denylist:
            for match in pattern.finditer(text, start, end):
                if found := _whole(text, match, row.plugin):
                    yield found
                    done = max(done, found.end)
        at = folded.find(literal, done)


def _whole(text: str, match: re.Match[str], plugin: RegexBasedDetector) -> Found | None:
    """The secret in a plugin's match, up to where its characters end; None for a look-alike."""
    start, end = match.span()
    for group in range(1, match.re.groups + 1):
        if len(match.group(group) or "") >= _SHORTEST_GROUP:
            start, end = match.span(group)
            break
    value = match.string[start:end]
    if isinstance(plugin, AzureStorageKeyDetector):
        value = value.partition("=")[2]
    bare = value.lstrip(' \t\r\n"=:').rstrip(' \t\r\n"')
    start = end - len(value) + value.index(bare)
    end = start + len(bare)
    if more := _MORE.match(text, end):
        end = more.end()
    value = text[start:end]
    if isinstance(plugin, JwtTokenDetector):
        # Read on to the end of the signature, which the plugin's last group leaves out.
        return _jwt(text, start, plugin)
    if isinstance(plugin, AWSKeyDetector | TwilioKeyDetector) and len(value) > len(bare):
        return None
    return Found(start, end, Kind.API_KEY, value) if _random(value) else None


_JWT = re.compile(r"eyJ[\w=-]{12,4096}+\.[\w=-]{1,8192}+(?:\.[\w+/=-]{0,8192}+)?", re.ASCII)


def _jwt(text: str, start: int, plugin: JwtTokenDetector) -> Found | None:
    match = _JWT.match(text, start)
    if match is None or not plugin.is_formally_valid(".".join(match.group().split(".")[:2])):
        return None
    return Found(start, match.end(), Kind.API_KEY, match.group())


def _random(value: str) -> bool:
    """Whether a token's rest can be drawn by chance: digits among letters, not one of few."""
    return (
        any(c.isdigit() for c in value)
        and any(c.isalpha() for c in value)
        and len(set(value)) >= min(8, len(value) // 2)
    )


def _begins_a_word(text: str, at: int) -> bool:
    return at == 0 or not (
        text[at - 1].isalnum() or (text[at - 1] in "_-" and at >= 2 and text[at - 2].isalnum())
    )


def _continues(text: str, end: int) -> bool:
    return end < len(text) and text[end].isalnum()
