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
  invalid_query: status.INVALID_ARGUMENT,
  record_not_found: status.NOT_FOUND,
  query_too_slow: status.DEADLINE_EXCEEDED,
  too_many_queries: status.RESOURCE_EXHAUSTED,
  answer_too_large: status.RESOURCE_EXHAUSTED,
  store_unavailable: status.UNAVAILABLE,
  pipeline_invalid: status.INVALID_ARGUMENT,
  pipeline_not_found: status.NOT_FOUND,
  pipeline_changed: status.ABORTED,
  pipeline_test_invalid: status.INVALID_ARGUMENT,
  invalid_dead_letter_request: status.INVALID_ARGUMENT,
  dead_letter_not_found: status.NOT_FOUND,
  invalid_audit_request: status.INVALID_ARGUMENT,
  write_off_refused: status.FAILED_PRECONDITION,
  invalid_log_level: status.INVALID_ARGUMENT,
  invalid_tail: status.INVALID_ARGUMENT,
  too_many_taps: status.RESOURCE_EXHAUSTED,
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
  "kills_process",
  "value_refused_by_database",
] as const;

export type DeadReason = (typeof DEAD_REASONS)[number];

/** What an audit can find. Headings in docs/audit.md. */
export const AUDIT_REASONS = [
  "number_missing",
  "number_reused",
  "number_ahead",
  "batch_repeated",
  "invoice_unbalanced",
  "totals_unbalanced",
  "totals_differ",
  "rows_differ",
  "letters_differ",
] as const;

export type AuditReason = (typeof AUDIT_REASONS)[number];
