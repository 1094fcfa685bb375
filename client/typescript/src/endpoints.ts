import type { Failure } from "./failure.js";

/** The URLs that a client was made for. */
export class Endpoints {
  readonly #all: readonly URL[];

  /** Fails with a TypeError if there is none, or one that is not a URL of http or https with a host and nothing else. */
  constructor(texts: readonly string[]) {
    this.#all = texts.map((text) => {
      const url = parseEndpoint(text);
      if (url === undefined) {
        throw new TypeError(`domicile: the endpoint ${JSON.stringify(text)} is not a URL of http or https with a host and nothing else`);
      }
      return url;
    });
    if (this.#all.length === 0) {
      throw new TypeError("domicile: no endpoint is configured");
    }
  }

  /** Tells whether a URL is the platform's. */
  ours(url: URL): boolean {
    return this.#all.some((endpoint) => endpoint.origin === url.origin);
  }

  /** Returns where a call belongs, if the failure says so and the client may go there. */
  elsewhere(failure: Failure): URL | undefined {
    if (failure.reason !== "WRONG_REGION" || failure.metadata.get("retry_safe") !== "true" || failure.from === undefined) {
      return undefined;
    }
    const target = parseEndpoint(failure.metadata.get("home_endpoint") ?? "");
    if (target === undefined || target.protocol !== failure.from.protocol || target.origin === failure.from.origin) {
      return undefined;
    }
    const allowed = this.#all.some(
      (endpoint) => endpoint.origin === target.origin || (endpoint.protocol === target.protocol && within(target, endpoint)),
    );
    return allowed ? target : undefined;
  }
}

function parseEndpoint(text: string): URL | undefined {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    return undefined;
  }
  const bare = url.username === "" && url.password === "" && url.pathname === "/" && url.search === "" && url.hash === "";
  const web = (url.protocol === "https:" || url.protocol === "http:") && url.hostname !== "";
  return bare && web ? new URL(url.origin) : undefined;
}

/**
 * Tells whether keys that were meant for an endpoint may be sent to a target of the same scheme. TLS proves the name, so a name below the
 * endpoint's belongs to who owns the endpoint's. Without TLS nothing does, and the host must be the same, or this machine.
 */
function within(target: URL, endpoint: URL): boolean {
  const to = target.hostname;
  const from = endpoint.hostname;
  if (to === from) {
    return true;
  }
  if (target.protocol === "https:") {
    return !isAddress(from) && to.endsWith(`.${from}`);
  }
  return isLoopback(to) && isLoopback(from);
}

// A URL's hostname has addresses in one form: four decimal numbers, or in brackets.
function isAddress(host: string): boolean {
  return host.startsWith("[") || /^\d+\.\d+\.\d+\.\d+$/u.test(host);
}

function isLoopback(host: string): boolean {
  // RFC 6761, section 6.3, has the names.
  return host === "localhost" || host.endsWith(".localhost") || host === "[::1]" || (isAddress(host) && host.startsWith("127."));
}
