-- Words in braces are replaced by each dialect's own: see dialect.go. MySQL commits each
-- statement here by itself, so each can be run again after a start that was cut off.

-- +goose Up
-- Raw is DER, or the SSH wire form. The names column keeps their order as JSON;
-- certificate_names is what we search them by.
CREATE TABLE IF NOT EXISTS certificates (
	id {id} PRIMARY KEY,
	class {key16} NOT NULL,
	serial {key255} NOT NULL,
	type {key16} NOT NULL,
	provisioner_id {key512} NOT NULL,
	provisioner_name {text} NOT NULL,
	provisioner_type {text} NOT NULL,
	subject {text} NOT NULL,
	key_id {text} NOT NULL,
	issuer_key_id {text} NOT NULL,
	names {text} NOT NULL,
	not_before {int} NOT NULL,
	not_after {int} NOT NULL,
	issued_at {int} NOT NULL,
	raw {blob} NOT NULL,
	renewed_from {key255} NOT NULL,
	ra {blob},
	UNIQUE (serial, class)
) {rows};
CREATE INDEX {ifnew} certificates_by_provisioner ON certificates (provisioner_id, id);
CREATE INDEX {ifnew} certificates_by_class ON certificates (class, id);
CREATE INDEX {ifnew} certificates_by_expiry ON certificates (not_after, id);

-- The value comes first in the key: a name that is both common name and DNS name then
-- lands on one page instead of two.
CREATE TABLE IF NOT EXISTS certificate_names (
	value {key255} NOT NULL,
	kind {key16} NOT NULL,
	certificate_id {int} NOT NULL,
	PRIMARY KEY (value, kind, certificate_id)
) {clustered};

CREATE TABLE IF NOT EXISTS spent_proofs (
	proof {key255} NOT NULL PRIMARY KEY,
	provisioner_id {key512} NOT NULL,
	spent_at {int} NOT NULL,
	expires_at {int} NOT NULL
) {clustered};
CREATE INDEX {ifnew} spent_proofs_by_expiry ON spent_proofs (expires_at);

CREATE TABLE IF NOT EXISTS revocations (
	class {key16} NOT NULL,
	serial {key255} NOT NULL,
	type {key16} NOT NULL,
	provisioner_id {key512} NOT NULL,
	reason_code {int} NOT NULL,
	reason {text} NOT NULL,
	revoked_at {int} NOT NULL,
	expires_at {int} NOT NULL,
	proof {key255} NOT NULL,
	mtls {int} NOT NULL,
	acme {int} NOT NULL,
	revoked_by {text} NOT NULL,
	PRIMARY KEY (class, serial)
) {clustered};

CREATE TABLE IF NOT EXISTS audit (
	at {int} NOT NULL,
	id {int} NOT NULL,
	act {key255} NOT NULL,
	provisioner {text} NOT NULL,
	subject {text} NOT NULL,
	serial {key255} NOT NULL,
	request_id {text} NOT NULL,
	detail {text} NOT NULL,
	PRIMARY KEY (at, id)
) {clustered};

CREATE TABLE IF NOT EXISTS crls (
	issuer {key255} NOT NULL PRIMARY KEY,
	number {int} NOT NULL,
	this_update {int} NOT NULL,
	next_update {int} NOT NULL,
	der {blob} NOT NULL
) {rows};

-- One row, written by the readiness check: a database that can be read only is not ready.
CREATE TABLE IF NOT EXISTS heartbeat (
	id {int} NOT NULL PRIMARY KEY,
	beat {int} NOT NULL
) {rows};
DELETE FROM heartbeat;
INSERT INTO heartbeat (id, beat) VALUES (1, 0);
