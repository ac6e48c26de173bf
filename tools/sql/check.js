// Read statements as JSON lines from standard input ({name, kind: "query" | "ddl", sql}), parse each by the grammar that
// Athena takes it by, and exit 1 where one is refused, or where a grammar takes what is broken.
import { HiveSQL, TrinoSQL } from "./bundle/parsers.js";

// The parsers tell the console of each mistake as well, those of the broken statements too.
console.error = () => {};
const GRAMMARS = { query: new TrinoSQL(), ddl: new HiveSQL() };
// Each of these must turn a statement into one that no grammar takes, where it changes it at all.
const BREAKS = [
  ["a parenthesis is lost", (sql) => sql.replace(/\)(?=[^)]*$)/, "")],
  ["a keyword is misspelt", (sql) => sql.replace(/\bFROM\b|\bEXTERNAL\b|\bIF NOT EXISTS\b/, "FORM")],
  ["a quote is lost", (sql) => sql.replace(/['`](?=[^'`]*$)/, "")],
  ["the end is lost", (sql) => sql.slice(0, sql.length / 2)],
];

const input = await new Response(process.stdin).text();
const statements = input.split("\n").filter(Boolean).map((line) => JSON.parse(line));
let failed = statements.length === 0;
for (const { name, kind, sql } of statements) {
  const errors = GRAMMARS[kind].validate(sql);
  const taken = BREAKS.filter(([, broken]) => broken(sql) !== sql && GRAMMARS[kind].validate(broken(sql)).length === 0);
  for (const { startLine, startColumn, message } of errors) console.log(`${name}:${startLine}:${startColumn}: ${message}`);
  for (const [what] of taken) console.log(`${name}: the grammar takes it where ${what}`);
  if (errors.length === 0 && taken.length === 0) console.log(`${name}: taken, and refused when broken`);
  failed ||= errors.length > 0 || taken.length > 0;
}
process.exitCode = failed ? 1 : 0;
