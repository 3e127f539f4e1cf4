/** Any constant: what booking shares, and what compaction has for itself alone. */
const BOOKS_LOCK = 0x63686f78;

/**
 * Begins a transaction that books. While it lasts no invoice is folded; what is folded already shows in its next
 * statement, which has a snapshot of its own.
 */
export const BEGIN_BOOKING = `begin; select pg_advisory_xact_lock_shared(${BOOKS_LOCK})`;

/** Within a transaction: waits until nobody books, and keeps it so until the commit. */
export const EXCLUDE_BOOKING = `select pg_advisory_xact_lock(${BOOKS_LOCK})`;
