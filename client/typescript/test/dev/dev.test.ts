import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { createClient as createConnectClient, type Interceptor } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-web";
import createClient from "openapi-fetch";
import { ProfileService } from "../../generated/domicile/profile/v1/profile_pb.js";
import { createFetch } from "../../src/index.js";
import type { paths } from "../../src/v1.js";
import { type Dev, type Region, regions, startDev } from "../support/dev.js";

let dev: Dev;
before(async () => {
  dev = await startDev();
});
after(() => dev.stop());

type Fetch = typeof globalThis.fetch;

/** A client with generated types, at a region. */
function usersAt(region: Region, tenant: string, fetch: Fetch) {
  return createClient<paths>({ baseUrl: dev.url(region), fetch, headers: { Authorization: `Bearer ${dev.key(tenant)}` } });
}

function everywhere(): readonly string[] {
  return regions.map((region) => dev.url(region));
}

function person(name: string) {
  return { givenName: name, familyName: "Lovelace", email: `${name.toLowerCase()}@example.com`, locale: "en-GB" };
}

/** Returns what an answer has, and fails with what it says instead. */
function got<T>({ data, error, response }: { data?: T; error?: unknown; response: Response }): T {
  assert.ok(response.ok && data !== undefined, `${response.status} ${JSON.stringify(error)}`);
  return data;
}

test("users are created, read, changed, listed and deleted through many regions, and each sees what was written before", async () => {
  const fetch = createFetch({ endpoints: everywhere() });
  const at = (region: Region) => usersAt(region, "acme-eu", fetch);
  const created = got(await at("us-east-1").POST("/v1/users", { body: { ...person("Ada"), handle: "ada" } }));
  const id = created.id ?? "";
  assert.match(id, /^usr_/u);
  for (let round = 1; round <= 2; round++) {
    const path = { id };
    const changed = got(await at("sa-east-1").PATCH("/v1/users/{id}", { params: { path }, body: { handle: `ada-${round}` } }));
    assert.equal(changed.handle, `ada-${round}`);
    for (const region of regions) {
      const summary = got(await at(region).GET("/v1/users/{id}/summary", { params: { path } }));
      assert.equal(summary.handle, `ada-${round}`, `${region} shows the past`);
    }
  }
  const read = got(await at("ap-southeast-1").GET("/v1/users/{id}", { params: { path: { id } } }));
  assert.equal(read.email, "ada@example.com");
  const list = got(await at("us-west-2").GET("/v1/users"));
  assert.ok(list.users?.some((user) => user.id === id));
  got(await at("eu-west-1").DELETE("/v1/users/{id}", { params: { path: { id } } }));
  for (const region of regions) {
    const { response } = await at(region).GET("/v1/users/{id}/summary", { params: { path: { id } } });
    assert.equal(response.status, 404, `${region} shows what is deleted`);
  }
});

test("calls of a tenant that may not be relayed go home, and the next ones go there at once", async () => {
  const sent: string[] = [];
  const base: Fetch = (input, init) => {
    sent.push(new URL(String(input)).origin);
    return fetch(input, init);
  };
  const edge = dev.url("us-east-1");
  const home = dev.url("eu-central-1");
  const bank = usersAt("us-east-1", "bank-eu", createFetch({ endpoints: [edge], fetch: base }));
  const created = await bank.POST("/v1/users", { body: person("Grace") });
  assert.equal(got(created).givenName, "Grace");
  assert.equal(created.response.headers.get("domicile-region"), "eu-central-1");
  assert.deepEqual(sent, [edge, home]);
  assert.equal(got(await bank.GET("/v1/users")).users?.length, 1);
  assert.deepEqual(sent, [edge, home, home]);
});

test("a write whose answer is lost is made once", async () => {
  let lose = true;
  const base: Fetch = async (input, init) => {
    const response = await fetch(input, init);
    if (lose) {
      lose = false;
      await response.body?.cancel();
      throw new TypeError("the connection broke");
    }
    return response;
  };
  const us = usersAt("us-east-1", "acme-us", createFetch({ endpoints: everywhere(), fetch: base }));
  const answer = await us.POST("/v1/users", { body: person("Barbara") });
  assert.equal(got(answer).givenName, "Barbara");
  assert.equal(answer.response.headers.get("idempotency-replayed"), "true");
  assert.equal(got(await us.GET("/v1/users")).users?.length, 1);
});

test("a forged token is refused, and what comes after is as it was", async () => {
  const fetch = createFetch({ endpoints: everywhere() });
  const sg = usersAt("ap-southeast-1", "acme-sg", fetch);
  const id = got(await sg.POST("/v1/users", { body: person("Radia") })).id ?? "";
  const forged = await fetch(`${dev.url("sa-east-1")}/v1/users:summaries`, {
    headers: { Authorization: `Bearer ${dev.key("acme-sg")}`, "Domicile-Consistency": "forged" },
  });
  assert.equal(forged.status, 400);
  assert.match(await forged.text(), /TOKEN_INVALID/u);
  got(await usersAt("sa-east-1", "acme-sg", fetch).GET("/v1/users/{id}/summary", { params: { path: { id } } }));
});

for (const [name, transportAt] of Object.entries({ Connect: createConnectTransport, "gRPC-Web": createGrpcWebTransport })) {
  test(`${name}: users are created and seen in another region`, async () => {
    const fetch = createFetch({ endpoints: everywhere() });
    const bearer: Interceptor = (next) => (request) => {
      request.header.set("Authorization", `Bearer ${dev.key("acme-br")}`);
      return next(request);
    };
    const at = (region: Region) =>
      createConnectClient(ProfileService, transportAt({ baseUrl: dev.url(region), fetch, interceptors: [bearer] }));
    const { user } = await at("us-east-1").createUser({ user: person(`Joan-${name}`) });
    const id = user?.id ?? "";
    for (const region of regions) {
      const { summary } = await at(region).getUserSummary({ id });
      assert.equal(summary?.id, id);
    }
  });
}

test("Connect: calls of a tenant that may not be relayed go home", async () => {
  const baseUrl = dev.url("sa-east-1");
  const bearer: Interceptor = (next) => (request) => {
    request.header.set("Authorization", `Bearer ${dev.key("bank-eu")}`);
    return next(request);
  };
  for (const useBinaryFormat of [false, true]) {
    const fetch = createFetch({ endpoints: [baseUrl] });
    const users = createConnectClient(ProfileService, createConnectTransport({ baseUrl, useBinaryFormat, fetch, interceptors: [bearer] }));
    const { user } = await users.createUser({ user: person(useBinaryFormat ? "Jean" : "Kathleen") });
    assert.ok(user?.id);
  }
});

test("the examples of README.md do what they say", async () => {
  const folder = join(import.meta.dirname, "../../generated");
  const examples = (await readdir(folder)).filter((name) => /^example\d+\.js$/u.test(name));
  assert.ok(examples.length >= 3, "README.md has fewer examples than it had");
  for (const example of examples) {
    const env = { ...process.env, DOMICILE_URL: dev.url("ap-southeast-1"), DOMICILE_KEY: dev.key("acme-eu") };
    const { stdout } = await promisify(execFile)(process.execPath, [join(folder, example)], { env });
    assert.match(stdout, /^usr_[a-z0-9]+\n$/u, example);
  }
});
