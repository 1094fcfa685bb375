import { parseDetail } from "./detail.js";

/** The domain of every ErrorInfo of the platform. */
const errorDomain = "domicile.dev";

/** Why an attempt failed, over REST or Connect. */
export interface Failure {
  /** No answer came, or not the whole of it. */
  readonly network: boolean;
  /** Where the answer came from. */
  readonly from: URL | undefined;
  /** The status is 503, or 429. */
  readonly unavailable: boolean;
  readonly limited: boolean;
  readonly reason: string;
  readonly metadata: ReadonlyMap<string, string>;
  /** How long the platform says to wait; undefined if it does not. */
  readonly retryAfterMs: number | undefined;
}

/** The failure of an attempt that got no answer. */
export const networkFailure: Failure = {
  network: true,
  from: undefined,
  unavailable: false,
  limited: false,
  reason: "",
  metadata: new Map(),
  retryAfterMs: undefined,
};

/** Tells whether the platform advises to drop the tokens that were sent. */
export function refusesTokens(failure: Failure): boolean {
  return failure.reason === "TOKEN_INVALID" || failure.reason === "WRITE_LOST";
}

/** Tells whether a call that does no harm twice has reason to be sent again. */
export function mayRepeat(failure: Failure): boolean {
  if (failure.reason === "OUTCOME_UNKNOWN" || failure.metadata.get("retry_safe") === "false") {
    return false;
  }
  return failure.network || failure.limited || (failure.unavailable && failure.retryAfterMs !== undefined);
}

/** Reads an answer of REST or of Connect with an error's status. */
export function answerFailure(from: URL, status: number, headers: Headers, body: string, nowMs: number): Failure {
  let reason = "";
  let metadata: ReadonlyMap<string, string> = new Map();
  const waits = [retryAfter(headers.get("Retry-After"), nowMs)];
  for (const raw of details(headers, body)) {
    const detail = parseDetail(raw);
    if (detail?.kind === "retry") {
      waits.push(detail.delayMs);
    } else if (detail?.kind === "info" && detail.domain === errorDomain) {
      ({ reason, metadata } = detail);
    }
  }
  const told = waits.filter((wait) => wait !== undefined);
  return {
    network: false,
    from,
    unavailable: status === 503,
    limited: status === 429 || reason === "RATE_LIMITED",
    reason,
    metadata,
    retryAfterMs: told.length > 0 ? Math.max(...told) : undefined,
  };
}

function details(headers: Headers, body: string): readonly unknown[] {
  if (!/^application\/json\b/iu.test(headers.get("Content-Type") ?? "")) {
    return [];
  }
  try {
    const message: unknown = JSON.parse(body);
    const list = (message as { details?: unknown } | null)?.details;
    return Array.isArray(list) ? list : [];
  } catch {
    return [];
  }
}

/** Reads Retry-After, in seconds or as a date (RFC 9110, section 10.2.3). */
function retryAfter(value: string | null, nowMs: number): number | undefined {
  if (value === null) {
    return undefined;
  }
  if (/^\d+$/u.test(value)) {
    return Number(value) * 1000; // Too many digits are Infinity, which is too long.
  }
  // A date begins with the name of a day; its oldest form does not say that it is GMT.
  const date = /^[A-Za-z]{3,9},? /u.test(value) ? Date.parse(value.endsWith("GMT") ? value : `${value} GMT`) : Number.NaN;
  return Number.isNaN(date) ? undefined : Math.max(0, date - nowMs);
}
