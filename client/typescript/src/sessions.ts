export const headerConsistency = "Domicile-Consistency";
export const headerKey = "Idempotency-Key";
const headerTenant = "Domicile-Tenant";

/** How many tokens a request may carry. */
const maxTokens = 8;
/** The platform's tokens are not longer, and have no spaces. Nothing else is kept: it would make the calls after it fail. */
const tokenForm = /^[\x21-\x7e]{1,256}$/u;
/** Bounds the keys that a client remembers something of; beyond it the one that was used longest ago is forgotten. */
const maxSessions = 1024;

/** What a client keeps for each key and tenant. It is in memory alone. */
export class Sessions {
  readonly #all = new Map<string, Session>(); // the one that was used longest ago first

  /** Returns the session of a request: by its key and the tenant that it names, and without a key by its host. */
  of(headers: Headers, url: URL): Session {
    const name = headers.get("Authorization") ?? `host ${url.host}`;
    const id = `${name}\n${headers.get(headerTenant) ?? ""}`;
    const session = this.#all.get(id) ?? new Session();
    this.#all.delete(id);
    this.#all.set(id, session);
    if (this.#all.size > maxSessions) {
      for (const oldest of this.#all.keys()) {
        this.#all.delete(oldest);
        break;
      }
    }
    return session;
  }
}

/** What is known of one key's calls. */
export class Session {
  #tokens: readonly string[] = []; // oldest first
  #home: { readonly url: URL; readonly untilMs: number } | undefined;

  /** Adds the tokens to a request's headers and returns them. */
  send(headers: Headers): readonly string[] {
    if (this.#tokens.length > 0) {
      headers.set(headerConsistency, this.#tokens.join(", "));
    }
    return this.#tokens;
  }

  /** Takes the tokens of an answer, which cover those that were sent. */
  keep(sent: readonly string[], headers: Headers): void {
    const values = (headers.get(headerConsistency) ?? "").split(",").map((token) => token.trim());
    const got = values.filter((token) => tokenForm.test(token));
    if (got.length > 0) {
      const others = this.#tokens.filter((token) => !(sent.includes(token) || got.includes(token)));
      this.#tokens = [...others, ...got].slice(-maxTokens);
    }
  }

  /** Drops tokens, as the platform advises when it refuses one. What came meanwhile stays. */
  forget(refused: readonly string[]): void {
    this.#tokens = this.#tokens.filter((token) => !refused.includes(token));
  }

  /** Returns where calls belong; undefined: where they begin. */
  home(nowMs: number): URL | undefined {
    return this.#home !== undefined && nowMs < this.#home.untilMs ? this.#home.url : undefined;
  }

  /** Notes where calls belong until a time. */
  setHome(url: URL, untilMs: number): void {
    this.#home = { url, untilMs };
  }

  /** Lets calls go where they begin. */
  forgetHome(): void {
    this.#home = undefined;
  }
}
