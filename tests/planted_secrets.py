"""One secret of each kind, put together when a test runs: no scanner finds one in the repository."""

from __future__ import annotations

import base64
import random
import string

_LETTERS = string.ascii_letters + string.digits


def planted(seed: int = 7) -> dict[str, str]:
    """By kind, as ``flowpack check`` calls it; the value is a line of a file, the secret's own part is random."""
    chance = random.Random(seed)

    def some(count: int, letters: str = _LETTERS) -> str:
        return "".join(chance.choices(letters, k=count))

    def base64_of(count: int) -> str:
        return base64.b64encode(chance.randbytes(count)).decode()

    hexadecimal = string.digits + "abcdef"
    uuid = "-".join(some(count, hexadecimal) for count in (8, 4, 4, 4, 12))
    return {
        "a private key": "-----BEGIN " + f"RSA PRIVATE KEY-----\n{base64_of(48)}\n-----END " + "RSA PRIVATE KEY-----",
        "an AWS access key": "AK" + "IA" + some(16, string.ascii_uppercase + string.digits),
        "an AWS secret key": "aws_secret_" + f"access_key = {some(40)}",
        "a GitHub token": "gh" + "p_" + some(36),
        "a GitLab token": "glp" + "at-" + some(20),
        "an OpenAI key": "s" + "k-proj-" + some(24) + "T3Blbk" + "FJ" + some(24),
        "an Anthropic key": "s" + "k-ant-api03-" + some(80),
        "an Azure OpenAI key": "api" + f'_key: "{some(32, hexadecimal)}"',
        "a key of an Azure storage account": "Account" + f"Key={base64_of(64)};EndpointSuffix=core.windows.net",
        "a shared access key of Azure": "Endpoint=sb://x.servicebus.windows.net/;Shared" + f"AccessKey={base64_of(32)}",
        "an Application Insights connection string": "Instrumentation" + f"Key={uuid};IngestionEndpoint=https://x/",
        "a secret of an Entra application": f"CLIENT: {some(3)}8Q" + f"~{some(34)}",
        "an Azure shared access signature": "https://x.blob.core.windows.net/c/f?sv=1&s" + f"ig={some(43)}%3D&se=2",
        "a Google key": "AI" + "za" + some(35),
        "a Hugging Face token": "h" + "f_" + some(34),
        "a Slack token": "xo" + f"xb-{some(12, string.digits)}-{some(24)}",
        "a Stripe key": "sk_" + f"live_{some(24)}",
        "a token of npm": "np" + f"m_{some(36)}",
        "a package index token": "py" + f"pi-AgE{some(60)}",
        "a JSON web token": "ey" + f"J{some(30)}.ey" + f"J{some(60)}.{some(43)}",
        "a password of netrc": "machine packages.example login deploy pass" + f"word {some(20)}",
        "credentials of a container registry": '{"auths": {"x.example": {"au' + f'th": "{base64_of(30)}"}}}}}}',
        "a password in a URL": f"--index-url https://deploy:{some(16)}@packages.example/simple",
    }


def own_part(line: str) -> str:
    """The longest run of the line that a secret alone has: what no output may hold."""
    runs = "".join(each if each in _LETTERS else " " for each in line).split()
    return max(runs, key=lambda run: (any(map(str.isdigit, run)), len(run)))
