-- What ACME servers remember. IDs begin with the time, so that new rows land together.

-- +goose Up
CREATE TABLE IF NOT EXISTS acme_accounts (
	id {key255} NOT NULL PRIMARY KEY,
	provisioner_id {key512} NOT NULL,
	thumbprint {key255} NOT NULL,
	der {blob} NOT NULL,
	contacts {text} NOT NULL,
	status {key16} NOT NULL,
	url {text} NOT NULL,
	eab {key255} NOT NULL,
	terms_at {int} NOT NULL,
	created_at {int} NOT NULL,
	UNIQUE (provisioner_id, thumbprint)
) {clustered};

CREATE TABLE IF NOT EXISTS acme_eab_keys (
	id {key255} NOT NULL PRIMARY KEY,
	provisioner_id {key512} NOT NULL,
	reference {key255} NOT NULL,
	secret {blob},
	policy {text} NOT NULL,
	account_id {key255} NOT NULL,
	created_at {int} NOT NULL,
	bound_at {int} NOT NULL
) {clustered};
CREATE INDEX {ifnew} acme_eab_keys_by_reference ON acme_eab_keys (provisioner_id, reference);

-- The problem is a JSON document, "" for none. The serial is that of the certificate, ""
-- before there is one.
CREATE TABLE IF NOT EXISTS acme_orders (
	id {key255} NOT NULL PRIMARY KEY,
	seq {int} NOT NULL,
	account_id {key255} NOT NULL,
	provisioner_id {key512} NOT NULL,
	status {key16} NOT NULL,
	identifiers {text} NOT NULL,
	authorizations {text} NOT NULL,
	not_before {int} NOT NULL,
	not_after {int} NOT NULL,
	profile {key255} NOT NULL,
	replaces {key255} NOT NULL,
	problem {text} NOT NULL,
	serial {key255} NOT NULL,
	created_at {int} NOT NULL,
	expires_at {int} NOT NULL,
	remove_at {int} NOT NULL
) {clustered};
CREATE INDEX {ifnew} acme_orders_by_account ON acme_orders (account_id, status, seq);
CREATE INDEX {ifnew} acme_orders_by_removal ON acme_orders (remove_at);

-- The challenges of an authorization are read and written with it, as JSON. The version
-- rises with each change: whoever changes names the one that was read.
CREATE TABLE IF NOT EXISTS acme_authzs (
	id {key255} NOT NULL PRIMARY KEY,
	account_id {key255} NOT NULL,
	provisioner_id {key512} NOT NULL,
	order_id {key255} NOT NULL,
	type {key16} NOT NULL,
	value {key255} NOT NULL,
	wildcard {int} NOT NULL,
	subdomains {int} NOT NULL,
	status {key16} NOT NULL,
	challenges {text} NOT NULL,
	created_at {int} NOT NULL,
	expires_at {int} NOT NULL,
	version {int} NOT NULL
) {clustered};
CREATE INDEX {ifnew} acme_authzs_by_name ON acme_authzs (account_id, value, order_id);
CREATE INDEX {ifnew} acme_authzs_by_expiry ON acme_authzs (expires_at);

-- Which account a certificate was ordered by, and the order that replaces it (RFC 9773).
CREATE TABLE IF NOT EXISTS acme_certificates (
	serial {key255} NOT NULL PRIMARY KEY,
	account_id {key255} NOT NULL,
	order_id {key255} NOT NULL,
	replaced_by {key255} NOT NULL,
	remove_at {int} NOT NULL
) {clustered};
CREATE INDEX {ifnew} acme_certificates_by_removal ON acme_certificates (remove_at);

-- Nonces that changed something, until they would be too old anyway.
CREATE TABLE IF NOT EXISTS acme_nonces (
	made_at {int} NOT NULL,
	nonce {key255} NOT NULL,
	PRIMARY KEY (made_at, nonce)
) {clustered};

-- Nonces are made with a key of the day, which all servers share.
CREATE TABLE IF NOT EXISTS acme_nonce_keys (
	day {int} NOT NULL PRIMARY KEY,
	secret {blob} NOT NULL
) {clustered};
