"""aiosmtpd as a mail server: prints its port, then a line of JSON for each mail, as Python's own parser reads it."""

import asyncio
import email
import email.policy
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

mode, certificate, key, login = sys.argv[1:5]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)


def say(**what):
    print(json.dumps(what), flush=True)


class Keep:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("nobody@"):
            return "550 5.1.1 no such user"
        if address.startswith("later@"):
            return "451 4.2.1 greylisted"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        parts = {part.get_content_type(): part.get_content() for part in mail.walk() if not part.is_multipart()}
        say(
            sender=envelope.mail_from,
            recipients=envelope.rcpt_tos,
            encrypted=session.ssl is not None or mode == "tls",
            login=session.auth_data.login.decode() if session.auth_data else None,
            headers=[[name, str(value)] for name, value in mail.items()],
            longest=max(len(line) for line in envelope.content.splitlines()),
            parts=parts,
        )
        return "250 taken"


def check(server, session, envelope, mechanism, data):
    good = data.password == b"hunter2"
    say(tried=data.login.decode(), good=good)
    return AuthResult(success=good, handled=False, auth_data=data if good else None)


def protocol():
    if mode == "starttls":
        tls = {"tls_context": context, "require_starttls": True}
    elif mode == "tls":
        tls = {"auth_require_tls": False}
    else:
        tls = {}
    auth = {"authenticator": check, "auth_required": True} if login == "login" else {}
    return SMTP(Keep(), hostname="mail.example.com", **tls, **auth)


async def main():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(protocol, "127.0.0.1", 0, ssl=context if mode == "tls" else None)
    say(port=server.sockets[0].getsockname()[1])
    await loop.run_in_executor(None, sys.stdin.read)


asyncio.run(main())
