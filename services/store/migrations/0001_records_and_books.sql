-- The rows, one per key. Newest wins: the row is the greatest of its key's records by
-- (version_us, content_hash, pipeline_version).
create table records (
  tenant_id        text collate "C" not null,
  source_type      text collate "C" not null,
  source_id        text collate "C" not null,
  data_id          text collate "C" not null,
  uuid             uuid        not null,
  version_us       bigint      not null, -- microseconds since 1970
  content_hash     bytea       not null, -- 16 bytes, over what the source said
  pipeline_version bigint      not null, -- 0: the built-in default
  data             text        not null,
  metadata         jsonb       not null,
  metadata_type    text        not null,
  lang             text        not null,
  attributes       jsonb       not null,
  raw_payload      bytea,
  raw_content_type text,
  created_at       timestamptz,
  updated_at       timestamptz,
  accepted_at      timestamptz not null,
  batch_id         uuid        not null, -- the invoice that brought this content
  receipt_id       uuid        not null, -- the call that brought this content
  trace_id         text,                 -- 32 hexadecimal digits
  stored_at        timestamptz not null default now(),
  constraint records_key primary key (tenant_id, source_type, source_id, data_id),
  constraint records_uuid unique (tenant_id, uuid)
);

-- The books: one invoice per batch, written in the transaction of its rows.
create table invoices (
  batch_id      uuid        primary key,
  epoch         bigint      not null, -- the incarnation of RAW; negative: not from RAW, see undecodable_batch
  raw_seq       bigint      not null, -- the batch's number in RAW
  accepted_at   timestamptz not null,
  booked_at     timestamptz not null default now(),
  accepted      integer     not null,
  stored        integer     not null default 0,
  updated       integer     not null default 0,
  unchanged     integer     not null default 0,
  stale         integer     not null default 0,
  duplicate     integer     not null default 0,
  conflict      integer     not null default 0,
  dead_lettered integer     not null default 0
);
create index invoices_number on invoices (epoch, raw_seq);

-- Totals of the books. Rows of one source and hour are spread over lanes, so that writers don't wait for each other;
-- their sum counts.
create table totals (
  tenant_id     text collate "C" not null,
  source_type   text collate "C" not null,
  source_id     text collate "C" not null,
  hour          timestamptz not null, -- of acceptance
  lane          smallint    not null,
  accepted      bigint      not null,
  stored        bigint      not null,
  updated       bigint      not null,
  unchanged     bigint      not null,
  stale         bigint      not null,
  duplicate     bigint      not null,
  conflict      bigint      not null,
  dead_lettered bigint      not null,
  -- Rows that a newer pipeline moved onto a key that had a row: rows = stored - deleted.
  deleted       bigint      not null,
  constraint totals_key primary key (tenant_id, source_type, source_id, hour, lane)
);

-- Records that could not be processed, whole.
create table dead_letters (
  batch_id         uuid        not null,
  ordinal          integer     not null, -- the record's place in its batch
  epoch            bigint      not null,
  raw_seq          bigint      not null,
  tenant_id        text collate "C" not null,
  uuid             uuid        not null,
  source_type      text        not null,
  source_id        text        not null,
  data_id          text        not null,
  stage            text        not null,
  reason           text        not null,
  detail           text        not null,
  pipeline_version bigint      not null,
  original         bytea       not null, -- as accepted
  accepted_at      timestamptz not null,
  receipt_id       uuid,                 -- none for what was no batch
  trace_id         text,
  dead_at          timestamptz not null default now(),
  constraint dead_letters_key primary key (batch_id, ordinal)
);
create index dead_letters_number on dead_letters (epoch, raw_seq);
create index dead_letters_reason on dead_letters (tenant_id, reason);

-- Names this database for as long as its tables live.
create table database_identity (
  id uuid not null default gen_random_uuid(),
  created_at timestamptz not null default now()
);
insert into database_identity default values;

-- Changes whenever what was committed before may be gone: a restart (so any restore of files), other tables (so a
-- restore of a dump, a wipe), a truncation. What dedup knows is bound to it.
create function database_generation() returns text
language sql volatile
as $$
  select concat_ws('/', id, (extract(epoch from pg_postmaster_start_time()) * 1000000)::bigint,
                   'records'::regclass::oid, pg_relation_filenode('records'))
  from database_identity
$$;
