"""Our Athena: the statements that AWS would run, over the same objects, in DuckDB.

    service.py       the operations of the API, as wire.JsonService calls them
    executions.py    what has been asked: states, ends, results in pages
    engine.py        one statement: parameters, tables, rows
    cancellation.py  how another thread ends it
    workgroups.py    where results go, how much a query may read
    catalog.py       databases and tables, from Hive's DDL
    projection.py    which partitions a table has, and which of them a query needs
    reader.py        objects to typed columns, strictly
    results.py       values as Athena writes them
    store.py         the seam to S3
    failures.py      how a query fails

Strict on purpose: what it cannot answer as Athena would, it refuses. Joins, windows and CTEs work; DDL is CREATE and
DROP of databases and of external tables of JSON with scalar columns; there is no INSERT, CTAS or UNLOAD. Looser than
Athena in two things: DuckDB compares a number with a string, and lets WHERE and GROUP BY name an alias.
"""
