import { create, fromBinary } from "@bufbuild/protobuf";
import {
  type CommitDurability,
  CommitDurabilitySchema,
} from "@chowhound/shared/contracts/chowhound/v1/admin_service";
import { DurabilityLevel } from "@chowhound/shared/contracts/chowhound/v1/ingestion_service";
import type { NatsConnection } from "@nats-io/transport-node";

const ANSWER_TIMEOUT_MS = 1_000;

/** Asks a store what its commits are worth; UNKNOWN where none answers. @param subject where a store answers */
export async function askCommitDurability(
  nc: NatsConnection | undefined,
  subject: string,
): Promise<CommitDurability> {
  if (nc === undefined) return notKnown("NATS is away");
  try {
    const { data } = await nc.request(subject, undefined, { timeout: ANSWER_TIMEOUT_MS });
    return fromBinary(CommitDurabilitySchema, data);
  } catch {
    // Nobody answers, or somebody else does.
    return notKnown("no store answers");
  }
}

function notKnown(why: string): CommitDurability {
  const warnings = [`what a commit survives is not known: ${why}`];
  return create(CommitDurabilitySchema, { level: DurabilityLevel.UNKNOWN, warnings });
}
