// Bundled, since the package's own modules import each other in a way that Node does not resolve.
export { HiveSQL } from "dt-sql-parser/dist/parser/hive/index.js";
export { TrinoSQL } from "dt-sql-parser/dist/parser/trino/index.js";
