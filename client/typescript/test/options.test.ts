import assert from "node:assert/strict";
import { test } from "node:test";
import { createFetch, type Options } from "../src/index.js";

test("endpoints that are none are refused", () => {
  for (const endpoints of [
    [],
    ["api.example.com"],
    ["ftp://api.example.com"],
    ["https://api.example.com/v1"],
    ["https://api.example.com?x=1"],
    ["https://api.example.com#x"],
    ["https://u:p@api.example.com"],
    ["https://%"],
    ["https://api.example.com", ""],
  ]) {
    assert.throws(() => createFetch({ endpoints }), /^TypeError: domicile: .*endpoint/u, endpoints.join());
  }
});

test("numbers that are none are refused by name", () => {
  for (const name of ["maxAttempts", "backoffMs", "maxBackoffMs", "maxRetryAfterMs", "maxBufferBytes", "homeTtlMs", "timeoutMs"]) {
    for (const value of [0, -1, Number.NaN]) {
      const options: Options = { endpoints: ["https://api.example.com"], [name]: value };
      assert.throws(() => createFetch(options), new RegExp(`^RangeError: domicile: the option ${name} is ${value}`, "u"));
    }
  }
});

test("an option that is undefined is not given", async () => {
  const base = (): Promise<Response> => Promise.resolve(new Response("body"));
  const endpoint = "https://api.example.com";
  const options = { endpoints: [endpoint], fetch: base, now: undefined, maxBufferBytes: undefined } as unknown as Options;
  const response = await createFetch(options)(endpoint, { method: "POST", body: "x" });
  assert.equal(response.status, 200);
});

test("what is no URL is an error of fetch", async () => {
  const fetch = createFetch({ endpoints: ["https://api.example.com"] });
  await assert.rejects(fetch("/v1/users"), TypeError);
});
