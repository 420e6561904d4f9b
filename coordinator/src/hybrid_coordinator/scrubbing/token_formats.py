"""Our own table of API tokens: those that no plugin of detect-secrets finds, or not whole.

A row says how tokens of one vendor begin, what follows, and where the vendor
documents it. A token that detect-secrets finds whole has no row here.
"""

from __future__ import annotations

import re
from typing import NamedTuple


class TokenFormat(NamedTuple):
    """How tokens of one kind look.

    ``rest`` is matched right after a prefix; it is bounded, so that a match
    costs no more than its length.
    """

    vendor: str
    prefixes: tuple[str, ...]
    rest: re.Pattern[str]
    source: str


def _format(vendor: str, prefixes: str, rest: str, source: str) -> TokenFormat:
    return TokenFormat(vendor, tuple(prefixes.split()), re.compile(rest), source)


_URL_SAFE = r"[A-Za-z0-9_-]"
_ALNUM = r"[A-Za-z0-9]"

TOKEN_FORMATS = (
    _format(
        "OpenAI and those that speak its API (also Anthropic's sk-ant-, OpenRouter's sk-or-)",
        "sk-",
        rf"{_URL_SAFE}{{20,300}}",
        "OpenAI, API reference, 'Authentication'; Anthropic, API reference, 'Authentication'; "
        "OpenRouter, 'API Authentication'",
    ),
    _format(
        "GitHub, fine-grained",
        "github_pat_",
        r"[A-Za-z0-9_]{60,120}",
        "GitHub Docs, 'About authentication to GitHub', token formats",
    ),
    _format(
        "GitLab, beyond the plugin's kinds",
        "glffct- glsoat- glwt- GR1348941",
        rf"{_URL_SAFE}{{20,128}}",
        "GitLab Docs, 'Token overview', token prefixes",
    ),
    _format(
        "Slack, app-level and rotated",
        "xapp- xoxe. xoxe- xoxc- xoxd-",
        r"[A-Za-z0-9.%-]{20,300}",
        "Slack API, 'Token types' and 'Using token rotation'",
    ),
    _format(
        "Google, API key",
        "AIza",
        rf"{_URL_SAFE}{{35}}",
        "Google Cloud, 'Manage API keys': 39 characters that start with AIza",
    ),
    _format(
        "Google, OAuth",
        "ya29. GOCSPX-",
        r"[A-Za-z0-9_.-]{20,512}",
        "Google Identity, 'Using OAuth 2.0 to access Google APIs'",
    ),
    _format(
        "Stripe, test mode, restricted and webhook",
        "sk_test_ rk_test_ sk_live_ rk_live_ whsec_",
        r"[A-Za-z0-9+/=]{24,256}",
        "Stripe, 'API keys': prefixes and length up to 255; 'Webhook signatures'",
    ),
    _format(
        "npm",
        "npm_",
        rf"{_ALNUM}{{36}}",
        "GitHub Blog, 'Announcing npm's new access token format'",
    ),
    _format(
        "Hugging Face",
        "hf_ api_org_",
        rf"{_ALNUM}{{34}}",
        "Hugging Face Hub, 'User access tokens'",
    ),
    _format(
        "Groq, xAI, Perplexity, Replicate, Fireworks",
        "gsk_ xai- pplx- r8_ fw_",
        rf"{_ALNUM}{{20,128}}",
        "each vendor's API reference, 'Authentication'",
    ),
    _format(
        "NVIDIA",
        "nvapi-",
        rf"{_URL_SAFE}{{60,128}}",
        "NVIDIA NIM, 'API catalog quickstart'",
    ),
    _format(
        "DigitalOcean",
        "dop_v1_ doo_v1_ dor_v1_",
        r"[a-f0-9]{64}",
        "DigitalOcean API, 'Authentication': token prefixes",
    ),
    _format(
        "Shopify",
        "shpat_ shpca_ shppa_ shpss_",
        r"[a-fA-F0-9]{32}",
        "Shopify changelog, 'Length of the shared secret and access token is changing'",
    ),
    _format(
        "Atlassian",
        "ATATT3 ATCTT3",
        r"[A-Za-z0-9_=-]{60,300}",
        "Atlassian Support, 'Manage API tokens'",
    ),
    _format(
        "HashiCorp Vault",
        "hvs. hvb. hvr.",
        rf"{_URL_SAFE}{{24,300}}",
        "Vault, 'Tokens': token prefixes since 1.10",
    ),
    _format(
        "Grafana",
        "glsa_ glc_",
        r"[A-Za-z0-9_+/=]{32,400}",
        "Grafana, 'Service accounts': token format",
    ),
    _format(
        "Databricks",
        "dapi",
        r"[a-f0-9]{32}(?:-\d)?",
        "Databricks, 'Personal access token authentication'",
    ),
    _format(
        "Docker Hub",
        "dckr_pat_ dckr_oat_",
        rf"{_URL_SAFE}{{27,64}}",
        "Docker, 'Personal access tokens'",
    ),
    _format(
        "Cargo registry",
        "cio",
        rf"{_ALNUM}{{32}}",
        "Rust blog, security advisory of July 2020: tokens made since begin with cio",
    ),
    _format(
        "Notion, Linear, Figma, Postman",
        "ntn_ lin_api_ figd_ PMAK-",
        rf"{_URL_SAFE}{{32,128}}",
        "each vendor's API reference, 'Authentication'",
    ),
    _format(
        "New Relic",
        "NRAK- NRII-",
        rf"{_URL_SAFE}{{27,40}}",
        "New Relic, 'API keys': key formats",
    ),
    _format(
        "Tailscale",
        "tskey-",
        rf"{_URL_SAFE}{{16,80}}",
        "Tailscale, 'Key prefixes'",
    ),
    _format(
        "Doppler, Pulumi, Supabase, Sentry",
        "dp.pt. dp.st. pul- sbp_ sntrys_ sntryu_",
        r"[A-Za-z0-9_.+/=-]{32,400}",
        "each vendor's reference of token formats",
    ),
    _format(
        "Alibaba Cloud",
        "LTAI",
        rf"{_ALNUM}{{16,24}}",
        "Alibaba Cloud, 'Create an AccessKey pair'",
    ),
    _format(
        "Square, access token",
        "sq0atp- EAAAl",
        rf"{_URL_SAFE}{{22,80}}",
        "Square, 'Access tokens'",
    ),
    _format(
        "age",
        "AGE-SECRET-KEY-1",
        r"[QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L]{58}",
        "age-encryption.org/v1, 'The X25519 recipient type'",
    ),
)
