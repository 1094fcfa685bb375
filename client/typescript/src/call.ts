import type { Body } from "./body.js";

/** One call of the caller, as each attempt sends it. */
export interface Call {
  readonly input: Parameters<typeof fetch>[0];
  readonly init: RequestInit | undefined;
  readonly request: Request;
  readonly url: URL;
  readonly headers: Headers;
  readonly body: Body;
  readonly signal: AbortSignal;
  /** When the call must have ended; Infinity if there is no bound. */
  readonly deadlineMs: number;
}

/** What a Request says of how it is to be sent, besides what each attempt says itself. */
const manners = ["cache", "credentials", "integrity", "keepalive", "mode", "referrer", "referrerPolicy"] as const;

/**
 * Returns the arguments of fetch for an attempt, with headers and to a URL of its own. No redirect is followed, since none is the
 * platform's: it would take keys and bodies to hosts that nobody has named.
 */
export async function attempt(call: Call, headers: Headers, url: URL): Promise<[string | Request, RequestInit]> {
  const { body, request, signal } = call;
  if (body.whole !== undefined && url === call.url) {
    return [new Request(body.whole, { headers, signal, redirect: "manual" }), {}];
  }
  // A Request's body cannot be taken to another URL but as a stream, which browsers send by HTTP/2 at best.
  const data = body.whole === undefined || body.streamed ? body.data : await new Response(body.data).blob();
  const inherited = isRequest(call.input) ? manners.map((name) => [name, request[name]]).filter(([, value]) => value !== undefined) : [];
  return [
    url.href,
    {
      ...Object.fromEntries(inherited),
      ...call.init,
      method: request.method,
      headers,
      body: data,
      signal,
      redirect: "manual",
      ...(isStream(data) ? { duplex: "half" } : {}),
    },
  ];
}

function isStream(body: BodyInit | null): boolean {
  return body instanceof ReadableStream;
}

function isRequest(input: Call["input"]): input is Request {
  return typeof input === "object" && "url" in input;
}

/** Returns a URL at another origin, whatever its path looks like. */
export function toward(url: URL, home: URL): URL {
  return new URL(home.origin + url.pathname + url.search);
}

/** Returns where a call is meant to go. A relative URL is resolved as fetch does it. */
export function target(input: Call["input"]): URL {
  return new URL(isRequest(input) ? input.url : new Request(input).url);
}

/** Tells whether an answer is a redirect. Browsers say no more of it than that. */
export function isRedirect(response: Response): boolean {
  return response.type === "opaqueredirect" || [301, 302, 303, 307, 308].includes(response.status);
}

/** Tells methods that change nothing from the others. */
export function reads(method: string): boolean {
  return ["GET", "HEAD", "OPTIONS"].includes(method.toUpperCase());
}

/** Tells the protocols that frame their messages. */
export function isFramed(headers: Headers): boolean {
  return /^application\/(grpc|connect\+)/iu.test(headers.get("Content-Type") ?? "");
}
