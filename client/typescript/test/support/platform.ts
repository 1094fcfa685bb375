import { createServer, type IncomingHttpHeaders, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";

/** A request as a server has got it. */
export interface Seen {
  readonly method: string;
  readonly path: string;
  readonly body: string;
  readonly key: string | undefined;
  readonly tokens: string | undefined;
  readonly headers: IncomingHttpHeaders;
}

/** An answer; or "reset": the connection breaks once the request is read; "silent": no answer ever. */
export type Answer = "reset" | "silent" | ((response: ServerResponse) => void);

/** A region on a real port that answers as a test says, and notes what it was sent. */
export class Platform {
  readonly seen: Seen[] = [];
  answer: (n: number, seen: Seen) => Answer | Promise<Answer>;
  readonly #server: Server;

  private constructor(answer: Platform["answer"]) {
    this.answer = answer;
    this.#server = createServer((request, response) => void this.#serve(request, response));
  }

  /** Starts one, and stops it with the test. */
  static async start(t: TestContext, answer: Platform["answer"] = () => status(200)): Promise<Platform> {
    const platform = new Platform(answer);
    await new Promise<void>((resolve) => {
      platform.#server.listen(0, "127.0.0.1", resolve);
    });
    t.after(() => platform.stop());
    return platform;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  get last(): Seen {
    const last = this.seen.at(-1);
    if (last === undefined) {
      throw new Error("nothing was sent");
    }
    return last;
  }

  stop(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Uint8Array[] = [];
    for await (const chunk of request) {
      chunks.push(chunk as Uint8Array);
    }
    const header = (name: string): string | undefined => request.headers[name]?.toString();
    const seen: Seen = {
      method: request.method ?? "",
      path: request.url ?? "",
      body: Buffer.concat(chunks).toString(),
      key: header("idempotency-key"),
      tokens: header("domicile-consistency"),
      headers: request.headers,
    };
    this.seen.push(seen);
    const answer = await this.answer(this.seen.length, seen);
    if (answer === "reset") {
      request.socket.destroy();
    } else if (answer !== "silent") {
      answer(response);
    }
  }
}

/** An answer with a status and headers. */
export function status(code: number, headers: Record<string, string | string[]> = {}, body = "body"): Answer {
  return (response) => {
    response.writeHead(code, headers).end(body);
  };
}

/** An error as REST has it. */
export function refusal(
  code: number,
  reason: string,
  metadata: Record<string, string> = {},
  headers: Record<string, string | string[]> = {},
): Answer {
  const info = { "@type": "type.googleapis.com/google.rpc.ErrorInfo", reason, domain: "domicile.dev", metadata };
  return status(code, { "content-type": "application/json", ...headers }, JSON.stringify({ code: 9, message: "no", details: [info] }));
}

/** The refusal of a region that is not the tenant's home. */
export function wrongRegion(home: string, safe = "true"): Answer {
  return refusal(421, "WRONG_REGION", { home_region: "eu", home_endpoint: home, retry_safe: safe });
}
