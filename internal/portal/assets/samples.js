// Samples of a call in four languages. They need nothing that the language does not bring along.
import { content, resolve } from './spec.js';

/** request is what an operation's samples send. */
export function request(doc, entry, endpoint) {
  let path = entry.path;
  const query = new URLSearchParams();
  for (const p of entry.parameters) {
    const value = exampleOf(doc, p);
    if (p.in === 'path') path = path.replace(`{${p.name}}`, encodeURIComponent(value ?? p.name.toUpperCase()));
    else if (p.in === 'query' && p.required) query.set(p.name, value ?? p.name);
  }
  const body = entry.operation.requestBody ? content(doc, entry.operation.requestBody) : undefined;
  const search = query.toString();
  return {
    method: entry.method,
    url: endpoint.replace(/\/$/, '') + path + (search ? `?${search}` : ''),
    body: body && JSON.stringify(body.example ?? sampleOf(doc, body.schema), null, 2),
    keyed: entry.operation['x-idempotency'] === 'keyed',
  };
}

function exampleOf(doc, parameter) {
  const schema = resolve(doc, parameter.schema);
  const example = parameter.example ?? resolve(doc, Object.values(parameter.examples ?? {})[0]).value ?? schema.example ?? schema.examples?.[0] ?? schema.default;
  return example === undefined ? undefined : String(example);
}

/** sampleOf makes a value that a schema takes, where the document has no example. */
function sampleOf(doc, schema, depth = 0) {
  const s = resolve(doc, schema);
  const given = s.example ?? s.examples?.[0] ?? s.default ?? s.enum?.[0];
  if (given !== undefined) return given;
  const type = Array.isArray(s.type) ? s.type[0] : s.type;
  if (type === 'array') return depth > 3 ? [] : [sampleOf(doc, s.items, depth + 1)];
  if (type === 'integer' || type === 'number') return s.minimum ?? 1;
  if (type === 'boolean') return true;
  if (type === 'string') return s.format === 'email' ? 'ada@example.com' : s.format === 'date-time' ? '2030-01-01T00:00:00Z' : 'text';
  const out = {};
  for (const [name, property] of Object.entries(s.properties ?? {})) {
    const p = resolve(doc, property);
    if (!p.readOnly && depth < 3 && (s.required ?? Object.keys(s.properties)).includes(name)) out[name] = sampleOf(doc, property, depth + 1);
  }
  return out;
}

const indent = (text, by) => text.replaceAll('\n', `\n${by}`);
const shell = (text) => `'${text.replaceAll("'", `'\\''`)}'`;

export const samples = {
  curl({ method, url, body, keyed }) {
    const lines = [`curl -i${method === 'GET' ? '' : ` -X ${method}`} ${shell(url)}`, `-H "Authorization: Bearer $KEY"`];
    if (keyed) lines.push(`-H "Idempotency-Key: $(uuidgen)"`);
    if (body) lines.push(`-H 'Content-Type: application/json'`, `-d ${shell(body)}`);
    return lines.join(' \\\n  ');
  },
  go({ method, url, body, keyed }) {
    return `package main

import (
${keyed ? '\t"crypto/rand"\n' : ''}\t"fmt"
\t"io"
\t"log"
\t"net/http"
\t"os"
${body ? '\t"strings"\n' : ''})

func main() {
${body ? `\tbody := strings.NewReader(\`${body.replaceAll('`', '` + "`" + `')}\`)\n` : ''}\treq, err := http.NewRequest("${method}", ${JSON.stringify(url)}, ${body ? 'body' : 'nil'})
\tif err != nil {
\t\tlog.Fatal(err)
\t}
\treq.Header.Set("Authorization", "Bearer "+os.Getenv("KEY"))
${keyed ? '\treq.Header.Set("Idempotency-Key", rand.Text())\n' : ''}${body ? '\treq.Header.Set("Content-Type", "application/json")\n' : ''}\tanswer, err := http.DefaultClient.Do(req)
\tif err != nil {
\t\tlog.Fatal(err)
\t}
\tdefer answer.Body.Close()
\ttext, err := io.ReadAll(answer.Body)
\tif err != nil {
\t\tlog.Fatal(err)
\t}
\tfmt.Println(answer.Status, answer.Header.Get("Domicile-Region"), string(text))
}`;
  },
  typescript({ method, url, body, keyed }) {
    const headers = ['Authorization: `Bearer ${process.env.KEY}`,'];
    if (keyed) headers.push(`'Idempotency-Key': crypto.randomUUID(),`);
    if (body) headers.push(`'Content-Type': 'application/json',`);
    return `const answer = await fetch(${JSON.stringify(url)}, {
  method: '${method}',
  headers: {
    ${headers.join('\n    ')}
  },${body ? `\n  body: JSON.stringify(${indent(body, '  ')}),` : ''}
});
console.log(answer.status, answer.headers.get('Domicile-Region'), await answer.text());`;
  },
  python({ method, url, body, keyed }) {
    const headers = [`"Authorization": "Bearer " + os.environ["KEY"],`];
    if (keyed) headers.push(`"Idempotency-Key": str(uuid.uuid4()),`);
    if (body) headers.push(`"Content-Type": "application/json",`);
    return `import os
import urllib.request
${keyed ? 'import uuid\n' : ''}
request = urllib.request.Request(
    ${JSON.stringify(url)},
    method="${method}",
    headers={
        ${headers.join('\n        ')}
    },${body ? `\n    data=b"""${escapePython(body)}""",` : ''}
)
with urllib.request.urlopen(request) as answer:
    print(answer.status, answer.headers["Domicile-Region"], answer.read().decode())`;
  },
};

// escapePython writes a text for the inside of a bytes literal, which takes ASCII alone. JSON says the rest by escapes, which keep their
// backslashes.
function escapePython(text) {
  const ascii = text.replace(/[\u0080-\uffff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
  return ascii.replaceAll('\\', '\\\\').replaceAll('"""', '\\"\\"\\"');
}
