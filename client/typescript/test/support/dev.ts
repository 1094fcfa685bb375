import { execFile, spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { promisify } from "node:util";

const root = join(import.meta.dirname, "../../../../..");
const run = promisify(execFile);

/** The regions of the default topology, in the order of their ports. */
export const regions = ["eu-central-1", "eu-west-1", "us-east-1", "us-west-2", "ap-southeast-1", "sa-east-1"] as const;
export type Region = (typeof regions)[number];

/** A platform of six regions at real distances, with the demonstration tenants, in a process of its own. */
export interface Dev {
  readonly url: (region: Region) => string;
  readonly key: (tenant: string) => string;
  readonly stop: () => Promise<void>;
}

interface Demo {
  readonly tenants: readonly { readonly id: string; readonly api_key: string }[];
}

/** Builds and starts one. PORT_BASE says at which ports; without it, any that are free. */
export async function startDev(): Promise<Dev> {
  const dir = await mkdtemp(join(tmpdir(), "domicile-"));
  const binary = join(dir, "domicile");
  const data = join(dir, "data");
  await run(process.env["GO"] ?? "go", ["build", "-o", binary, "./cmd/domicile"], { cwd: root });
  const base = Number(process.env["PORT_BASE"] ?? (await freePorts()));
  const child = spawn(binary, ["dev", "--wan", "--data", data, "--port-base", `${base}`], { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (text) => {
      output += text;
    });
  }
  const exited = new Promise<void>((resolve) => {
    child.on("exit", () => resolve());
  });
  const stop = async (): Promise<void> => {
    child.kill("SIGTERM");
    await exited;
    await rm(dir, { recursive: true, force: true });
  };
  const url = (region: Region): string => `http://127.0.0.1:${base + 1 + regions.indexOf(region)}`;
  try {
    const demo = await ready(data, url, () => child.exitCode !== null);
    return { url, stop, key: (tenant) => demo.tenants.find(({ id }) => id === tenant)?.api_key ?? "" };
  } catch (error) {
    await stop();
    throw new Error(`domicile dev does not answer:\n${output}`, { cause: error });
  }
}

/** Waits until every region knows every tenant. */
async function ready(data: string, url: Dev["url"], ended: () => boolean): Promise<Demo> {
  let last: unknown;
  for (const until = Date.now() + 60_000; Date.now() < until && !ended(); ) {
    try {
      const demo = JSON.parse(await readFile(join(data, "demo.json"), "utf8")) as Demo;
      await Promise.all(regions.flatMap((region) => demo.tenants.map((tenant) => knows(url(region), tenant.api_key))));
      return demo;
    } catch (error) {
      last = error;
      await new Promise((resolve) => {
        setTimeout(resolve, 200);
      });
    }
  }
  throw last;
}

async function knows(url: string, key: string): Promise<void> {
  const { status } = await fetch(`${url}/v1/users`, { headers: { authorization: `Bearer ${key}` } });
  if (status !== 200 && status !== 421) {
    throw new Error(`${url} answers ${status}`);
  }
}

/** Finds eleven ports in a row that nobody listens at. */
async function freePorts(): Promise<number> {
  for (let tries = 0; tries < 20; tries++) {
    const base = 20_000 + Math.floor(Math.random() * 1000) * 11;
    const free = await Promise.all(Array.from({ length: 11 }, (_, i) => isFree(base + i)));
    if (free.every(Boolean)) {
      return base;
    }
  }
  throw new Error("no eleven ports in a row are free");
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}
