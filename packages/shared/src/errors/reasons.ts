import { status } from "@grpc/grpc-js";

/**
 * Every reason a user of Chowhound can meet, by its stable identifier: the word in a receipt, an error detail, a dead
 * letter and a metric label, and a heading in docs/errors.md.
 */

/** Why a whole call failed, and the gRPC status it fails with. Nothing of the call was accepted, as far as known. */
export const CALL_ERRORS = {
  unauthenticated: status.UNAUTHENTICATED,
  empty_batch: status.INVALID_ARGUMENT,
  too_many_records: status.INVALID_ARGUMENT,
  call_too_large: status.RESOURCE_EXHAUSTED,
  malformed_request: status.INVALID_ARGUMENT,
  mesh_full: status.RESOURCE_EXHAUSTED,
  too_much_in_flight: status.RESOURCE_EXHAUSTED,
  not_acknowledged: status.UNAVAILABLE,
  not_ready: status.UNAVAILABLE,
  shutting_down: status.UNAVAILABLE,
  paused: status.UNAVAILABLE,
  pipeline_invalid: status.INVALID_ARGUMENT,
  pipeline_not_found: status.NOT_FOUND,
  pipeline_changed: status.ABORTED,
  invalid_log_level: status.INVALID_ARGUMENT,
  internal: status.INTERNAL,
} as const satisfies Record<string, status>;

export type CallErrorReason = keyof typeof CALL_ERRORS;

/** Why the gateway rejected one record. Its neighbours are not affected. */
export const RECORD_REASONS = [
  "malformed_record",
  "record_too_large",
  "invalid_utf8",
  "nul_character",
  "control_character",
  "missing_field",
  "field_too_long",
  "invalid_uuid",
  "invalid_tenant_id",
  "tenant_mismatch",
  "invalid_lang",
  "invalid_metadata",
  "metadata_too_deep",
  "too_many_attributes",
  "invalid_timestamp",
  "timestamp_out_of_range",
  "missing_time",
] as const;

export type RecordReason = (typeof RECORD_REASONS)[number];

/** Why an accepted record ended as a dead letter. */
export const DEAD_REASONS = [
  "undecodable_batch",
  "undecodable_record",
  "required_field_missing",
  "set_type_mismatch",
  "map_failed",
  "map_type_mismatch",
  "identity_missing",
  "redact_too_many_matches",
  "step_error",
  "enriched_field_invalid",
  "outgrew_message",
  "value_refused_by_database",
] as const;

export type DeadReason = (typeof DEAD_REASONS)[number];
