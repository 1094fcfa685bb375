import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { createFetch, type Options } from "../src/index.js";
import { type Answer, Platform, refusal, status, wrongRegion } from "./support/platform.js";

const headers = { authorization: "Bearer dk_acme_k_s" };

async function start(t: TestContext, answer?: (n: number) => Answer | Promise<Answer>, options: Partial<Options> = {}) {
  const platform = await Platform.start(t, answer);
  return { platform, fetch: createFetch({ endpoints: [platform.url], backoffMs: 1, ...options }) };
}

test("a write whose connection broke after it was sent is sent again under its key", async (t) => {
  const { platform, fetch } = await start(t, (n) => (n < 3 ? "reset" : status(200)));
  const response = await fetch(`${platform.url}/v1/users`, { method: "POST", body: "hello", headers });
  assert.equal(response.status, 200);
  assert.equal(platform.seen.length, 3);
  assert.equal(new Set(platform.seen.map((seen) => seen.key)).size, 1);
  assert.ok(platform.seen.every((seen) => seen.body === "hello" && seen.key !== undefined));
});

test("a write that cannot be sent again is not", async (t) => {
  const { platform, fetch } = await start(t, () => "reset", { maxBufferBytes: 100 });
  const body = new Blob(["x".repeat(101)]).stream();
  await assert.rejects(fetch(platform.url, { method: "POST", body, headers, duplex: "half" } as RequestInit), TypeError);
  assert.equal(platform.seen.length, 1);
  assert.equal(platform.last.body.length, 101);
});

test("bodies are sent again whole, if they can be", async (t) => {
  const { platform, fetch } = await start(t, () => "reset", { maxBufferBytes: 100 });
  const long = "x".repeat(200);
  const form = new FormData();
  form.set("field", "value");
  const stream = (text: string): RequestInit => ({ body: new Blob([text]).stream(), duplex: "half" }) as RequestInit;
  const cases: [string, RequestInit, number][] = [
    ["none", {}, 4],
    ["text", { body: long }, 4],
    ["bytes", { body: new TextEncoder().encode(long) }, 4],
    ["blob", { body: new Blob([long]) }, 4],
    ["form", { body: form }, 4],
    ["parameters", { body: new URLSearchParams({ a: long }) }, 4],
    ["small stream", stream("x".repeat(100)), 4],
    ["large stream", stream("x".repeat(101)), 1],
    ["much larger stream", stream("x".repeat(1 << 20)), 1],
  ];
  for (const [name, init, want] of cases) {
    platform.seen.length = 0;
    await assert.rejects(fetch(platform.url, { method: "POST", ...init, headers }), TypeError, name);
    assert.equal(platform.seen.length, want, name);
    for (const { body, headers: got } of platform.seen) {
      assert.equal(body, platform.last.body, name);
      assert.equal(got["content-type"], platform.last.headers["content-type"], name);
      assert.equal(body === "", name === "none", name);
    }
  }
  for (const [size, want] of [
    [100, 4],
    [101, 1],
  ] as const) {
    platform.seen.length = 0;
    await assert.rejects(fetch(new Request(platform.url, { method: "PUT", body: "x".repeat(size), headers })), TypeError);
    assert.equal(platform.seen.length, want);
    assert.equal(platform.last.body.length, size);
    assert.equal(platform.last.headers.authorization, headers.authorization);
    assert.notEqual(platform.last.key, undefined);
  }
});

test("a caller's bytes are those of the call, whatever becomes of them", async (t) => {
  const { platform, fetch } = await start(t, (n) => (n < 2 ? "reset" : status(200)), { backoffMs: 50, jitter: (bound) => bound });
  const bytes = new TextEncoder().encode("hello");
  const call = fetch(platform.url, { method: "POST", body: bytes, headers });
  bytes.fill(0);
  await call;
  assert.deepEqual(
    platform.seen.map((seen) => seen.body),
    ["hello", "hello"],
  );
});

test("a body whose stream fails is an error, and nothing is sent", async (t) => {
  const { platform, fetch } = await start(t);
  const body = new ReadableStream({
    start: (controller) => {
      controller.error(new Error("the disk is gone"));
    },
  });
  await assert.rejects(fetch(platform.url, { method: "POST", body, headers, duplex: "half" } as RequestInit), /the disk is gone/u);
  assert.equal(platform.seen.length, 0);
});

test("the caller leaves while a body is read, and while an answer is waited for", async (t) => {
  const controller = new AbortController();
  const { platform, fetch } = await start(t, () => {
    controller.abort(new Error("left"));
    return "silent";
  });
  const never = { body: new ReadableStream<Uint8Array>({}), duplex: "half", signal: AbortSignal.timeout(50) } as RequestInit;
  await assert.rejects(fetch(platform.url, { method: "POST", ...never, headers }), { name: "TimeoutError" });
  assert.equal(platform.seen.length, 0);
  await assert.rejects(fetch(platform.url, { method: "POST", body: "x", headers, signal: controller.signal }), /left/u);
  assert.equal(platform.seen.length, 1);
});

test("a call ends when its time is over, with the reading of its answer", async (t) => {
  const { platform, fetch } = await start(
    t,
    (n) =>
      n === 1
        ? "silent"
        : (answer) => {
            answer.writeHead(200).write("the beginning");
          },
    { timeoutMs: 1000 },
  );
  await assert.rejects(fetch(platform.url, { headers }), { name: "TimeoutError" });
  const response = await fetch(platform.url, { headers });
  await assert.rejects(response.text(), { name: "TimeoutError" });
  assert.equal(platform.seen.length, 2);
});

