import assert from "node:assert/strict";
import { test } from "node:test";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { parseDetail } from "../src/detail.js";
import { connectDetail, packInfo, packRetry } from "./support/details.js";

const info = "google.rpc.ErrorInfo";
const retry = "google.rpc.RetryInfo";

test("details are the same over REST and Connect", () => {
  const metadata = { home_endpoint: "https://eu.example.com", retry_safe: "true", ü: "", __proto__x: "y" };
  const want = { kind: "info", domain: "domicile.dev", reason: "WRONG_REGION", metadata: new Map(Object.entries(metadata)) };
  assert.deepEqual(parseDetail(connectDetail(info, packInfo("WRONG_REGION", metadata))), want);
  assert.deepEqual(parseDetail({ "@type": `type.googleapis.com/${info}`, domain: "domicile.dev", reason: "WRONG_REGION", metadata }), want);
  for (const [seconds, nanos, json, delayMs] of [
    [0, 0, "0s", 0],
    [1, 500_000_000, "1.5s", 1500],
    [90, 0, "90s", 90_000],
    [315_576_000_000, 0, "315576000000s", 315_576_000_000_000],
  ] as const) {
    assert.deepEqual(parseDetail(connectDetail(retry, packRetry(seconds, nanos))), { kind: "retry", delayMs });
    assert.deepEqual(parseDetail({ "@type": `type.googleapis.com/${retry}`, retryDelay: json }), { kind: "retry", delayMs });
  }
});

test("padding and fields that are not known do no harm", () => {
  const more = new BinaryWriter()
    .tag(9, WireType.Varint)
    .uint64(2n ** 64n - 1n)
    .tag(10, WireType.Bit64)
    .fixed64(1n);
  const bytes = more.tag(11, WireType.Bit32).fixed32(1).raw(packInfo("RATE_LIMITED")).finish();
  const value = Buffer.from(bytes).toString("base64");
  assert.ok(value.endsWith("="), "the test needs padding");
  assert.equal((parseDetail({ type: info, value }) as { reason: string }).reason, "RATE_LIMITED");
});

test("what is no detail is none", () => {
  const delay = { "@type": `x/${retry}` };
  for (const raw of [
    null,
    1,
    "x",
    [],
    {},
    { type: info },
    { type: info, value: "!" },
    { type: info, value: 1 },
    { type: info, value: "/w" },
    connectDetail(info, Uint8Array.of(0x0a, 1, 0xff)),
    connectDetail(info, Uint8Array.of(0x0b)),
    connectDetail("google.rpc.Help", packInfo("X")),
    connectDetail(retry, new Uint8Array()),
    connectDetail(retry, packRetry(-1, 0)),
    connectDetail(retry, packRetry(-(2n ** 63n), 0)),
    { "@type": "type.googleapis.com/google.rpc.Help", reason: "X" },
    { "@type": `x/${info}`, reason: 1 },
    { "@type": `x/${info}`, domain: {} },
    { "@type": `x/${info}`, metadata: [] },
    { "@type": `x/${info}`, metadata: { a: 1 } },
    delay,
    { ...delay, retryDelay: 1 },
    { ...delay, retryDelay: "-1s" },
    { ...delay, retryDelay: "1" },
    { ...delay, retryDelay: "1e3s" },
    { ...delay, retryDelay: "s" },
  ]) {
    assert.equal(parseDetail(raw), undefined, JSON.stringify(raw));
  }
});

test("a detail that is cut off anywhere, or has any byte changed, throws nothing", () => {
  const bytes = packInfo("WRONG_REGION", { home_endpoint: "https://eu.example.com" });
  for (let i = 0; i < bytes.length; i++) {
    parseDetail(connectDetail(info, bytes.subarray(0, i)));
    for (const byte of [0, 0x0a, 0x7f, 0x80, 0xff]) {
      parseDetail(connectDetail(info, bytes.with(i, byte)));
    }
  }
  assert.equal(parseDetail(connectDetail(info, bytes.subarray(0, 3))), undefined);
});
