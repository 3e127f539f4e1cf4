-- The highest number that each incarnation of RAW is known to have given out: RAW said so, or a gateway to which it was
-- acknowledged. Invoices know more where batches were booked since.
create table raw_given (
  epoch    bigint      primary key,
  last_seq bigint      not null,
  noted_at timestamptz not null default now()
);

-- Numbers that RAW gives out a second time, since it was restored from an older copy. A batch that came under one the first
-- time may be lost without having been booked, and then nothing else would tell.
create table raw_rewinds (
  epoch      bigint      not null,
  first_seq  bigint      not null,
  last_seq   bigint      not null check (last_seq >= first_seq),
  noticed_at timestamptz not null default now(),
  constraint raw_rewinds_key primary key (epoch, first_seq, last_seq)
);