test("an error that breaks off is no answer", async (t) => {
  const broken: Answer = (response) => {
    response.writeHead(400, { "content-length": "1000", "content-type": "application/json" }).write("{", () => response.destroy());
  };
  const { platform, fetch } = await start(t, (n) => (n === 1 ? broken : status(200)));
  assert.equal((await fetch(platform.url, { headers })).status, 200);
  assert.equal(platform.seen.length, 2);
});

test("an error's answer is the caller's to read, whole", async (t) => {
  const text = JSON.stringify({ details: [], text: "x".repeat(300_000) });
  const { platform, fetch } = await start(t, () => status(400, { "content-type": "application/json" }, text));
  const response = await fetch(platform.url, { headers });
  assert.equal(await response.text(), text);
  assert.equal(response.url, `${platform.url}/`);
});

test("redirects are not followed, with a key or without", async (t) => {
  const elsewhere = await Platform.start(t);
  for (const code of [301, 302, 303, 307, 308]) {
    const { platform, fetch } = await start(t, () => status(code, { location: `${elsewhere.url}/stolen` }));
    const response = await fetch(platform.url, { method: "POST", body: "x", headers });
    assert.equal(response.status, code);
    const init: RequestInit = { method: "POST", body: "x", headers, redirect: "error" };
    await assert.rejects(fetch(platform.url, init), /redirect/u);
    await assert.rejects(fetch(new Request(platform.url, init)), /redirect/u);
    assert.equal(platform.seen.length, 3);
  }
  assert.equal(elsewhere.seen.length, 0);
});

test("an answer of 304 is no redirect", async (t) => {
  const { platform, fetch } = await start(t, () => status(304, {}, ""));
  assert.equal((await fetch(platform.url, { headers, redirect: "error" })).status, 304);
});

test("tokens and reasons are found whatever the case and number of headers", async (t) => {
  const { platform, fetch } = await start(t, (n) =>
    n === 1
      ? status(200, { "DOMICILE-CONSISTENCY": ["a", "b"] })
      : refusal(503, "OVERLOADED", {}, { "retry-AFTER": "0", "Content-Type": "Application/JSON; charset=utf-8" }),
  );
  await fetch(platform.url, { headers: { AUTHORIZATION: headers.authorization } });
  const response = await fetch(platform.url, { headers });
  assert.equal(response.status, 503);
  assert.equal(platform.seen.length, 5);
  assert.ok(platform.seen.slice(1).every((seen) => seen.tokens === "a, b"));
});

// A 421 makes fetch itself try a second connection, as its standard has it; so a region may see a call twice before its answer counts.
test("a call goes home over real connections, and the next ones go there at once", async (t) => {
  const home = await Platform.start(t);
  const { platform, fetch } = await start(t, () => wrongRegion(home.url));
  for (let i = 0; i < 2; i++) {
    const response = await fetch(`${platform.url}/v1/users?x=1`, { method: "POST", body: "hello", headers });
    assert.equal(response.status, 200);
    assert.equal(new URL(response.url).origin, home.url);
  }
  const keys = new Set(platform.seen.map((seen) => seen.key));
  assert.equal(keys.size, 1);
  assert.deepEqual([...keys], [home.seen[0]?.key]);
  assert.equal(home.seen.length, 2);
  assert.ok(home.seen.every((seen) => seen.path === "/v1/users?x=1" && seen.body === "hello"));
});

test("a body that cannot be sent again does not go home, but the next call does", async (t) => {
  const home = await Platform.start(t);
  const { platform, fetch } = await start(t, () => wrongRegion(home.url), { maxBufferBytes: 10 });
  const upload = (): Promise<Response> =>
    fetch(platform.url, { method: "POST", body: new Blob(["x".repeat(11)]).stream(), headers, duplex: "half" } as RequestInit);
  assert.equal((await upload()).status, 421);
  assert.equal(home.seen.length, 0);
  assert.equal((await upload()).status, 200);
  assert.equal(home.last.body.length, 11);
  assert.equal(home.last.headers["transfer-encoding"], "chunked");
  // Browsers can send no stream by HTTP/1.1, so what came in a Request is sent with its length.
  const request = new Request(platform.url, { method: "POST", body: "x".repeat(12), headers });
  assert.equal((await fetch(request)).status, 200);
  assert.equal(home.last.headers["content-length"], "12");
  assert.equal(home.last.headers["content-type"], "text/plain;charset=UTF-8");
});

test("a platform that is not there is an error", async (t) => {
  const { platform, fetch } = await start(t);
  const { url } = platform;
  platform.stop();
  await assert.rejects(fetch(url, { headers }), TypeError);
});

test("a body that is too large to keep is not tried again, even if nothing of it was read", async () => {
  let calls = 0;
  const base = (): Promise<Response> => {
    calls++;
    return Promise.reject(new TypeError("fetch failed"));
  };
  const fetch = createFetch({ endpoints: ["https://api.example.com"], fetch: base, backoffMs: 1, maxBufferBytes: 10 });
  const request = new Request("https://api.example.com", { method: "POST", body: "x".repeat(11) });
  await assert.rejects(fetch(request), /fetch failed/u);
  assert.equal(calls, 1);
});

test("a call with a large body ends when its time is over", async (t) => {
  const { platform, fetch } = await start(t, () => "silent", { timeoutMs: 50, maxBufferBytes: 10 });
  const request = new Request(platform.url, { method: "POST", body: "x".repeat(11), headers });
  await assert.rejects(fetch(request), { name: "TimeoutError" });
});
