import { mock, type TestContext } from "node:test";
import { createFetch, type Options } from "../../src/index.js";

export const endpoint = "https://api.example.com";
export const key = { authorization: "Bearer dk_acme_k_s" };

/** Makes time the test's: {@link run} lets it pass. */
export function useClock(t: TestContext): void {
  mock.timers.enable({ apis: ["setTimeout", "Date"], now: 0x01_8f_12_34_56_78 });
  t.after(() => mock.timers.reset());
}

/** Lets time pass until a promise is settled. */
export async function run<T>(promise: Promise<T>): Promise<T> {
  let settled = false;
  const done = (): void => {
    settled = true;
  };
  promise.then(done, done);
  for (let quiet = 0; !settled && quiet < 100_000; quiet++) {
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
    if (!settled) {
      mock.timers.tick(10);
    }
  }
  return promise;
}

/** An attempt as the base fetch has seen it. */
export interface Attempt {
  readonly url: string;
  readonly method: string;
  readonly headers: Headers;
  readonly body: string;
  readonly atMs: number;
}

/** A client over a fetch that answers as a test says, with the longest random waits. */
export function client(answer: (n: number, attempt: Attempt) => Response | Promise<Response>, options: Partial<Options> = {}) {
  const seen: Attempt[] = [];
  const base: typeof fetch = async (input, init) => {
    const request = new Request(input, init);
    const body = await request.text();
    const attempt = { url: request.url, method: request.method, headers: request.headers, body, atMs: Date.now() };
    seen.push(attempt);
    request.signal.throwIfAborted();
    return answer(seen.length, attempt);
  };
  const own = createFetch({ endpoints: [endpoint], fetch: base, jitter: (bound) => bound, ...options });
  return { fetch: own, seen };
}

/** An error as REST has it. */
export function refused(
  status: number,
  reason: string,
  metadata: Record<string, string> = {},
  headers: Record<string, string> = {},
): Response {
  const info = { "@type": "type.googleapis.com/google.rpc.ErrorInfo", reason, domain: "domicile.dev", metadata };
  return Response.json({ code: 9, message: "no", details: [info] }, { status, headers });
}
