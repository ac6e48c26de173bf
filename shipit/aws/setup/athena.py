"""The Athena gateway of setup: what databases, tables and workgroups there are, and new workgroups.

What is absent is told from what is forbidden by listing: GetDatabase and GetTableMetadata answer both with a
MetadataException, whose text alone tells them apart, and nobody measured that text.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from shipit.aws.refusals import explained
from shipit.models import TableShape, Workgroup

_CATALOG = "AwsDataCatalog"


class AthenaSetup:
    """Look at Athena's catalog and workgroups. All methods raise AwsError."""

    def __init__(self, client: Any) -> None:
        """Use `client`, a boto3 client of athena."""
        self._client = client

    def has_database(self, name: str) -> bool:
        """Tell whether the database exists."""
        with explained():
            pages = self._client.get_paginator("list_databases").paginate(CatalogName=_CATALOG)
            return any(found["Name"] == name for page in pages for found in page["DatabaseList"])

    def tables(self, database: str, names: tuple[str, ...]) -> tuple[TableShape, ...]:
        """Return those tables of a database that exist and have one of these names."""
        with explained():
            pages = self._client.get_paginator("list_table_metadata").paginate(
                CatalogName=_CATALOG, DatabaseName=database
            )
            found = [table for page in pages for table in page["TableMetadataList"]]
        return tuple(_shape(database, table) for table in found if table["Name"] in names)

    def workgroup(self, name: str) -> Workgroup | None:
        """Return a workgroup, None where there is none of that name."""
        with explained():
            if name not in self._workgroups():
                return None
            found = self._client.get_work_group(WorkGroup=name)["WorkGroup"].get("Configuration", {})
        return Workgroup(
            name=name,
            scan_limit=found.get("BytesScannedCutoffPerQuery"),
            output=found.get("ResultConfiguration", {}).get("OutputLocation", ""),
        )

    def _workgroups(self) -> Iterator[str]:
        more: dict[str, str] = {}
        while True:
            page = self._client.list_work_groups(**more)
            yield from (found["Name"] for found in page["WorkGroups"])
            if not page.get("NextToken"):
                return
            more = {"NextToken": page["NextToken"]}

    def create(self, workgroup: Workgroup) -> None:
        """Make a workgroup; a query may still name an output of its own."""
        with explained():
            self._client.create_work_group(
                Name=workgroup.name,
                Description="the version reports of shipit",
                Configuration={
                    "ResultConfiguration": {"OutputLocation": workgroup.output},
                    "EnforceWorkGroupConfiguration": False,
                    "BytesScannedCutoffPerQuery": workgroup.scan_limit,
                },
            )

    def limit(self, name: str, scan_limit: int) -> None:
        """Let no query of the workgroup read more bytes; the rest of it stays as it is."""
        with explained():
            self._client.update_work_group(
                WorkGroup=name, ConfigurationUpdates={"BytesScannedCutoffPerQuery": scan_limit}
            )


def _shape(database: str, table: dict[str, Any]) -> TableShape:
    properties = table.get("Parameters", {})
    return TableShape(
        database=database,
        name=table["Name"],
        columns={column["Name"]: column.get("Type", "") for column in table.get("Columns", ())},
        partitions={column["Name"]: column.get("Type", "") for column in table.get("PartitionKeys", ())},
        location=properties.get("location", ""),
        # Athena puts what Glue's storage descriptor holds among the parameters.
        formats=tuple(properties.get(key, "") for key in ("serde.serialization.lib", "inputformat", "outputformat")),
        properties=properties,
    )
