// Each OpenAPI document that is named becomes a file of types beside it: data.json → data.ts.
import { readFileSync, writeFileSync } from "node:fs";
import openapiTS, { astToString } from "openapi-typescript";

for (const path of process.argv.slice(2)) {
  const types = await openapiTS(JSON.parse(readFileSync(path, "utf8")));
  writeFileSync(path.replace(/\.json$/, ".ts"), astToString(types));
}
