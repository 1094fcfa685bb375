import assert from "node:assert/strict";
import { test } from "node:test";
import { client, endpoint, key, refused } from "./support/clock.js";

const token = (text: string): Response => new Response("body", { headers: { "Domicile-Consistency": text } });

test("tokens of a session: an answer's replace those of its request; keys and tenants are kept apart; refused ones are dropped", async () => {
  let next = new Response("body");
  const c = client(() => next);
  const bank = { authorization: "Bearer dk_bank_k_s" };
  const steps: [Response, Record<string, string>, string | null][] = [
    [token("a"), key, null],
    [token("b"), key, "a"],
    [new Response("body"), key, "b"],
    [token("c"), bank, null],
    [new Response("body"), bank, "c"],
    [token("d"), { ...key, "Domicile-Tenant": "other" }, null],
    [new Response("", { status: 404, headers: { "DOMICILE-consistency": "e" } }), key, "b"],
    [token("f"), { ...key, "domicile-consistency": "mine" }, "mine"],
    [refused(400, "TOKEN_INVALID"), { ...key, "domicile-consistency": "mine" }, "mine"],
    [refused(400, "TOKEN_INVALID", {}, { "Domicile-Consistency": "x" }), key, "e, f"],
    [token("g"), key, null],
    [refused(409, "WRITE_LOST"), key, "g"],
    [token("h, i,,"), key, null],
    [new Response("body"), key, "h, i"],
    [new Response("body"), bank, "c"],
  ];
  for (const [i, [answer, headers, sent]] of steps.entries()) {
    next = answer;
    await c.fetch(`${endpoint}/v1/users`, { headers });
    assert.equal(c.seen.at(-1)?.headers.get("domicile-consistency"), sent, `step ${i + 1}`);
  }
});

test("without a key, the tokens are the host's", async () => {
  const c = client(() => token("a"), { endpoints: [endpoint, "https://eu.example.com"] });
  for (const [url, sent] of [
    [endpoint, null],
    [endpoint, "a"],
    ["https://eu.example.com", null],
  ] as const) {
    await c.fetch(url);
    assert.equal(c.seen.at(-1)?.headers.get("domicile-consistency"), sent);
  }
});

test("of calls at once the newest eight tokens are kept, whatever the order of the calls", async () => {
  const waiting = new Map<string, (response: Response) => void>();
  const c = client((_, attempt) => new Promise((resolve) => waiting.set(new URL(attempt.url).pathname, resolve)));
  const calls = Array.from({ length: 10 }, (_, i) => c.fetch(`${endpoint}/${i}`, { headers: key }));
  while (waiting.size < 10) {
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
  for (let i = 9; i >= 0; i--) {
    waiting.get(`/${i}`)?.(token(`t${i}`));
    await calls[i];
  }
  const last = c.fetch(`${endpoint}/last`, { headers: key });
  while (!waiting.has("/last")) {
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
  waiting.get("/last")?.(new Response("body"));
  await last;
  assert.equal(c.seen.at(-1)?.headers.get("domicile-consistency"), "t7, t6, t5, t4, t3, t2, t1, t0");
});

test("a token that came meanwhile stays when an older one is refused", async () => {
  let late: (response: Response) => void = () => undefined;
  const answer = new Promise<Response>((resolve) => {
    late = resolve;
  });
  const c = client((n) => (n === 2 ? answer : token(n === 1 ? "old" : "new")));
  await c.fetch(endpoint, { headers: key });
  const refusal = c.fetch(endpoint, { headers: key });
  await c.fetch(endpoint, { headers: key });
  late(refused(400, "TOKEN_INVALID"));
  await refusal;
  await c.fetch(endpoint, { headers: key });
  assert.equal(c.seen.at(-1)?.headers.get("domicile-consistency"), "new");
});

test("what is no token of the platform is not kept, and no more than eight are", async () => {
  let next = new Response("body");
  const c = client(() => next);
  const big = "x".repeat(257);
  for (const [given, sent] of [
    ["good", null],
    [big, "good"],
    ["t".repeat(1 << 20), "good"],
    ["with spaces in it", "good"],
    [Array.from({ length: 1000 }, (_, i) => `n${i}`).join(","), "good"],
    ["", Array.from({ length: 8 }, (_, i) => `n${992 + i}`).join(", ")],
    ["x".repeat(256), Array.from({ length: 8 }, (_, i) => `n${992 + i}`).join(", ")],
    ["", "x".repeat(256)],
  ] as const) {
    next = given === "" ? new Response("body") : token(given);
    await c.fetch(endpoint, { headers: key });
    assert.equal(c.seen.at(-1)?.headers.get("domicile-consistency"), sent);
  }
});

test("of many sessions the one that was used longest ago is forgotten", async () => {
  const c = client(() => token("t"));
  const call = async (i: number): Promise<string | null | undefined> => {
    await c.fetch(endpoint, { headers: { authorization: `Bearer ${i}` } });
    return c.seen.at(-1)?.headers.get("domicile-consistency");
  };
  for (let i = 0; i < 1030; i++) {
    await call(i);
    assert.equal(await call(1), i === 0 ? null : "t");
  }
  assert.equal(await call(1), "t");
  assert.equal(await call(1029), "t");
  assert.equal(await call(0), null);
});
