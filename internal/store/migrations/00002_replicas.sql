-- A program of version N works on a schema of version N+1, so that servers can be upgraded
-- one after the other: a migration adds tables, or columns that have a default, and takes
-- nothing away that the version before still uses.

-- +goose Up
-- Jobs that one server does for all. Times are UTC milliseconds.
CREATE TABLE IF NOT EXISTS leases (
	job {key255} NOT NULL PRIMARY KEY,
	holder {key255} NOT NULL,
	expires_at {int} NOT NULL,
	done_at {int} NOT NULL
) {rows};

-- Numbers that rise when something changed that other servers keep in memory.
CREATE TABLE IF NOT EXISTS revisions (
	topic {key255} NOT NULL PRIMARY KEY,
	number {int} NOT NULL
) {rows};

-- The servers that use this database now. Times are UTC milliseconds.
CREATE TABLE IF NOT EXISTS servers (
	id {key255} NOT NULL PRIMARY KEY,
	host {text} NOT NULL,
	version {text} NOT NULL,
	issuer_key_id {key255} NOT NULL,
	knows {text} NOT NULL,
	started_at {int} NOT NULL,
	seen_at {int} NOT NULL
) {rows};
