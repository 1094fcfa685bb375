/** What {@link Options} says when it says nothing. Times are in milliseconds. */
export const defaults = {
  maxAttempts: 4,
  backoffMs: 100,
  maxBackoffMs: 5000,
  maxRetryAfterMs: 30_000,
  maxBufferBytes: 1 << 20,
  homeTtlMs: 600_000,
} as const;

/** What a client is made of. */
export interface Options {
  /**
   * The platform's URLs, e.g. "https://api.example.com", without a path. Calls to other hosts pass as they are: without tokens, keys and
   * repetitions.
   *
   * A region may answer that a call belongs to another one, and where that is. The client goes there if it is one of the endpoints, or its
   * host is an endpoint's or below it ("eu.api.example.com"), over the same scheme as the answer came. Without TLS, it must be the same host,
   * or both must be this machine. So nobody who only forges or breaks into one region's answer gets keys and bodies sent to a host of his
   * own. Regions that have other names are to be listed.
   */
  readonly endpoints: readonly string[];
  /** Sends requests; the global fetch when not given. */
  readonly fetch?: typeof globalThis.fetch;
  /** How often a call is sent at the most, the first time included. */
  readonly maxAttempts?: number;
  /** The bound of the first random wait; it doubles up to maxBackoffMs. */
  readonly backoffMs?: number;
  /** The bound of the longest random wait. */
  readonly maxBackoffMs?: number;
  /** The longest wait that the platform may ask for; if it asks for a longer one, its answer is returned instead. */
  readonly maxRetryAfterMs?: number;
  /** How many bytes of a stream, or of a Request's body, are kept for repetitions. A larger one is sent once. */
  readonly maxBufferBytes?: number;
  /** How long the client remembers where calls of a key belong. */
  readonly homeTtlMs?: number;
  /**
   * How long a call may take, with its repetitions and the reading of its answer. A wait that would end later is not begun: the last answer
   * is returned instead. Streams are not bounded. Not given: only the caller's signal ends a call.
   */
  readonly timeoutMs?: number;
  /** The time in milliseconds since 1970; Date.now when not given. */
  readonly now?: () => number;
  /** Returns a random number of milliseconds from 0 up to a bound; uniformly when not given. */
  readonly jitter?: (boundMs: number) => number;
}

/** Options with everything filled in; no bound in time is Infinity. */
export type Settings = Required<Omit<Options, "endpoints">>;

/** Fills options in. It fails with a RangeError for a number that is none or not above zero. */
export function settings(options: Options): Settings {
  const { endpoints: _, ...given } = options;
  const filled: Settings = {
    ...defaults,
    timeoutMs: Number.POSITIVE_INFINITY,
    // Looked up at each call, and called without a receiver, as browsers want it.
    fetch: (input, init) => globalThis.fetch(input, init),
    now: () => Date.now(),
    // It spreads load, no more: it need not be a secret.
    jitter: (boundMs) => Math.random() * boundMs,
    ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)),
  };
  for (const [name, value] of Object.entries(filled)) {
    if (typeof value === "number" && !(value > 0)) {
      throw new RangeError(`domicile: the option ${name} is ${value}; it must be above zero`);
    }
  }
  return filled;
}
