"""Mail: the digest as text, by the mail server that the environment of the collector names."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

TIMEOUT_SECONDS = 10
PORT = 25

SMTP = "EXAWORKS_COLLECTOR_SMTP"
SENDER = "EXAWORKS_COLLECTOR_MAIL_FROM"
STARTTLS = "EXAWORKS_COLLECTOR_SMTP_STARTTLS"
USER = "EXAWORKS_COLLECTOR_SMTP_USER"
PASSWORD_FILE = "EXAWORKS_COLLECTOR_SMTP_PASSWORD_FILE"  # noqa: S105 the name of a variable


def send_mail(url: str, facts: dict[str, Any]) -> str | None:
    """Send a digest to the address of a ``mailto:`` URL; return the error, or None.

    A password is sent only over a connection that STARTTLS encrypts, to a server with a valid certificate.
    """
    import smtplib
    import ssl
    from email.message import EmailMessage

    from collector.notify.digest import as_text, counts_of

    address = os.environ.get(SMTP)
    if not address:
        return f"no mail server: set {SMTP} to host:port in the environment of the collector"
    encrypt = os.environ.get(STARTTLS, "no").lower() in ("1", "yes", "true")
    user, password = os.environ.get(USER), os.environ.get(PASSWORD_FILE)
    if user and not (encrypt and password):
        return f"{USER} needs {STARTTLS}=yes, so that the password is not sent in the clear, and {PASSWORD_FILE}"
    try:
        place = urlsplit(f"//{address}")
        host, port = place.hostname or "", place.port or PORT
    except ValueError:
        host = ""
    if not host:
        return f"{SMTP}={address!r} is not host:port, such as mail.example.org:587"
    message = EmailMessage()
    if facts["event"] == "test":
        message["Subject"] = "ExaWorks: test message"
        message.set_content(facts["about"])
    else:
        counts = counts_of(facts)
        message["Subject"] = (
            f"ExaWorks: {counts['newly_failed']} newly failed, {counts['failing_for_days']} failing, "
            f"{counts['missing']} missing, {counts['silent']} silent"
        )
        message.set_content(as_text(facts))
    message["From"] = os.environ.get(SENDER) or f"exaworks@{host}"
    message["To"] = url.removeprefix("mailto:").partition("?")[0]
    try:
        with smtplib.SMTP(host, port, timeout=TIMEOUT_SECONDS) as server:
            if encrypt:
                server.starttls(context=ssl.create_default_context())
            if user and password:
                server.login(user, Path(password).read_text(encoding="utf-8").strip())
            server.send_message(message)
    except (OSError, ValueError, smtplib.SMTPException) as error:
        return f"{type(error).__name__}: {error}"
    return None
