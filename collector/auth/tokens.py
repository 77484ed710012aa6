"""Tokens: 256 random bits, shown once, kept as a keyed hash, each bound to a site and a scope."""

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
from collector.store.tables import hidden_sites, senders, systems, tokens

ANY_SITE = "*"

GRANTS = {
    "read": frozenset({"read"}),
    "upload": frozenset({"upload"}),
    "admin": frozenset({"read", "upload", "admin"}),
    "process": frozenset({"read", "upload"}),
}
"""What each scope permits; ``process`` is that of a token which one server process was started with."""

TOUCH_MS = 60_000
"""``last_used`` is written at most this often, so that using a token stays a read."""


@dataclass(frozen=True)
class Bearer:
    """Who sent a request: a token's site and what it permits; ``token`` is None for an anonymous reader."""

    site: str
    grants: frozenset[str]
    token: str | None = None

    def allows(self, site: str) -> bool:
        return self.site in (ANY_SITE, site)


ANYONE = Bearer(site=ANY_SITE, grants=frozenset({"read"}))


def load_key(file: Path) -> bytes:
    """Read the server's key, making it on first use; it is never in the database, so a stolen copy proves nothing.

    Raises:
        StoreError: the file cannot be read or made, or is open to others.
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
                with suppress(FileExistsError):  # another process made it first: that one counts
                    os.link(fresh, file)
            finally:
                fresh.unlink()
        if file.stat().st_mode & 0o077:
            raise StoreError(f"{file} can be read by others. Run: chmod 600 {file}")
        key = file.read_bytes()
    except OSError as error:
        raise StoreError(f"cannot read the key of the tokens, {file}: {error.strerror}") from error
    if len(key) < 32:
        raise StoreError(f"{file} holds no key: remove it, and make new tokens.")
    return key


def keyed_hash(key: bytes, token: str) -> bytes:
    """Return what is stored of a token."""
    return hmac.new(key, token.encode(), hashlib.sha256).digest()


def new_token(connection: Connection, key: bytes, site: str, scope: str, now: int, expires: int | None) -> str:
    """Store a new token and return it; this is the only time it exists in the clear."""
    identity = secrets.token_hex(4)
    token = f"exw_{identity}_{secrets.token_urlsafe(32)}"
    row = {"id": identity, "site": site, "scope": scope, "digest": keyed_hash(key, token)}
    connection.execute(insert(tokens).values(**row, created=now, expires=expires))
    return token


def list_tokens(connection: Connection) -> list[dict[str, Any]]:
    """Return what is known of each token, newest first, without its hash."""
    wanted = [column for column in tokens.c if column.name != "digest"]
    rows = connection.execute(select(*wanted).order_by(tokens.c.created.desc(), tokens.c.id))
    return [dict(row._mapping) for row in rows]


def revoke_token(connection: Connection, identity: str, now: int) -> None:
    """End a token at once.

    Raises:
        TokenError: there is no such token.
    """
    stale = update(tokens).where(tokens.c.id == identity, tokens.c.revoked.is_(None)).values(revoked=now)
    if connection.execute(stale).rowcount:
        return
    if connection.execute(select(tokens.c.id).where(tokens.c.id == identity)).scalar() is None:
        raise TokenError(f"no token {identity!r}. `exaworks collector token list` shows their ids.")


def rotate_token(connection: Connection, key: bytes, identity: str, now: int, overlap: int) -> str:
    """Make a token that takes the place of another, which stays valid for ``overlap`` ms more; return the new one.

    Raises:
        TokenError: there is no such token, or it has ended or been rotated already.
    """
    row = connection.execute(select(tokens).where(tokens.c.id == identity).with_for_update()).one_or_none()
    if row is None:
        raise TokenError(f"no token {identity!r}. `exaworks collector token list` shows their ids.")
    if row.revoked is not None or (row.expires is not None and row.expires <= now):
        raise TokenError(f"token {identity} has ended: make a new one with `exaworks collector token new {row.site}`.")
    if row.successor is not None:
        raise TokenError(f"token {identity} was rotated already, its successor is {row.successor}.")
    lasts = None if row.expires is None else now + (row.expires - row.created)
    token = new_token(connection, key, row.site, row.scope, now, lasts)
    ends = now + overlap if row.expires is None else min(row.expires, now + overlap)
    values = {"expires": ends, "successor": token.split("_")[1]}
    connection.execute(update(tokens).where(tokens.c.id == identity).values(**values))
    return token


def hide_site(connection: Connection, site: str, now: int) -> None:
    """Keep a site from anonymous readers."""
    if connection.execute(select(hidden_sites.c.site).where(hidden_sites.c.site == site)).scalar() is None:
        connection.execute(insert(hidden_sites).values(site=site, since=now))


def show_site(connection: Connection, site: str) -> None:
    """Let anonymous readers see a site again."""
    connection.execute(delete(hidden_sites).where(hidden_sites.c.site == site))


def list_sites(connection: Connection) -> list[dict[str, Any]]:
    """Return every site that is known or hidden, and whether anonymous readers see it."""
    hidden = {row.site: row.since for row in connection.execute(select(hidden_sites))}
    known = set(connection.execute(select(systems.c.site).distinct()).scalars())
    return [{"site": site, "hidden_since": hidden.get(site)} for site in sorted(known | hidden.keys())]


def add_sender(connection: Connection, key: bytes, sender: str, secret: str, site: str, system: str, now: int) -> None:
    """Say whose results an old client sends, which carries an id and a key of its own; a later word counts."""
    connection.execute(delete(senders).where(senders.c.sender == sender))
    row = {"sender": sender, "digest": keyed_hash(key, secret), "site": site, "system": system}
    connection.execute(insert(senders).values(**row, created=now))


def remove_sender(connection: Connection, sender: str) -> None:
    """Refuse an old client from now on.

    Raises:
        TokenError: it is not known.
    """
    if not connection.execute(delete(senders).where(senders.c.sender == sender)).rowcount:
        raise TokenError(f"no sender {sender!r}. `exaworks collector sender list` shows them.")


def list_senders(connection: Connection) -> list[dict[str, Any]]:
    """Return what is known of each old client, without its key."""
    wanted = [column for column in senders.c if column.name != "digest"]
    return [dict(row._mapping) for row in connection.execute(select(*wanted).order_by(senders.c.sender))]


def check_sender(connection: Connection, key: bytes, sender: str, secret: str, now: int) -> tuple[str, str]:
    """Return site and system of an old client.

    Raises:
        Problem: 401, without telling which of id and key is unknown.
    """
    row = connection.execute(select(senders).where(senders.c.sender == sender)).one_or_none()
    if row is None or not hmac.compare_digest(row.digest, keyed_hash(key, secret)):
        raise Problem(401, "token-refused", "The key is no token of this collector, nor known for this id.", "key")
    if row.last_used is None or now - row.last_used >= TOUCH_MS:
        connection.execute(update(senders).where(senders.c.sender == sender).values(last_used=now))
    return row.site, row.system


def check_token(connection: Connection, key: bytes, token: str, now: int) -> tuple[Bearer, bool]:
    """Find out whose token it is; the second value says that its last use is due to be noted.

    Raises:
        Problem: 401, without telling which of unknown, revoked and expired it is.
    """
    refused = Problem(401, "token-refused", "The token is unknown, revoked or expired.")
    kind, _, rest = token.partition("_")
    identity = rest.partition("_")[0]
    if kind != "exw" or not 0 < len(identity) <= 16 or len(token) > 256:
        raise refused
    row = connection.execute(select(tokens).where(tokens.c.id == identity)).one_or_none()
    if row is None or not hmac.compare_digest(row.digest, keyed_hash(key, token)):
        raise refused
    if row.revoked is not None or (row.expires is not None and row.expires <= now):
        raise refused
    due = row.last_used is None or now - row.last_used >= TOUCH_MS
    return Bearer(site=row.site, grants=GRANTS[row.scope], token=identity), due


def note_use(connection: Connection, identity: str, now: int) -> None:
    """Write when the token was last used."""
    connection.execute(update(tokens).where(tokens.c.id == identity).values(last_used=now))
