-- Names whose validation failed so often that an account has to wait with them.

-- +goose Up
CREATE TABLE IF NOT EXISTS acme_pauses (
	account_id {key255} NOT NULL,
	value {key255} NOT NULL,
	provisioner_id {key512} NOT NULL,
	created_at {int} NOT NULL,
	expires_at {int} NOT NULL,
	PRIMARY KEY (account_id, value)
) {clustered};

-- Nothing lists certificates by their class alone, and each issuance paid for this index. A
-- program of the version before works without it.
DROP INDEX {ifold} certificates_by_class {on_certificates};
