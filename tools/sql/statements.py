"""Print the statements that shipit sends to Athena, one JSON object a line, for check.js."""

import json

from shipit import sql

PLACE = {"database": "shipit", "bucket": "acme-shipit", "prefix": "prod"}
DDL = (*sql.reports_ddl(**PLACE, table="version_reports"), *sql.history_ddl(**PLACE, table="version_history"))
QUERIES = {
    "latest.sql": sql.latest(**PLACE, table="version_reports"),
    "history.sql": sql.history(**PLACE, table="version_history"),
}

for statement in DDL:
    print(json.dumps({"name": statement.partition("(")[0].strip(), "kind": "ddl", "sql": statement}))
for name, query in QUERIES.items():
    print(json.dumps({"name": name, "kind": "query", "sql": query}))
