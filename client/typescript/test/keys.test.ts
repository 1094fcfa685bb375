import assert from "node:assert/strict";
import { test } from "node:test";
import { client, endpoint, key } from "./support/clock.js";

test("each mutation has a key of its own, dated by the clock", async () => {
  const c = client(() => new Response("body"), { now: () => 0x01_8f_12_34_56_78 });
  const keys = new Set<string>();
  for (const method of ["POST", "PUT", "PATCH", "DELETE", "POST", "patch", "PURGE"]) {
    await c.fetch(`${endpoint}/v1/users`, { method, headers: key });
    const sent = c.seen.at(-1)?.headers.get("idempotency-key") ?? "";
    assert.match(sent, /^018f1234-5678-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/u);
    keys.add(sent);
  }
  assert.equal(keys.size, 7);
});

test("reads have no key", async () => {
  const c = client(() => new Response(null));
  for (const method of ["GET", "HEAD", "OPTIONS"]) {
    await c.fetch(`${endpoint}/v1/users`, { method, headers: key });
    assert.equal(c.seen.at(-1)?.headers.get("idempotency-key"), null);
  }
});

test("the caller's key and the caller's headers are left alone", async () => {
  const c = client(() => new Response("body"));
  const headers = new Headers({ ...key, "iDEMPOTENCY-kEY": "mine" });
  await c.fetch(endpoint, { method: "POST", headers });
  assert.equal(c.seen.at(-1)?.headers.get("idempotency-key"), "mine");
  const own = new Headers(key);
  const request = new Request(endpoint, { method: "POST", headers: own, body: "x" });
  await c.fetch(request);
  assert.equal(own.get("idempotency-key"), null);
  assert.equal(request.headers.get("idempotency-key"), null);
});
