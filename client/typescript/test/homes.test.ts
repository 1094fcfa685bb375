import assert from "node:assert/strict";
import { test } from "node:test";
import { client, endpoint, key, refused, run, useClock } from "./support/clock.js";

const wrong = (home: string, safe = "true"): Response =>
  refused(421, "WRONG_REGION", { home_region: "eu", home_endpoint: home, retry_safe: safe });

// Where a client lets itself be sent: to what is configured or below it, over the same scheme, and nowhere else.
const cases: Record<string, { endpoints?: string[]; home: string; safe?: string; follows: boolean }> = {
  "a name below": { home: "https://eu.api.example.com", follows: true },
  "a name below, written large": { home: "HTTPS://EU.API.EXAMPLE.COM/", follows: true },
  "another port": { home: "https://api.example.com:8443", follows: true },
  "one that is listed": { endpoints: [endpoint, "https://eu.example.net"], home: "https://eu.example.net", follows: true },
  "one that is not": { home: "https://eu.example.net", follows: false },
  "the name above": { home: "https://example.com", follows: false },
  "a neighbour": { home: "https://eu-api.example.com", follows: false },
  "a name that only ends so": { home: "https://evilapi.example.com", follows: false },
  "without TLS": { home: "http://eu.api.example.com", follows: false },
  "not safe": { home: "https://eu.api.example.com", safe: "false", follows: false },
  "with a user": { home: "https://x@eu.api.example.com", follows: false },
  "with a user that looks like a host": { home: "https://eu.api.example.com@evil.example", follows: false },
  "with a backslash": { home: "https://evil.example\\.api.example.com", follows: false },
  "with a path": { home: "https://eu.api.example.com/x", follows: false },
  "with a query": { home: "https://eu.api.example.com?x", follows: false },
  "with a fragment": { home: "https://evil.example#.api.example.com", follows: false },
  nothing: { home: "", follows: false },
  "no URL": { home: "eu", follows: false },
  "another scheme": { home: "javascript:alert(1)", follows: false },
  "the same": { home: endpoint, follows: false },
  "on this machine": { endpoints: ["http://127.0.0.1:8080"], home: "http://127.0.0.1:8081", follows: true },
  "on this machine by another name": { endpoints: ["http://localhost:8080"], home: "http://127.0.0.1:8081", follows: true },
  "on this machine by six": { endpoints: ["http://localhost:8080"], home: "http://[::1]:8081", follows: true },
  "on this machine, as it seems": { endpoints: ["http://localhost:8080"], home: "http://127.0.0.1.evil.example:8081", follows: false },
  "from this machine to another": { endpoints: ["http://localhost:8080"], home: "http://10.0.0.1:8081", follows: false },
  "without TLS to a name below": { endpoints: ["http://api.example.com"], home: "http://eu.api.example.com", follows: false },
  "without TLS, the same host": { endpoints: ["http://api.example.com"], home: "http://api.example.com:8081", follows: true },
  "from no TLS to TLS": { endpoints: ["http://api.example.com"], home: "https://api.example.com", follows: false },
  "from TLS to none, listed": { endpoints: [endpoint, "http://api.example.com"], home: "http://api.example.com", follows: false },
  "below an address": { endpoints: ["https://10.0.0.1"], home: "https://x.10.0.0.1", follows: false },
};

for (const [name, { endpoints = [endpoint], home, safe, follows }] of Object.entries(cases)) {
  test(`homes: ${name}`, async () => {
    const c = client((n) => (n === 1 ? wrong(home, safe) : new Response("body")), { endpoints });
    const from = `${endpoints[0]}/v1/users?x=1`;
    const response = await c.fetch(from, { method: "POST", body: "hello", headers: key });
    const urls = c.seen.map((attempt) => attempt.url);
    assert.deepEqual(urls, follows ? [from, `${new URL(home).origin}/v1/users?x=1`] : [from]);
    assert.equal(response.status, follows ? 200 : 421);
    const sent = c.seen.map((attempt) => [attempt.body, attempt.headers.get("authorization"), attempt.headers.get("idempotency-key")]);
    assert.deepEqual(sent.at(-1), sent[0]);
    assert.ok(sent[0]?.every((value) => value !== null && value !== ""));
  });
}

