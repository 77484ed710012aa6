"""Tokens of senders and readers, hidden sites, and the keys of old clients.

A token is 256 random bits, bound to a site and a scope. It is shown once and stored as a keyed hash.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from collector.errors import Problem, StoreError, TokenError
from collector.store.tables import hidden_sites, key_checks, senders, systems, tokens

ANY_SITE = "*"

GRANTS = {
    "read": frozenset({"read"}),
    "triage": frozenset({"read", "triage"}),
    "upload": frozenset({"upload"}),
    "admin": frozenset({"read", "upload", "triage", "admin"}),
    "process": frozenset({"read", "upload"}),
}
"""What each scope permits. ``process`` is the scope of the token that a server process was started with."""

_CHECK = "token.key"

TOUCH_MS = 60_000
"""``last_used`` is written at most this often, so that most requests only read the database."""


@dataclass(frozen=True)
class Bearer:
    """The sender of a request: the site and the grants of its token. ``token`` is None for an anonymous reader."""

    site: str
    grants: frozenset[str]
    token: str | None = None

    def allows(self, site: str) -> bool:
        return self.site in (ANY_SITE, site)

    @property
    def writer(self) -> str:
        """The name under which the database remembers what this sender wrote."""
        if self.token is None:
            return "anonymous"
        own = self.token in ("process", "session") or ":" in self.token
        return self.token if own else f"token:{self.token}"


ANYONE = Bearer(site=ANY_SITE, grants=frozenset({"read"}))


def load_key(file: Path) -> bytes:
    """Read the server's key, and create it on first use.

    The key is never in the database, so that a stolen copy of the database is of no use.

    Raises:
        StoreError: the file cannot be read or created, or others can read it.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not file.exists():
            fresh = file.with_name(f".{file.name}.{os.getpid()}")
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                with os.fdopen(descriptor, "wb") as handle:
                    handle.write(secrets.token_bytes(32))
                    handle.flush()
                    os.fsync(handle.fileno())
                with suppress(FileExistsError):  # another process created it first, and that key is used
                    os.link(fresh, file)
            finally:
                fresh.unlink()
        if file.stat().st_mode & 0o077:
            raise StoreError(f"{file} can be read by other users. Run: chmod 600 {file}")
        key = file.read_bytes()
    except OSError as error:
        raise StoreError(f"cannot read or create the key of the tokens, {file}: {error.strerror}") from error
    if len(key) < 32:
        raise StoreError(f"{file} does not contain a key. Remove the file and create new tokens.")
    return key


def check_key(connection: Connection, key: bytes, file: Path) -> None:
    """Check that a key is the one with which the tokens in the database were created; remember the first key.

    Raises:
        StoreError: it is another one, and the database has tokens or old clients, none of which it would accept.
    """
    digest = keyed_hash(key, "key-check")
    stored = connection.execute(select(key_checks.c.digest).where(key_checks.c.name == _CHECK)).scalar()
    if stored is not None and hmac.compare_digest(bytes(stored), digest):
        return
    in_use = any(connection.execute(select(table).limit(1)).first() is not None for table in (tokens, senders))
    if stored is not None and in_use:
        raise StoreError(
            f"{file} is not the key of this database: none of its tokens would be accepted. Put the right token.key "
            "there. If it is lost, run `exaworks collector token replace-key`, and create all tokens again."
        )
    replace_check(connection, key)


def replace_check(connection: Connection, key: bytes) -> None:
    """Remember a key as the one of this database."""
    connection.execute(delete(key_checks).where(key_checks.c.name == _CHECK))
    connection.execute(insert(key_checks).values(name=_CHECK, digest=keyed_hash(key, "key-check")))


def replace_key(connection: Connection, key: bytes, now: int) -> tuple[int, int]:
    """Accept another key: revoke all tokens and remove all old clients; return how many there were of each."""
    revocation = update(tokens).where(tokens.c.revoked.is_(None)).values(revoked=now)
    revoked = connection.execute(revocation).rowcount
    removed = connection.execute(delete(senders)).rowcount
    replace_check(connection, key)
    return revoked, removed


def keyed_hash(key: bytes, token: str) -> bytes:
    """Return the hash that is stored for a token."""
    return hmac.new(key, token.encode(), hashlib.sha256).digest()


def new_token(connection: Connection, key: bytes, site: str, scope: str, now: int, expires: int | None) -> str:
    """Create a token and return it. It cannot be read back from the database."""
    identity = secrets.token_hex(4)
    token = f"exw_{identity}_{secrets.token_urlsafe(32)}"
    row = {"id": identity, "site": site, "scope": scope, "digest": keyed_hash(key, token)}
    connection.execute(insert(tokens).values(**row, created=now, expires=expires))
    return token


def list_tokens(connection: Connection) -> list[dict[str, Any]]:
    """Return the rows of all tokens, the newest first, without the hashes."""
    public = [column for column in tokens.c if column.name != "digest"]
    rows = connection.execute(select(*public).order_by(tokens.c.created.desc(), tokens.c.id))
    return [dict(row._mapping) for row in rows]


def revoke_token(connection: Connection, identity: str, now: int) -> None:
    """Revoke a token at once.

    Raises:
        TokenError: the token does not exist.
    """
    revocation = update(tokens).where(tokens.c.id == identity, tokens.c.revoked.is_(None)).values(revoked=now)
    if connection.execute(revocation).rowcount:
        return
    if connection.execute(select(tokens.c.id).where(tokens.c.id == identity)).scalar() is None:
        raise TokenError(f"no token {identity!r}. `exaworks collector token list` shows the ids.")


