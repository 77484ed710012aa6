"""What all tables share: their registry, the kind of their keys, and the revision of the schema."""

from __future__ import annotations

from sqlalchemy import BigInteger, Integer, MetaData

HEAD = "0005"
"""The revision that this code reads and writes; kept equal to the newest migration by a test."""

ROLLED_UP = "0004"
"""The newest revision that changed what is rolled up: what comes from an older one is rolled up anew."""

RECORD_BITS = 20
"""A run holds at most two to this power records."""

LOOKUP_BITS = 5
"""A record is looked up among those of so many runs at a time: two to this power."""

Key = BigInteger().with_variant(Integer(), "sqlite")

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)
