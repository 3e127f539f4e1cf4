import type { DescMethodUnary, DescService, Message } from "@bufbuild/protobuf";
import type { CallHead } from "./ingestor.ts";

/** One call of a method, whatever the protocol that brought it. */
export interface DoorCall extends CallHead {
  method: DescMethodUnary;
  /**
   * Reads the request, a message of the method's input. Called once it is known who calls: so nobody can have work done
   * without a key. Rejects with CallError malformed_request or call_too_large.
   */
  request(): Message | Promise<Message>;
}

/** A service of unary methods that the doors serve beside IngestionService. */
export interface DoorService {
  service: DescService;
  methods: readonly DescMethodUnary[];
  /** Resolves with the encoded response. Checks the key, see `createServe`. Rejects with CallError, and with nothing else. */
  answer(call: DoorCall): Promise<Uint8Array>;
}