test("a path that looks like a host stays a path", async () => {
  const c = client((n) => (n === 1 ? wrong("https://eu.api.example.com") : new Response("body")));
  await c.fetch(`${endpoint}//evil.example/x`, { headers: key });
  assert.equal(c.seen.at(-1)?.url, "https://eu.api.example.com//evil.example/x");
});

test("a home is remembered for a while, left when it is not there or has moved, and followed once a call", async (t) => {
  useClock(t);
  const [eu, us] = ["https://eu.api.example.com", "https://us.api.example.com"] as const;
  let home: string = eu;
  let down = "";
  const c = client((_, attempt) => {
    const { origin } = new URL(attempt.url);
    if (origin === down) {
      throw new TypeError("fetch failed");
    }
    return origin === home ? new Response("body") : wrong(home);
  });
  const call = async (...want: string[]): Promise<void> => {
    c.seen.length = 0;
    const response = await run(c.fetch(`${endpoint}/x`, { headers: key }));
    assert.equal(response.status, 200);
    assert.deepEqual(
      c.seen.map((attempt) => attempt.url),
      want.map((origin) => `${origin}/x`),
    );
  };
  await call(endpoint, eu);
  await call(eu);
  home = us;
  await call(eu, us);
  await call(us);
  home = eu;
  down = us;
  await call(us, endpoint, eu);
});

test("a home is forgotten after ten minutes, and is one key's", async () => {
  let nowMs = 0;
  const c = client((_, attempt) => (attempt.url.startsWith("https://eu.") ? new Response("body") : wrong("https://eu.api.example.com")), {
    now: () => nowMs,
  });
  const call = async (headers: Record<string, string>): Promise<number> => {
    c.seen.length = 0;
    await c.fetch(endpoint, { headers });
    return c.seen.length;
  };
  assert.equal(await call(key), 2);
  nowMs = 599_999;
  assert.equal(await call(key), 1);
  assert.equal(await call({ authorization: "Bearer dk_bank_k_s" }), 2);
  nowMs = 600_000;
  assert.equal(await call(key), 2);
});

test("a platform that sends a client in circles is followed once", async () => {
  const c = client((n) => wrong(`https://r${n}.api.example.com`));
  const response = await c.fetch(endpoint, { headers: key });
  assert.equal(response.status, 421);
  assert.deepEqual(
    c.seen.map((attempt) => attempt.url),
    [`${endpoint}/`, "https://r1.api.example.com/"],
  );
});

test("hosts that are not the platform's get nothing of it", async () => {
  const c = client(() =>
    refused(421, "WRONG_REGION", { home_endpoint: "https://eu.api.example.com", retry_safe: "true" }, { "Domicile-Consistency": "evil" }),
  );
  const others = [
    "https://example.com/",
    "http://api.example.com/",
    "https://api.example.com:8443/",
    "https://api.example.com.evil.example/",
  ];
  for (const url of others) {
    await c.fetch(url, { method: "POST", body: "x", headers: key });
    await c.fetch(new Request(url, { method: "POST", body: "x", headers: key }));
  }
  assert.equal(c.seen.length, 8);
  for (const { headers } of c.seen) {
    assert.equal(headers.get("idempotency-key"), null);
    assert.equal(headers.get("domicile-consistency"), null);
  }
});

test("a remembered home that refuses without naming another is forgotten", async () => {
  let moved = false;
  const c = client((_, attempt) => {
    if (attempt.url.startsWith("https://eu.")) {
      return moved ? wrong("", "false") : new Response("body");
    }
    return moved ? new Response("body") : wrong("https://eu.api.example.com");
  });
  const statuses: number[] = [];
  for (let i = 0; i < 4; i++) {
    statuses.push((await c.fetch(endpoint, { headers: key })).status);
    moved = i >= 1;
  }
  assert.deepEqual(statuses, [200, 200, 421, 200]);
  assert.equal(c.seen.at(-1)?.url, `${endpoint}/`);
});

test("no other reason sends a client anywhere", async () => {
  for (const reason of ["MISROUTED", "STALE_EPOCH", "wrong_region"]) {
    const c = client(() => refused(421, reason, { home_endpoint: "https://eu.api.example.com", retry_safe: "true" }));
    await c.fetch(endpoint, { headers: key });
    assert.equal(c.seen.length, 1, reason);
  }
});
