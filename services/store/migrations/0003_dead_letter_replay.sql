-- A dead letter is open until a replay has resolved it or somebody has discarded it. The columns on how it died tell of
-- the last time.
alter table dead_letters rename column dead_at to first_seen;
alter table dead_letters
  add column last_seen       timestamptz not null default now(),
  add column attempts        integer not null default 1, -- how often it died
  add column traceparent     text, -- of the call that brought the record
  add column state           text not null default 'open',
  add column replay_batch_id uuid, -- the replay booked for it last
  add column settled_at      timestamptz,
  add column verdict         text, -- resolved: what became of the record
  add column discarded_by    text,
  add column note            text, -- discarded: why
  add constraint dead_letters_state check (
    state in ('open', 'resolved', 'discarded')
    and (state = 'open') = (settled_at is null)
    and (state = 'resolved') = (verdict is not null)
    and (state = 'discarded') = (discarded_by is not null and note is not null));
update dead_letters set last_seen = first_seen;
-- The order in which letters are listed, replayed and discarded.
create index dead_letters_state on dead_letters (state, accepted_at, batch_id, ordinal);

-- A replay is an invoice of its own. Letters that are open = sum of dead_lettered - reclaimed - discarded; records
-- accepted at the door = sum of accepted - replayed.
alter table invoices
  add column replay_of uuid, -- the batch whose dead letters were replayed
  -- Open letters that it resolved or that died in it again, and records that died in it though their letter was settled.
  add column reclaimed integer not null default 0;
alter table totals
  add column replayed  bigint not null default 0,
  add column reclaimed bigint not null default 0,
  add column discarded bigint not null default 0;
