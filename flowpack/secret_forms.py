"""Keys and tokens by the forms that their makers gave them: no entropy is measured, so that few alarms are false.

``find_secrets`` is for files, where an alarm fails a build; ``scrub`` is for messages and logs, where a word too much
costs nothing. Both take time in proportion to the text: each form has a word that is looked for first, repeats at most
a stated number of times, and begins where no longer run of its own characters is under way.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

MASK = "****"


class Form(NamedTuple):
    """``words`` are looked for first, one of which each secret of the form holds; ``pattern`` is ASCII."""

    kind: str
    words: tuple[str, ...]
    pattern: str


_KEY_HEAD = r"-----BEGIN (?:[A-Z0-9]{1,20} ){0,3}PRIVATE KEY(?: BLOCK)?-----"
_API_KEY = r"(?i:api[_-]?key)[\"']?[ \t]{0,8}[:=][ \t]{0,8}[\"']?"
_UUID = r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"
_BEFORE = r"(?<![A-Za-z0-9_-])"

_FORMS = (
    Form("a private key", ("PRIVATE KEY",), _KEY_HEAD),
    Form("an AWS access key", ("AKIA", "ASIA"), r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    Form(
        "an AWS secret key",
        ("aws_secret_access_key", "AWS_SECRET_ACCESS_KEY", "SecretAccessKey"),
        r"(?:aws_secret_access_key|AWS_SECRET_ACCESS_KEY|SecretAccessKey)[\"']?[ \t]{0,8}[:=][ \t]{0,8}[\"']?"
        r"[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])",
    ),
    Form(
        "a GitHub token",
        ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
        r"\b(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{60,255})",
    ),
    Form("a GitLab token", ("glpat-",), _BEFORE + r"glpat-[A-Za-z0-9_-]{20,255}"),
    Form(
        "an OpenAI key",
        ("sk-",),
        _BEFORE + r"sk-(?:(?:proj|svcacct|admin|None)-[A-Za-z0-9_-]{40,255}"
        r"|[A-Za-z0-9_-]{20,120}T3BlbkFJ[A-Za-z0-9_-]{20,120}|[A-Za-z0-9]{48}(?![A-Za-z0-9_-]))",
    ),
    Form("an Anthropic key", ("sk-ant-",), _BEFORE + r"sk-ant-[a-z0-9]{2,10}-[A-Za-z0-9_-]{40,255}"),
    Form("an Azure OpenAI key", ("JQQJ99",), r"\b[0-9A-Za-z]{52}JQQJ99[0-9A-Za-z]{26}\b"),
    Form(
        "an Azure OpenAI key",
        ("api_key", "api-key", "apikey", "apiKey", "ApiKey", "API_KEY"),
        rf"{_API_KEY}[0-9a-f]{{32}}(?![0-9A-Za-z_-])",
    ),
    Form("a key of an Azure storage account", ("AccountKey=",), r"AccountKey=[A-Za-z0-9+/]{86}=="),
    Form("a shared access key of Azure", ("SharedAccessKey=",), r"SharedAccessKey=[A-Za-z0-9+/]{43}="),
    Form(
        "an Application Insights connection string",
        ("InstrumentationKey=",),
        rf"InstrumentationKey={_UUID}",
    ),
    Form(
        "a secret of an Entra application",
        ("8Q~",),
        r"(?<![\w~.-])[A-Za-z0-9_~.-]{3}8Q~[A-Za-z0-9_~.-]{31,34}(?![\w~.-])",
    ),
    Form(
        "an Azure shared access signature",
        ("sig=",),
        r"(?<![A-Za-z0-9_])sig=[A-Za-z0-9%+/]{43,120}(?:%3[Dd]|=)",
    ),
    Form("a Google key", ("AIza",), r"\bAIza[0-9A-Za-z_-]{35}(?![0-9A-Za-z_-])"),
    Form("a Hugging Face token", ("hf_",), r"\bhf_[A-Za-z0-9]{34,40}\b"),
    Form(
        "a Slack token",
        ("xox", "xapp-", "hooks.slack.com/services/"),
        _BEFORE + r"(?:xox[abeprs]-[0-9]{8,20}-[0-9A-Za-z-]{10,200}|xapp-[0-9]-[0-9A-Z]{8,20}-[0-9A-Za-z-]{10,200})"
        r"|hooks\.slack\.com/services/T[0-9A-Z]{6,20}/B[0-9A-Z]{6,20}/[0-9A-Za-z]{20,40}",
    ),
    Form("a Stripe key", ("k_live_",), r"\b[rs]k_live_[0-9A-Za-z]{24,255}"),
    Form("a token of npm", ("npm_",), r"\bnpm_[A-Za-z0-9]{36}\b"),
    Form("a package index token", ("pypi-AgE",), _BEFORE + r"pypi-AgE[A-Za-z0-9_-]{50,1000}"),
    Form(
        "a JSON web token",
        ("eyJ",),
        _BEFORE + r"eyJ[A-Za-z0-9_-]{10,2000}\.eyJ[A-Za-z0-9_-]{10,8000}\.[A-Za-z0-9_-]{20,1000}",
    ),
    Form(
        "a password of netrc",
        ("machine",),
        r"\bmachine\s{1,8}[^\s$<{]{1,200}\s{1,8}login\s{1,8}[^\s$<{]{1,200}\s{1,8}password\s{1,8}[^\s$<{*]{3,200}",
    ),
    Form(
        "credentials of a container registry",
        ('"auths"',),
        r'"auth"[ \t]{0,8}:[ \t]{0,8}"[A-Za-z0-9+/]{12,1000}={0,2}"',
    ),
)

# A password beside a user in a URL; no part of it is a variable, a placeholder or a template's.
_CREDENTIALS = Form(
    "a password in a URL", ("://",), r"\bhttps?://[^/\s:@\"'<>`${}()\[\],|\\]{0,200}:[^/\s@\"'<>`${}\[\],|\\]{1,200}@"
)
# In a file that says where packages come from, a user alone is a token.
_INDEX_CREDENTIALS = Form("credentials of a package index", ("://",), r"\bhttps?://[^/\s@\"'<>`${}]{1,400}@")

_NOT_MEANT = re.compile(r"(?-i:EXAMPLE)|x{8}|\*{3}|0{12}|1234567890abcdef|your[_-]", re.I)
_DUMMY = re.compile(
    r"://(?:git@|(?P<user>[^:@/]*):(?:pass(?:word|wd)?|pwd|secret|token|api[_-]?key|changeme|xxx+|\.\.\.|(?P=user))@)",
    re.I,
)


def find_secrets(data: bytes, *, names_indexes: bool = False) -> Iterator[tuple[int, str]]:
    """Where a secret begins, and its kind, in the order of the text; ``names_indexes`` is for requirements and such."""
    credentials = _INDEX_CREDENTIALS if names_indexes else _CREDENTIALS
    found = []
    for form in (*_FORMS, credentials):
        if any(word.encode() in data for word in form.words):
            for match in _compiled(form).finditer(data):
                text = match[0].decode("latin-1")
                is_dummy = _NOT_MEANT.search(text) or (form is credentials and _DUMMY.search(text))
                if not is_dummy:
                    found.append((match.start(), form.kind))
    yield from sorted(found)


@cache
def _compiled(form: Form) -> re.Pattern[bytes]:
    return re.compile(form.pattern.encode())


# After a name: what an equals sign gives it, or a colon where the word has a digit, which prose seldom has.
_GIVEN = r"[ \t]{0,4}(?:=[ \t]{0,4}[\"']?|:[ \t]{0,4}[\"']?(?=[^\s\"']{0,100}\d))"
_WORD = r"(?![\s*$<{\[/])[^\s;,\"'&]{4,}"

# What a message or a log may hold beside the forms, each with the word that is looked for first. The first group stays.
_MASKED = (
    ("://", r"([a-z][a-z0-9+.-]{0,20}://)(?:[^/\s@:]*:[^/\s]*|(?<=http://)[^/\s]+|(?<=https://)[^/\s]+)@"),
    ("authorization", r"(authorization[\"']?:\s{0,4}[\"']?(?:basic|bearer)\s{1,4})[^\s\"']+"),
    ("x-registry-auth", r"(x-registry-auth:\s{0,4})\S+"),
    ("sig=", r"((?<![a-z0-9_])sig=)[^&\s\"'<>;,]+"),
    ("accountkey", r"(accountkey=)[^;\s\"']+"),
    ("sharedaccess", r"(sharedaccesskey=|sharedsecretvalue=)[^;\s\"']+"),
    ("password", rf"(\b[\w-]{{0,60}}password[\"']?{_GIVEN}){_WORD}"),
    ("secret", rf"(\b[\w-]{{0,60}}secret(?:_access)?(?:_key)?[\"']?{_GIVEN}){_WORD}"),
    ("key", rf"(\b[\w-]{{0,60}}api[_-]?key[\"']?{_GIVEN}){_WORD}"),
    ("pwd=", rf"(\bpwd{_GIVEN}){_WORD}"),
    ("private key", rf"({_KEY_HEAD})[^-]*(?:-----END [A-Z0-9 ]{{0,60}}-----)?"),
)
_BY_WORD = tuple((word, form) for form in _FORMS if form.kind != "a private key" for word in form.words)
_SK = re.compile(_BEFORE + r"(sk-)[A-Za-z0-9_-]{20,255}")


def scrub(text: str) -> str:
    """Takes credentials out, so that the text may go into a message, a log or a file."""
    lower = text.lower()
    for word, pattern in _MASKED:
        if word in lower:
            text = _masking(pattern).sub(lambda match: f"{match[1]}{MASK}{'@' if match[0].endswith('@') else ''}", text)
    if "sk-" in text:
        text = _SK.sub(rf"\1{MASK}", text)
    for form in dict.fromkeys([form for word, form in _BY_WORD if word in text]):
        text = _in_text(form).sub(MASK, text)
    return text


@cache
def _masking(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.I)


@cache
def _in_text(form: Form) -> re.Pattern[str]:
    return re.compile(form.pattern, re.ASCII)
