-- Old invoices, folded into sums: all numbers of the epoch up to through_seq. A batch of such a number is skipped when it
-- comes again, if it was accepted no later than any that was folded: else it is none of them, and RAW was rewound.
create table compacted_invoices (
  epoch               bigint      primary key,
  through_seq         bigint      not null,
  through_accepted_at timestamptz not null,
  invoices            bigint      not null,
  accepted            bigint      not null,
  stored              bigint      not null,
  updated             bigint      not null,
  unchanged           bigint      not null,
  stale               bigint      not null,
  duplicate           bigint      not null,
  conflict            bigint      not null,
  dead_lettered       bigint      not null,
  replayed            bigint      not null,
  reclaimed           bigint      not null,
  compacted_at        timestamptz not null default now()
);

-- Batches that came under a further number and were skipped: with invoices and the sums above, every number of RAW is
-- accounted for.
create table invoice_repeats (
  epoch          bigint      not null,
  raw_seq        bigint      not null,
  batch_id       uuid        not null,
  booked_epoch   bigint      not null, -- the number under which it is booked
  booked_raw_seq bigint      not null,
  is_replay      boolean     not null, -- the store sends a replay again when NATS doesn't acknowledge it
  noted_at       timestamptz not null default now(),
  constraint invoice_repeats_key primary key (epoch, raw_seq, batch_id)
);

-- What an operator has accepted as wrong. Never deleted: every audit shows it.
create table audit_write_offs (
  id             bigint      generated always as identity primary key,
  reason         text        not null check (reason in ('number_missing', 'batch_repeated', 'number_reused')),
  epoch          bigint      not null,
  first_seq      bigint      not null,
  last_seq       bigint      not null check (last_seq >= first_seq),
  note           text        not null,
  written_off_by text        not null,
  written_off_at timestamptz not null default now()
);
create index audit_write_offs_number on audit_write_offs (epoch, reason, first_seq);
