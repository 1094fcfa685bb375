/** What one of an error's details says, as far as the client acts on it. */
export type Detail =
  | { readonly kind: "info"; readonly domain: string; readonly reason: string; readonly metadata: ReadonlyMap<string, string> }
  | { readonly kind: "retry"; readonly delayMs: number };

const errorInfo = "google.rpc.ErrorInfo";
const retryInfo = "google.rpc.RetryInfo";

/** Reads a detail as google.rpc.Status has it in JSON, or as the Connect protocol does. Undefined if it is neither, or of another kind. */
export function parseDetail(raw: unknown): Detail | undefined {
  if (!isObject(raw)) {
    return undefined;
  }
  const { type, value, "@type": url } = raw;
  if (typeof type === "string" && typeof value === "string") {
    try {
      return unpack(type, value);
    } catch {
      return undefined; // It is not what it says it is.
    }
  }
  return typeof url === "string" ? fromJson(url.slice(url.lastIndexOf("/") + 1), raw) : undefined;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function fromJson(type: string, raw: Record<string, unknown>): Detail | undefined {
  if (type === errorInfo) {
    const { domain = "", reason = "", metadata = {} } = raw;
    if (typeof domain !== "string" || typeof reason !== "string" || !isObject(metadata)) {
      return undefined;
    }
    const entries = Object.entries(metadata);
    if (!entries.every((entry): entry is [string, string] => typeof entry[1] === "string")) {
      return undefined;
    }
    return { kind: "info", domain, reason, metadata: new Map(entries) };
  }
  if (type === retryInfo && typeof raw["retryDelay"] === "string" && /^\d+(\.\d{1,9})?s$/u.test(raw["retryDelay"])) {
    return { kind: "retry", delayMs: Number(raw["retryDelay"].slice(0, -1)) * 1000 };
  }
  return undefined;
}

function unpack(type: string, base64: string): Detail | undefined {
  const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  if (type === errorInfo) {
    return unpackInfo(bytes);
  }
  return type === retryInfo ? unpackRetry(bytes) : undefined;
}

function unpackInfo(bytes: Uint8Array): Detail {
  let reason = "";
  let domain = "";
  const metadata = new Map<string, string>();
  for (const field of fields(bytes)) {
    if (field.number === 1) {
      reason = text(field);
    } else if (field.number === 2) {
      domain = text(field);
    } else if (field.number === 3) {
      const entry = [...fields(field.bytes)];
      const [key, value] = [1, 2].map((number) => entry.filter((f) => f.number === number).at(-1));
      metadata.set(key ? text(key) : "", value ? text(value) : "");
    }
  }
  return { kind: "info", domain, reason, metadata };
}

function unpackRetry(bytes: Uint8Array): Detail | undefined {
  let delayMs: number | undefined;
  for (const field of fields(bytes)) {
    if (field.number === 1) {
      delayMs = 0;
      for (const part of fields(field.bytes)) {
        const unit = [0, 1000, 1e-6][part.number] ?? 0; // of seconds, and of nanoseconds
        delayMs += Number(part.varint) * unit;
      }
    }
  }
  return delayMs === undefined || delayMs < 0 ? undefined : { kind: "retry", delayMs };
}

/** A field of a protobuf message: a varint's number, or a length-delimited field's bytes. */
interface Field {
  readonly number: number;
  readonly varint: bigint;
  readonly bytes: Uint8Array;
}

function text(field: Field): string {
  return new TextDecoder("utf-8", { fatal: true }).decode(field.bytes);
}

/** Reads the fields of a protobuf message (protobuf.dev, Encoding). It throws at what is none. */
function* fields(bytes: Uint8Array): Generator<Field> {
  let at = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = bytes[at++];
      if (byte === undefined) {
        break;
      }
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) {
        return BigInt.asIntN(64, value);
      }
    }
    throw new RangeError("domicile: a varint has no end");
  };
  const take = (length: number): Uint8Array => {
    if (length < 0 || length > bytes.length - at) {
      throw new RangeError("domicile: a field has no end");
    }
    at += length;
    return bytes.subarray(at - length, at);
  };
  const none = new Uint8Array();
  while (at < bytes.length) {
    const tag = Number(varint());
    const number = tag >>> 3;
    switch (tag & 7) {
      case 0:
        yield { number, varint: varint(), bytes: none };
        break;
      case 1:
        take(8);
        break;
      case 2:
        yield { number, varint: 0n, bytes: take(Number(varint())) };
        break;
      case 5:
        take(4);
        break;
      default:
        throw new RangeError("domicile: a field of no known type");
    }
  }
}
