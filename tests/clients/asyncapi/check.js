// Prints the errors and warnings of an AsyncAPI document, one a line, then the number of its channels.
import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";

const WARNING = 1;
const { document, diagnostics } = await new Parser().parse(readFileSync(process.argv[2], "utf8"));
for (const each of diagnostics.filter(({ severity }) => severity <= WARNING)) {
  console.log(`${each.code} ${each.path.join(".")}: ${each.message}`);
}
console.log(document ? document.channels().length : "no document");
