package sqlite

import (
	"database/sql"
	"fmt"
)

// schemaVersion is in the file's user_version. A file of a later one is not opened.
const schemaVersion = 1

// recordVersion is in each row of jobs. Rows of a later one, which an older program may meet after it was put back,
// are neither shown nor changed.
const recordVersion = 1

// schema is what version 1 of the file has. Times are in nanoseconds since 1970, 0 for none.
//
// A message is in data, in rows of at most jobs.ChunkSize bytes: kind is one of those below, part the number of a
// PARTIAL, n that of the row within the message. It is not WITHOUT ROWID, as in files of before: there a row of more
// than 1,002 bytes takes a page of its own, so 100,000 jobs of 1 KiB took 515 MB instead of 185 MB.
const schema = `
CREATE TABLE jobs (
	seq        INTEGER PRIMARY KEY,
	id         TEXT NOT NULL UNIQUE,
	version    INTEGER NOT NULL,
	service    TEXT NOT NULL,
	owner      TEXT NOT NULL,
	state      TEXT NOT NULL,
	revision   INTEGER NOT NULL DEFAULT 1,
	created    INTEGER NOT NULL,
	started    INTEGER NOT NULL DEFAULT 0,
	ended      INTEGER NOT NULL DEFAULT 0,
	keep_until INTEGER NOT NULL DEFAULT 0,
	parts      INTEGER NOT NULL DEFAULT 0,
	bytes      INTEGER NOT NULL DEFAULT 0,
	info       BLOB NOT NULL, -- what never changes, as JSON
	problem    BLOB           -- as JSON
);
CREATE INDEX jobs_open ON jobs (seq) WHERE state IN ('queued', 'running');
CREATE INDEX jobs_keep ON jobs (keep_until) WHERE keep_until > 0;
CREATE INDEX jobs_interrupted ON jobs (version, service, ended) WHERE state = 'interrupted';
CREATE INDEX jobs_owner ON jobs (owner, seq);
CREATE TABLE data (
	job   INTEGER NOT NULL,
	kind  INTEGER NOT NULL,
	part  INTEGER NOT NULL,
	n     INTEGER NOT NULL,
	bytes BLOB NOT NULL,
	PRIMARY KEY (job, kind, part, n)
);
CREATE TABLE keys (
	owner  TEXT NOT NULL,
	key    TEXT NOT NULL,
	digest BLOB NOT NULL,
	job    INTEGER NOT NULL,
	PRIMARY KEY (owner, key)
) WITHOUT ROWID;
CREATE INDEX keys_job ON keys (job);
`

// The kinds of messages in data.
const (
	requestKind = iota // what a queued job is to send
	replyKind          // the last part of a reply
	partKind           // a PARTIAL
)

// migrate makes the tables of a new file. It removes what writes that were not completed have left.
func migrate(db *sql.DB) error {
	var version int
	if err := db.QueryRow("PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	switch {
	case version > schemaVersion:
		return fmt.Errorf("its version is %d, want at most %d: a later gateway made it", version, schemaVersion)
	case version == schemaVersion:
		return clean(db)
	}
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after Commit it does nothing
	if _, err := tx.Exec(schema + fmt.Sprintf("PRAGMA user_version = %d", schemaVersion)); err != nil {
		return err
	}
	return tx.Commit()
}

// triedJob is the number of no job. What has it was written to try whether the file can be written.
const triedJob = 0

// clean removes messages whose job was never stored, and replies of jobs that did not get to their end.
func clean(db *sql.DB) error {
	_, err := db.Exec(`
		DELETE FROM data WHERE job = ? OR job > (SELECT coalesce(max(seq), 0) FROM jobs);
		DELETE FROM data WHERE kind = ? AND job IN (SELECT seq FROM jobs WHERE state IN ('queued', 'running'))`, triedJob, replyKind)
	if err != nil {
		return err
	}
	// Later jobs may have been stored. This reads much more of the file, so it is not done if a part is damaged.
	_, err = db.Exec("DELETE FROM data WHERE job IN (SELECT DISTINCT job FROM data AS d WHERE NOT EXISTS (SELECT 1 FROM jobs WHERE seq = d.job))")
	if isDamage(err) {
		return nil
	}
	return err
}
