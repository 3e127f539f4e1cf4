#!/bin/sh
# Makes what has to be secret, where it is not there yet: PostgreSQL's password and a producer's key.
set -eu
umask 077
secrets=/var/lib/chowhound/secrets
keys=/var/lib/chowhound/keys
tenant=local

if [ ! -s "$secrets/database-url" ]; then
  password=$(node -p 'crypto.randomBytes(32).toString("base64url")')
  printf '%s' "$password" >"$secrets/postgres-password"
  # PostgreSQL reads it as another user. Nobody else has this volume.
  chmod 444 "$secrets/postgres-password"
  printf 'postgres://chowhound:%s@postgres:5432/chowhound' "$password" >"$secrets/database-url.new"
  mv "$secrets/database-url.new" "$secrets/database-url"
  echo "made a password for PostgreSQL"
fi

if [ ! -s "$keys/$tenant.key" ]; then
  node services/gateway/src/create-key.ts --tenant "$tenant" --file "$keys/keys.json" >"$keys/$tenant.key.new"
  mv "$keys/$tenant.key.new" "$keys/$tenant.key"
  echo "made a key for the tenant $tenant"
fi
echo "the key of the tenant $tenant: docker compose exec gateway cat $keys/$tenant.key"
