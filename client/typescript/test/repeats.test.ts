import assert from "node:assert/strict";
import { test } from "node:test";
import type { Options } from "../src/index.js";
import { client, endpoint, key, refused, run, useClock } from "./support/clock.js";

const reset = new TypeError("fetch failed");
const busy =
  (headers: Record<string, string> = {}) =>
  () =>
    new Response("body", { status: 503, headers });
const broken = () => Promise.reject(reset);

interface Case {
  readonly method: string;
  readonly answer: (n: number) => Response | Promise<Response>;
  readonly options?: Partial<Options>;
  /** When it was sent, in milliseconds. */
  readonly at: readonly number[];
  /** The status of what is returned; 0: the network's error is thrown. */
  readonly status: number;
}

const cases: Record<string, Case> = {
  success: { method: "GET", answer: () => new Response("body"), at: [0], status: 200 },
  "network error": { method: "POST", answer: broken, at: [0, 100, 300, 700], status: 0 },
  "network error, then success": {
    method: "POST",
    answer: (n) => (n < 3 ? broken() : new Response("body")),
    at: [0, 100, 300],
    status: 200,
  },
  "the longest wait": { method: "GET", answer: broken, options: { maxBackoffMs: 150 }, at: [0, 100, 250, 400], status: 0 },
  "503 with a time": { method: "DELETE", answer: busy({ "Retry-After": "2" }), at: [0, 2100, 4300, 6700], status: 503 },
  "503 without one": { method: "GET", answer: busy(), at: [0], status: 503 },
  "503 with a date": {
    method: "GET",
    answer: () => busy({ "retry-after": new Date(Date.now() + 5000).toUTCString() })(),
    options: { maxAttempts: 2, now: () => Math.floor(Date.now() / 1000) * 1000 },
    at: [0, 5100],
    status: 503,
  },
  "503 with a date of the past": {
    method: "GET",
    answer: busy({ "Retry-After": "Sun Nov  6 08:49:37 1994" }),
    options: { maxAttempts: 2 },
    at: [0, 100],
    status: 503,
  },
  "503 with nonsense": { method: "GET", answer: busy({ "Retry-After": "soon" }), at: [0], status: 503 },
  "503 with a negative time": { method: "GET", answer: busy({ "Retry-After": "-1" }), at: [0], status: 503 },
  "503 with a time that is too long": { method: "GET", answer: busy({ "Retry-After": "31" }), at: [0], status: 503 },
  "429 with a time beyond all numbers": {
    method: "GET",
    answer: () => new Response("body", { status: 429, headers: { "Retry-After": "9".repeat(400) } }),
    at: [0],
    status: 429,
  },
  "503 beyond the time of the call": {
    method: "GET",
    answer: busy({ "Retry-After": "2" }),
    options: { timeoutMs: 5000 },
    at: [0, 2100, 4300],
    status: 503,
  },
  "503, not safe to repeat": {
    method: "GET",
    answer: () => refused(503, "REGION_UNAVAILABLE", { retry_safe: "false" }, { "Retry-After": "1" }),
    at: [0],
    status: 503,
  },
  "429": { method: "POST", answer: () => new Response("body", { status: 429 }), options: { maxAttempts: 2 }, at: [0, 100], status: 429 },
  "429 with a time": {
    method: "POST",
    answer: () => new Response("body", { status: 429, headers: { "Retry-After": "1" } }),
    options: { maxAttempts: 2 },
    at: [0, 1100],
    status: 429,
  },
  "a limit at another status": {
    method: "POST",
    answer: () => refused(503, "RATE_LIMITED"),
    options: { maxAttempts: 2 },
    at: [0, 100],
    status: 503,
  },
  "outcome unknown": { method: "POST", answer: () => refused(409, "OUTCOME_UNKNOWN"), at: [0], status: 409 },
  "outcome unknown at 503": {
    method: "POST",
    answer: () => refused(503, "OUTCOME_UNKNOWN", {}, { "Retry-After": "1" }),
    at: [0],
    status: 503,
  },
  "an error of the server": { method: "GET", answer: () => new Response("body", { status: 500 }), at: [0], status: 500 },
  "a mistake of the caller": { method: "GET", answer: () => refused(400, "INVALID_ARGUMENT"), at: [0], status: 400 },
  "details of another domain": {
    method: "GET",
    answer: () =>
      Response.json({ details: [{ "@type": "x/google.rpc.ErrorInfo", reason: "RATE_LIMITED", domain: "example.com" }] }, { status: 400 }),
    at: [0],
    status: 400,
  },
};

for (const [name, { method, answer, options, at, status }] of Object.entries(cases)) {
  test(`repeats: ${name}`, async (t) => {
    useClock(t);
    const c = client(answer, options);
    const body = method === "GET" ? null : "hello";
    const begun = Date.now();
    const call = run(c.fetch(`${endpoint}/v1/users`, { method, body, headers: key }));
    if (status === 0) {
      await assert.rejects(call, reset);
    } else {
      const response = await call;
      assert.equal(response.status, status);
      assert.notEqual(await response.text(), "");
    }
    assert.deepEqual(
      c.seen.map((attempt) => Math.round((attempt.atMs - begun) / 10) * 10),
      at,
    );
    for (const attempt of c.seen) {
      assert.equal(attempt.body, body ?? "");
      const sent = attempt.headers.get("idempotency-key");
      assert.equal(sent, c.seen[0]?.headers.get("idempotency-key"));
      assert.equal(sent === null, method === "GET");
    }
  });
}

test("random waits are between 0 and the bound, as they are without a test's choice", async (t) => {
  useClock(t);
  const waits: number[] = [];
  const jitter = (bound: number): number => {
    waits.push(bound);
    return 0;
  };
  const begun = Date.now();
  const c = client(broken, { jitter });
  await assert.rejects(run(c.fetch(endpoint, { headers: key })), reset);
  assert.deepEqual(waits, [100, 200, 400]);
  assert.ok(Date.now() - begun < 100);
});

test("the caller leaves while the client waits", async (t) => {
  useClock(t);
  const c = client(busy({ "Retry-After": "5" }));
  const controller = new AbortController();
  const call = c.fetch(endpoint, { headers: key, signal: controller.signal });
  setTimeout(() => controller.abort(new Error("left")), 1000);
  const begun = Date.now();
  await assert.rejects(run(call), /left/u);
  assert.ok(Date.now() - begun < 1500, "the wait went on");
  assert.equal(c.seen.length, 1);
});

test("the caller has left before", async () => {
  const c = client(() => new Response("body"));
  await assert.rejects(
    c.fetch(endpoint, { method: "POST", body: "x", headers: key, signal: AbortSignal.abort(new Error("left")) }),
    /left/u,
  );
  assert.ok(c.seen.length <= 1);
});
