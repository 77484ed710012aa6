"""What all tables share: the metadata, the type of their keys, and the revision of the schema."""

from __future__ import annotations

from sqlalchemy import BigInteger, Integer, MetaData

HEAD = "0011"
"""The revision that this code reads and writes. A test compares it with the newest migration."""

ROLLED_UP = "0004"
"""The newest revision that changed the roll-ups; they are recomputed when an older schema is migrated."""

REFRESHED = "0011"
"""The newest revision that changed only the board and the cells that need attention; they follow from the cells."""

RECORD_BITS = 20
"""A run has at most 2**RECORD_BITS records."""

LOOKUP_BITS = 5
"""The index that finds a record by its id is divided into groups of 2**LOOKUP_BITS runs."""

Key = BigInteger().with_variant(Integer(), "sqlite")

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)
