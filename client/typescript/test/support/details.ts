import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";

/** A google.rpc.ErrorInfo in protobuf's encoding. */
export function packInfo(reason: string, metadata: Record<string, string> = {}, domain = "domicile.dev"): Uint8Array {
  const writer = new BinaryWriter().tag(1, WireType.LengthDelimited).string(reason).tag(2, WireType.LengthDelimited).string(domain);
  for (const [key, value] of Object.entries(metadata)) {
    writer.tag(3, WireType.LengthDelimited).fork();
    writer.tag(1, WireType.LengthDelimited).string(key).tag(2, WireType.LengthDelimited).string(value).join();
  }
  return writer.finish();
}

/** A google.rpc.RetryInfo in protobuf's encoding. */
export function packRetry(seconds: number | bigint, nanos: number): Uint8Array {
  const writer = new BinaryWriter().tag(1, WireType.LengthDelimited).fork();
  return writer.tag(1, WireType.Varint).int64(seconds).tag(2, WireType.Varint).int32(nanos).join().finish();
}

/** A detail as the Connect protocol has it: base64 without padding. */
export function connectDetail(type: string, bytes: Uint8Array): { type: string; value: string } {
  return { type, value: Buffer.from(bytes).toString("base64").replaceAll("=", "") };
}
