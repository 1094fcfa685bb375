import { cancel, once, readText, repeatable } from "./body.js";
import { attempt, type Call, isFramed, isRedirect, reads, target, toward } from "./call.js";
import { Endpoints } from "./endpoints.js";
import { answerFailure, type Failure, mayRepeat, networkFailure, refusesTokens } from "./failure.js";
import { newKey } from "./key.js";
import { type Options, type Settings, settings } from "./options.js";
import { headerConsistency, headerKey, type Session, Sessions } from "./sessions.js";

/** How much of an error's answer is read to find out why. */
const maxErrorBytes = 64 << 10;
/** The longest time that a timer can wait. */
const maxTimerMs = 2 ** 31 - 1;

/** What came of an attempt: an answer, or what fetch threw; and how it failed, if it did. */
type Outcome =
  | { readonly response: Response; readonly failure?: Failure }
  | { readonly response?: undefined; readonly error: unknown; readonly failure: Failure };

/** What calls to one platform have in common: tokens, and where tenants are at home. */
export class Client {
  readonly #settings: Settings;
  readonly #endpoints: Endpoints;
  readonly #sessions = new Sessions();

  constructor(options: Options) {
    this.#settings = settings(options);
    this.#endpoints = new Endpoints(options.endpoints);
  }

  /** Does what the global fetch does, for calls to the platform with what {@link createFetch} promises. */
  async fetch(input: Call["input"], init?: RequestInit): Promise<Response> {
    const url = target(input);
    if (!this.#endpoints.ours(url)) {
      return this.#settings.fetch(input, init);
    }
    const request = new Request(input, init);
    const headers = new Headers(request.headers);
    const session = this.#sessions.of(headers, url);
    const begun = { input, init, request, url, headers };
    if (isFramed(headers)) {
      const body = await once(request, init);
      return this.#stream({ ...begun, body, signal: request.signal, deadlineMs: Number.POSITIVE_INFINITY }, session);
    }
    const { timeoutMs, now, maxBufferBytes } = this.#settings;
    const bounded = timeoutMs <= maxTimerMs;
    const signal = bounded ? AbortSignal.any([request.signal, AbortSignal.timeout(timeoutMs)]) : request.signal;
    const deadlineMs = bounded ? now() + timeoutMs : Number.POSITIVE_INFINITY;
    if (!(reads(request.method) || headers.has(headerKey))) {
      headers.set(headerKey, newKey(now()));
    }
    const body = await repeatable(request, init, maxBufferBytes, signal);
    return this.#attempts({ ...begun, body, signal, deadlineMs }, session);
  }

  /**
   * Sends a call until it is done. One that cannot be sent again, because its body cannot, is sent once; all others read or have a key.
   */
  async #attempts(call: Call, session: Session): Promise<Response> {
    const { maxAttempts, homeTtlMs, now } = this.#settings;
    let home = session.home(now());
    let followed = false;
    for (let n = 1; ; n++) {
      const outcome = await this.#once(call, home, session);
      const { failure } = outcome;
      if (failure === undefined || call.signal.aborted) {
        return settle(call, outcome);
      }
      const elsewhere = followed ? undefined : this.#endpoints.elsewhere(failure);
      if (elsewhere !== undefined) {
        session.setHome(elsewhere, now() + homeTtlMs);
        if (!call.body.again) {
          return settle(call, outcome); // The next call goes there.
        }
        // Nothing was executed, so this is no repetition.
        followed = true;
        home = elsewhere;
        cancel(outcome.response?.body ?? null);
        continue;
      }
      if (home !== undefined && (failure.network || failure.reason === "WRONG_REGION")) {
        session.forgetHome(); // It has moved, or is not there: ask where calls begin.
        home = undefined;
      }
      if (n >= maxAttempts || !call.body.again || !mayRepeat(failure) || !(await this.#pause(n, failure, call))) {
        return settle(call, outcome);
      }
      cancel(outcome.response?.body ?? null);
    }
  }

  /** Sends a call once. */
  async #once(call: Call, home: URL | undefined, session: Session): Promise<Outcome> {
    const headers = new Headers(call.headers);
    // A caller who gives tokens knows why; then those of the session are not sent.
    const sent = headers.has(headerConsistency) ? [] : session.send(headers);
    const url = home === undefined ? call.url : toward(call.url, home);
    let response: Response;
    try {
      response = await this.#settings.fetch(...(await attempt(call, headers, url)));
    } catch (error) {
      return { error, failure: networkFailure };
    }
    if (response.status < 400) {
      session.keep(sent, response.headers);
      return { response };
    }
    let text: string;
    try {
      const copy = response.clone().body;
      text = copy === null ? "" : await readText(copy, maxErrorBytes);
    } catch (error) {
      session.keep(sent, response.headers);
      return { error, failure: networkFailure };
    }
    const failure = answerFailure(url, response.status, response.headers, text, this.#settings.now());
    if (refusesTokens(failure)) {
      session.forget(sent);
    } else {
      session.keep(sent, response.headers);
    }
    return { response, failure };
  }

  /** Sends a call of a protocol whose messages and errors HTTP does not show, with tokens, once. */
  async #stream(call: Call, session: Session): Promise<Response> {
    const home = session.home(this.#settings.now());
    const outcome = await this.#once(call, home, session);
    if (home !== undefined && outcome.failure?.network) {
      session.forgetHome();
    }
    return settle(call, outcome);
  }

  /**
   * Waits before attempt n + 1: as long as the platform says, and a random time up to a bound that doubles ("full jitter": Brooker,
   * Exponential Backoff and Jitter, 2015). It tells whether it did: not if the wait would be too long. It throws the caller's reason when
   * the caller leaves.
   */
  async #pause(n: number, failure: Failure, call: Call): Promise<boolean> {
    const { backoffMs, maxBackoffMs, maxRetryAfterMs, now, jitter } = this.#settings;
    const told = failure.retryAfterMs ?? 0;
    const waitMs = told + jitter(Math.min(maxBackoffMs, backoffMs * 2 ** (n - 1)));
    if (told > maxRetryAfterMs || waitMs > maxTimerMs || call.deadlineMs - now() <= waitMs) {
      return false;
    }
    await sleep(waitMs, call.signal);
    return true;
  }
}

/** Returns or throws what came of a call's last attempt. */
function settle(call: Call, outcome: Outcome): Response {
  if (outcome.response === undefined) {
    throw outcome.error;
  }
  if (call.request.redirect === "error" && isRedirect(outcome.response)) {
    cancel(outcome.response.body);
    throw new TypeError("domicile: the answer is a redirect, which the caller does not want");
  }
  return outcome.response;
}

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", leave);
      resolve();
    }, ms);
    function leave(): void {
      clearTimeout(timer);
      reject(signal.reason);
    }
    signal.addEventListener("abort", leave, { once: true });
    if (signal.aborted) {
      leave();
    }
  });
}
