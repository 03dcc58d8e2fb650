// Reads an AsyncAPI document from standard input and prints what the official parser makes of it, as JSON.
import { createRequire } from "node:module";
import { join } from "node:path";
import { text } from "node:stream/consumers";

// The parser is installed in the folder that is given, not beside this file.
const { Parser } = createRequire(join(process.argv[2], "package.json"))("@asyncapi/parser");
const { document, diagnostics } = await new Parser().parse(await text(process.stdin));
const told = diagnostics.map(({ code, severity, message, path }) => ({ code, severity, message, path: path.join(".") }));
const channels = document?.channels().all() ?? [];
console.log(
  JSON.stringify({
    version: document?.version() ?? null,
    diagnostics: told,
    messages: Object.fromEntries(channels.map((one) => [one.id(), one.messages().all().map((message) => message.id())])),
  }),
);
