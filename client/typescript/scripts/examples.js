// Writes the examples of README.md, its blocks marked ts, to generated/example1.ts and so on, where they are compiled and run by the tests.
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");
const readme = await readFile(join(root, "README.md"), "utf8");
const examples = [...readme.matchAll(/^```ts\n(.*?)^```$/gmsu)].map((match) => match[1] ?? "");
if (examples.length === 0) {
  throw new Error("README.md has no example");
}
await Promise.all(examples.map((text, i) => writeFile(join(root, "generated", `example${i + 1}.ts`), text)));
