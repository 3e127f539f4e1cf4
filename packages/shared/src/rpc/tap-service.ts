import { create } from "@bufbuild/protobuf";
import {
  type TailRequest,
  type TailResponse,
  TailResponseSchema,
  TapService,
} from "@chowhound/shared/contracts/chowhound/v1/tap_service";
import { Metadata, type ServerWritableStream } from "@grpc/grpc-js";
import type { Tap } from "../tap/tap.ts";
import type { TapReader } from "../tap/tap-reader.ts";
import type { ExtraService } from "./admin-server.ts";
import { toGrpcError } from "./error-details.ts";

/** How long what has passed waits for more, so that it is one message and not many. */
const GATHER_MS = 100;

type TailCall = ServerWritableStream<TailRequest, TailResponse>;

/** chowhound.v1.TapService over the tap of this process. */
export function createTapService(tap: Tap): ExtraService {
  return { service: TapService, handlers: { tail: (call: TailCall) => serveTail(call, tap) } };
}

/** Hands a reader what is waiting for it, one message at a time: the next is made when the last has left. */
function serveTail(call: TailCall, tap: Tap): void {
  let gathering: NodeJS.Timeout | undefined;
  let isWriting = false;
  let reader: TapReader;
  try {
    reader = tap.watch(call.request, { onPending: gather, onClosed: end });
  } catch (error) {
    call.emit("error", toGrpcError(error));
    return;
  }
  call.on("cancelled", () => {
    tap.leave(reader);
    clearTimeout(gathering);
  });
  // Tells the caller that from now on records are shown.
  call.sendMetadata(new Metadata());

  function gather(): void {
    if (!isWriting && !call.cancelled) gathering ??= setTimeout(write, GATHER_MS);
  }

  function write(): void {
    gathering = undefined;
    const pending = reader.take();
    if (pending === undefined) return;
    isWriting = true;
    // Called back only when the client has made room for all of it.
    call.write(create(TailResponseSchema, pending), () => {
      isWriting = false;
      reader.wake();
    });
  }

  function end(): void {
    clearTimeout(gathering);
    write();
    call.end();
  }
}