def rotate_token(connection: Connection, key: bytes, identity: str, now: int, overlap: int) -> str:
    """Create a token that replaces another one, and return it. The old token stays valid for ``overlap`` milliseconds.

    Raises:
        TokenError: the token does not exist, has ended, or was already rotated.
    """
    row = connection.execute(select(tokens).where(tokens.c.id == identity).with_for_update()).one_or_none()
    if row is None:
        raise TokenError(f"no token {identity!r}. `exaworks collector token list` shows the ids.")
    if row.revoked is not None or (row.expires is not None and row.expires <= now):
        raise TokenError(f"token {identity} has ended. Create another one: exaworks collector token new {row.site}")
    if row.successor is not None:
        raise TokenError(f"token {identity} was already rotated; its successor is {row.successor}.")
    lasts = None if row.expires is None else now + (row.expires - row.created)
    token = new_token(connection, key, row.site, row.scope, now, lasts)
    ends = now + overlap if row.expires is None else min(row.expires, now + overlap)
    values = {"expires": ends, "successor": token.split("_")[1]}
    connection.execute(update(tokens).where(tokens.c.id == identity).values(**values))
    return token


def hide_site(connection: Connection, site: str, now: int) -> None:
    """Hide a site from anonymous readers."""
    if connection.execute(select(hidden_sites.c.site).where(hidden_sites.c.site == site)).scalar() is None:
        connection.execute(insert(hidden_sites).values(site=site, since=now))


def show_site(connection: Connection, site: str) -> None:
    """Show a site to anonymous readers again."""
    connection.execute(delete(hidden_sites).where(hidden_sites.c.site == site))


def list_sites(connection: Connection) -> list[dict[str, Any]]:
    """Return every site that is known or hidden, with the time since when it is hidden, or None."""
    hidden = {row.site: row.since for row in connection.execute(select(hidden_sites))}
    known = set(connection.execute(select(systems.c.site).distinct()).scalars())
    return [{"site": site, "hidden_since": hidden.get(site)} for site in sorted(known | hidden.keys())]


def add_sender(connection: Connection, key: bytes, sender: str, secret: str, site: str, system: str, now: int) -> None:
    """Assign the results of an old client, identified by ``sender`` and ``secret``, to a system.

    An earlier assignment of the same sender is replaced.
    """
    connection.execute(delete(senders).where(senders.c.sender == sender))
    row = {"sender": sender, "digest": keyed_hash(key, secret), "site": site, "system": system}
    connection.execute(insert(senders).values(**row, created=now))


def remove_sender(connection: Connection, sender: str) -> None:
    """Refuse an old client from now on.

    Raises:
        TokenError: the sender is not known.
    """
    if not connection.execute(delete(senders).where(senders.c.sender == sender)).rowcount:
        raise TokenError(f"no sender {sender!r}. `exaworks collector sender list` shows the senders.")


def list_senders(connection: Connection) -> list[dict[str, Any]]:
    """Return the rows of all old clients, without the hashes of their keys."""
    public = [column for column in senders.c if column.name != "digest"]
    return [dict(row._mapping) for row in connection.execute(select(*public).order_by(senders.c.sender))]


def check_sender(connection: Connection, key: bytes, sender: str, secret: str, now: int) -> tuple[str, str, bool]:
    """Return site and system of an old client, and whether ``last_used`` should be written.

    Raises:
        Problem: 401, without revealing whether the id or the key is unknown.
    """
    row = None
    if "\0" not in sender:
        row = connection.execute(select(senders).where(senders.c.sender == sender)).one_or_none()
    if row is None or not hmac.compare_digest(row.digest, keyed_hash(key, secret)):
        detail = "The key is not a token of this collector and is not registered for this id."
        raise Problem(401, "token-refused", detail, "key")
    return row.site, row.system, row.last_used is None or now - row.last_used >= TOUCH_MS


def note_sender_use(connection: Connection, sender: str, now: int) -> None:
    """Store the time at which the key of an old client was last used."""
    connection.execute(update(senders).where(senders.c.sender == sender).values(last_used=now))


def check_token(connection: Connection, key: bytes, token: str, now: int) -> tuple[Bearer, bool]:
    """Return the bearer of a token, and whether ``last_used`` should be written.

    Raises:
        Problem: 401, without revealing whether the token is unknown, revoked or expired.
    """
    refused = Problem(401, "token-refused", "The token is unknown, revoked or expired.")
    kind, _, rest = token.partition("_")
    identity = rest.partition("_")[0]
    if kind != "exw" or not 0 < len(identity) <= 16 or len(token) > 256 or not identity.isalnum():
        raise refused
    row = connection.execute(select(tokens).where(tokens.c.id == identity)).one_or_none()
    if row is None or not hmac.compare_digest(row.digest, keyed_hash(key, token)):
        raise refused
    if row.revoked is not None or (row.expires is not None and row.expires <= now):
        raise refused
    due = row.last_used is None or now - row.last_used >= TOUCH_MS
    return Bearer(site=row.site, grants=GRANTS[row.scope], token=identity), due


def note_use(connection: Connection, identity: str, now: int) -> None:
    """Store the time at which a token was last used."""
    connection.execute(update(tokens).where(tokens.c.id == identity).values(last_used=now))
