import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { Code, ConnectError, createClient, type Interceptor } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-web";
import createOpenApiClient from "openapi-fetch";
import { ProfileService } from "../generated/domicile/profile/v1/profile_pb.js";
import { createFetch } from "../src/index.js";
import { connectDetail, packInfo, packRetry } from "./support/details.js";
import { type Answer, Platform, refusal, status, wrongRegion } from "./support/platform.js";

const bearer: Interceptor = (next) => (request) => {
  request.header.set("Authorization", "Bearer dk_acme_k_s");
  return next(request);
};

/** An error as the Connect protocol has it. */
function failing(code: number, reason: string, metadata: Record<string, string> = {}, retry?: [number, number]): Answer {
  const details = [connectDetail("google.rpc.ErrorInfo", packInfo(reason, metadata))];
  if (retry !== undefined) {
    details.push(connectDetail("google.rpc.RetryInfo", packRetry(...retry)));
  }
  const connectCode = code === 503 ? "unavailable" : "failed_precondition";
  return status(code, { "content-type": "application/json" }, JSON.stringify({ code: connectCode, message: "no", details }));
}

function answered(binary: boolean): Answer {
  const headers = { "content-type": binary ? "application/proto" : "application/json", "domicile-consistency": "token" };
  return status(200, headers, binary ? "" : "{}");
}

for (const useBinaryFormat of [false, true]) {
  const name = useBinaryFormat ? "proto" : "JSON";
  const clientFor = (platform: Platform, maxAttempts = 4) => {
    const fetch = createFetch({ endpoints: [platform.url], backoffMs: 1, maxAttempts });
    return createClient(
      ProfileService,
      createConnectTransport({ baseUrl: platform.url, useBinaryFormat, useHttpGet: true, fetch, interceptors: [bearer] }),
    );
  };

  test(`Connect with ${name}: keys, tokens and repetitions`, async (t: TestContext) => {
    const busy = failing(503, "OVERLOADED", {}, [0, 1_000_000]);
    const platform = await Platform.start(t, (n) => (n < 3 ? busy : answered(useBinaryFormat)));
    const users = clientFor(platform);
    await users.createUser({});
    assert.equal(platform.seen.length, 3);
    assert.equal(new Set(platform.seen.map((seen) => seen.key)).size, 1);
    assert.notEqual(platform.last.key, undefined);
    await users.getUser({ id: "usr_1" });
    assert.equal(platform.last.method, "GET");
    assert.equal(platform.last.key, undefined);
    assert.equal(platform.last.tokens, "token");
  });

  test(`Connect with ${name}: what is not repeated`, async (t: TestContext) => {
    const platform = await Platform.start(t);
    const users = clientFor(platform);
    for (const error of [
      failing(503, "NO_LAWFUL_REGION"),
      failing(503, "REGION_UNAVAILABLE", { retry_safe: "false" }, [0, 0]),
      failing(409, "OUTCOME_UNKNOWN", {}, [0, 0]),
      failing(503, "OVERLOADED", {}, [31, 0]),
    ]) {
      platform.seen.length = 0;
      platform.answer = () => error;
      await assert.rejects(users.createUser({}), ConnectError);
      assert.equal(platform.seen.length, 1);
    }
  });

  test(`Connect with ${name}: the way home`, async (t: TestContext) => {
    const home = await Platform.start(t, () => answered(useBinaryFormat));
    const platform = await Platform.start(t, () =>
      failing(421, "WRONG_REGION", { home_region: "eu", home_endpoint: home.url, retry_safe: "true" }),
    );
    const users = clientFor(platform);
    await users.createUser({});
    const before = platform.seen.length;
    await users.createUser({});
    assert.equal(platform.seen.length, before);
    assert.equal(home.seen.length, 2);
    assert.equal(home.seen[0]?.key, platform.seen[0]?.key);
    assert.notEqual(home.seen[1]?.key, platform.seen[0]?.key);
  });
}

test("gRPC-Web carries tokens and goes home, and is sent once, without a key", async (t) => {
  const frame = (flag: number, text: string): Buffer => Buffer.concat([Buffer.of(flag, 0, 0, 0, text.length), Buffer.from(text)]);
  const good = Buffer.concat([frame(0, ""), frame(0x80, "grpc-status: 0\r\n")]);
  const framed: Answer = (response) => {
    response.writeHead(200, { "content-type": "application/grpc-web+proto", "domicile-consistency": "token" }).end(good);
  };
  const home = await Platform.start(t, () => framed);
  const platform = await Platform.start(t, () => framed);
  const fetch = createFetch({ endpoints: [platform.url], backoffMs: 1 });
  const users = createClient(ProfileService, createGrpcWebTransport({ baseUrl: platform.url, fetch, interceptors: [bearer] }));
  await users.createUser({});
  await users.createUser({});
  assert.deepEqual(
    platform.seen.map((seen) => [seen.key, seen.tokens]),
    [
      [undefined, undefined],
      [undefined, "token"],
    ],
  );
  platform.answer = () => "reset";
  platform.seen.length = 0;
  await assert.rejects(users.createUser({}), (error) => ConnectError.from(error).code === Code.Unknown);
  assert.equal(platform.seen.length, 1);
  platform.answer = () => wrongRegion(home.url);
  await fetch(platform.url, { headers: { authorization: "Bearer dk_acme_k_s" } });
  await users.createUser({});
  assert.equal(home.last.path, "/domicile.profile.v1.ProfileService/CreateUser");
  home.stop();
  platform.answer = () => framed;
  await assert.rejects(users.createUser({}), ConnectError);
  await users.createUser({}); // A home that is not there is forgotten.
});

test("openapi-fetch: keys, tokens, repetitions and the way home", async (t) => {
  interface Paths {
    "/v1/users": {
      post: {
        requestBody: { content: { "application/json": { email: string } } };
        responses: { 200: { content: { "application/json": { id: string } } } };
      };
    };
  }
  const made = status(200, { "content-type": "application/json", "domicile-consistency": "token" }, '{"id":"usr_1"}');
  const home = await Platform.start(t, (n) => (n === 1 ? refusal(429, "RATE_LIMITED") : made));
  const platform = await Platform.start(t, () => wrongRegion(home.url));
  const users = createOpenApiClient<Paths>({
    baseUrl: platform.url,
    fetch: createFetch({ endpoints: [platform.url], backoffMs: 1 }),
    headers: { Authorization: "Bearer dk_acme_k_s" },
  });
  const body = { email: "ada@example.com" };
  const { data, response } = await users.POST("/v1/users", { body });
  assert.deepEqual(data, { id: "usr_1" });
  assert.equal(response.status, 200);
  assert.deepEqual(
    home.seen.map((seen) => seen.body),
    [JSON.stringify(body), JSON.stringify(body)],
  );
  assert.equal(new Set([...platform.seen, ...home.seen].map((seen) => seen.key)).size, 1);
  await users.POST("/v1/users", { body });
  assert.equal(home.last.tokens, "token");
  assert.notEqual(home.last.key, home.seen[0]?.key);
});
